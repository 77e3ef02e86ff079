import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { memoryLog } from '../../src/base/ports.ts'
import { parseConnection } from '../../src/postgres/connection.ts'
import { dropMade, type Made, TargetServer } from '../../src/postgres/target-server.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'
import { startStandby } from '../support/standby.ts'

let server: TestServer
let temp: string
beforeAll(async () => {
  temp = await mkdtemp(join(tmpdir(), 'lifeboat-target-'))
  server = await startServer(availableMajors().at(-1) ?? 0)
})
afterAll(async () => {
  await server?.stop()
  await rm(temp, { recursive: true, force: true })
})

const NOW = new Date('2026-11-27T12:00:00Z')
const options = () => ({ temp, log: memoryLog(), env: process.env })

function open(url = server.url('postgres'), source: { systemIdentifier?: string | null; serverMajor?: number } = {}) {
  const dumped = { systemIdentifier: '7', serverMajor: server.major, ...source }
  const making: Made[] = []
  const more = { database: 'shop', source: dumped, now: NOW, onMaking: (made: Made) => making.push(made) }
  return TargetServer.open(parseConnection(url, {}, { input: 'target-url' }), { ...options(), ...more })
}

test('a server on which nothing may be made is refused, with the reason', async () => {
  await server.psql('postgres', `create role nobody_much login password 'x'`)
  const own = await server.psql('postgres', 'select system_identifier from pg_control_system()')
  const where = `the server 127.0.0.1:${server.port} of target-url`
  await expect(open(undefined, { systemIdentifier: own })).rejects.toMatchObject({ code: 'target-is-source' })
  await expect(open(undefined, { systemIdentifier: null })).rejects.toMatchObject({
    code: 'unknown-server',
    message: expect.stringContaining('the server that was dumped does not tell its system identifier'),
  })
  await expect(open(undefined, { serverMajor: 99 })).rejects.toMatchObject({
    code: 'target-too-old',
    message: `${where} runs PostgreSQL ${server.major}, and the backup is of 99`,
  })
  await expect(open(server.url('postgres', 'nobody_much', 'x'))).rejects.toMatchObject({
    code: 'target-not-allowed',
    remedy: expect.stringContaining('ALTER ROLE "nobody_much" CREATEDB'),
  })
  await server.psql('postgres', 'revoke execute on function pg_control_system() from public')
  await expect(open(server.url('postgres', 'nobody_much', 'x'))).rejects.toMatchObject({
    code: 'unknown-server',
    message: expect.stringMatching(new RegExp(`: ${where} does not tell its system identifier`)),
  })
})

test('a standby is refused, as what it is or as the source; its primary is not', async () => {
  const standby = await startStandby(server)
  try {
    const url = standby.url('postgres')
    await expect(open(url)).rejects.toMatchObject({
      code: 'target-is-standby',
      message: `the server 127.0.0.1:${standby.port} of target-url is a standby`,
      remedy: 'Give the address of its primary.',
    })
    const own = await server.psql('postgres', 'select system_identifier from pg_control_system()')
    await expect(open(url, { systemIdentifier: own })).rejects.toMatchObject({ code: 'target-is-source' })
    await (await open()).close()
  } finally {
    await standby.stop()
  }
}, 120_000)

test('nothing is dropped that does not carry the mark; what was left behind is named after a day', async () => {
  const target = await open()
  const { made } = target
  expect(made.database).toMatch(/^shop_restore_test_[a-z0-9]{8}$/)
  await target.close()
  const drop = () => dropMade(parseConnection(server.url('postgres'), {}), options(), made)
  const databases = () => server.psql('postgres', `select datname from pg_database where datname ~ '^shop' order by 1`)
  expect(await drop()).toEqual([])

  await server.psql('postgres', `create database ${made.database}`)
  expect(await drop()).toEqual([`DROP DATABASE "${made.database}" WITH (FORCE)`])
  await server.psql('postgres', `comment on database ${made.database} is 'the shop itself'`)
  expect(await drop()).toEqual([`DROP DATABASE "${made.database}" WITH (FORCE)`])
  expect(await databases()).toBe(made.database)

  const old = made.mark.replace('2026-11-27', '2026-11-25')
  await server.psql('postgres', `create database shop_old; comment on database shop_old is '${old}'`)
  await server.psql('postgres', `comment on database ${made.database} is '${made.mark}'`)
  const next = await open()
  expect(next.leftBehind).toEqual(['shop_old'])
  await next.close()

  // A role in use is kept; one that another run could not drop is dropped by the next.
  await server.psql(
    'postgres',
    `create role used; comment on role used is '${made.mark}'; create role left_over;
     comment on role left_over is '${made.mark.replace(/test \w+/, 'test x')}'; create table of_used (); alter table of_used owner to used;`,
  )
  expect(await drop()).toEqual(['DROP ROLE "used"'])
  expect(await databases()).toBe('shop_old')
  expect(await server.psql('postgres', `select count(*) from pg_roles where rolname = 'left_over'`)).toBe('0')
})

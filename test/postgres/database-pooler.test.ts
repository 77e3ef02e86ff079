import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { memoryLog } from '../../src/base/ports.ts'
import { parseConnection } from '../../src/postgres/connection.ts'
import { type Database, openDatabase } from '../../src/postgres/database.ts'
import { startPooler, type TestPooler } from '../support/pgbouncer.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'
import { runTool } from '../support/run-tool.ts'

let server: TestServer
let pooler: TestPooler | undefined
let temp: string

beforeAll(async () => {
  temp = await mkdtemp(join(tmpdir(), 'lb-pool-'))
  server = await startServer(availableMajors()[0] ?? 15)
})
afterEach(() => pooler?.stop())
afterAll(async () => {
  await server?.stop()
  await rm(temp, { recursive: true, force: true })
})

async function open(database = 'postgres', query = ''): Promise<Database> {
  const env = { PATH: process.env.PATH }
  const url = `${server.url(database).replace(`:${server.port}/`, `:${pooler?.port}/`)}${query}`
  return openDatabase(parseConnection(url, env), { temp, log: memoryLog(), env })
}

test.each([
  ['idle, one backend', 'default_pool_size = 1'],
  ['idle, many backends', 'min_pool_size = 5'],
  ['round robin', 'server_round_robin = 1\nmin_pool_size = 3'],
  ['options let through', 'ignore_startup_parameters = options'],
])('PgBouncer in transaction mode is refused: %s', async (_, lines) => {
  pooler = await startPooler(server, 'transaction', lines)
  await expect(open()).rejects.toMatchObject({ code: 'pooler', remedy: expect.stringContaining('database-url') })
  // Once more, with backends that stand ready.
  await expect(open()).rejects.toMatchObject({ code: 'pooler' })
})

test.each([
  ['refuses options', ''],
  ['ignores options', 'ignore_startup_parameters = options,extra_float_digits'],
])('PgBouncer in session mode that %s works, for clients and tools', async (_, lines) => {
  pooler = await startPooler(server, 'session', lines)
  const database = await open()
  const client = await database.connect('test')
  expect((await client.query('show datestyle')).rows[0]).toEqual({ DateStyle: 'ISO, MDY' })
  const dump = await runTool(join(server.bin, 'pg_dump'), ['--schema-only'], await database.toolEnvironment())
  expect([dump.code, dump.stderr]).toEqual([0, ''])
  await database.close()
})

test('a session pool whose database differs from the pins names them and the statement that mends it', async () => {
  const name = `differing${server.port}`
  await server.createDatabase(name)
  await server.psql(name, `create table prices (price money); alter database ${name} set bytea_output to 'escape'`)
  pooler = await startPooler(server, 'session')
  await expect(open(name)).rejects.toMatchObject({
    code: 'pooler-settings',
    message: expect.stringContaining('bytea_output'),
    remedy: expect.stringContaining(`ALTER ROLE "postgres" SET bytea_output TO 'hex';`),
  })
})

test('options of the user that a pooler refuses are named', async () => {
  pooler = await startPooler(server, 'session')
  await expect(open('postgres', '?options=-c%20geqo%3Doff')).rejects.toMatchObject({
    code: 'pooler',
    remedy: expect.stringContaining('options='),
  })
})

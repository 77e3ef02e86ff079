import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import type { Contents } from '../../src/backup-set/documents.ts'
import { memoryLog } from '../../src/base/ports.ts'
import { parseConnection } from '../../src/postgres/connection.ts'
import { TargetServer } from '../../src/postgres/target-server.ts'
import type { Place } from '../../src/restore/place.ts'
import { prepareDatabase } from '../../src/restore/prepare-database.ts'
import { inventoryOf } from '../checks/set.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'
import { until } from '../until.ts'

let temp: string
beforeAll(async () => {
  temp = await mkdtemp(join(tmpdir(), 'lifeboat-prepare-'))
})
afterAll(() => rm(temp, { recursive: true, force: true }))

/** What a backup says of a database whose schema names these roles. */
function contentsWith(roles: readonly string[]): Contents {
  const inventory = { ...inventoryOf(), roles: [...roles] }
  return { inventory, roles: [...roles], databaseFacts: { ...inventory.database, settings: [] } } as unknown as Contents
}

describe.each(availableMajors())('PostgreSQL %d', (major) => {
  let server: TestServer
  let target: TargetServer
  /** Another restore test on the same server, at the same moment. */
  let other: pg.Client
  beforeAll(async () => {
    server = await startServer(major)
    const source = { systemIdentifier: '7', serverMajor: major }
    const options = { temp, log: memoryLog(), env: process.env, database: 'shop', source, now: new Date() }
    target = await TargetServer.open(parseConnection(server.url('postgres'), {}), { ...options, onMaking: () => {} })
    other = new pg.Client(server.url('postgres'))
    await other.connect()
  })
  afterAll(async () => {
    await other?.end()
    await target?.close()
    await server?.stop()
  })

  const prepare = async (roles: readonly string[]) => {
    const place: Place = {
      name: 'the server of the tests',
      remote: true,
      restricted: false,
      roles: { mark: 'ours' },
      createDatabase: (spec) => target.createDatabase(spec),
      url: (name) => target.url(name),
    }
    const { target: made } = await prepareDatabase(place, contentsWith(roles), memoryLog())
    await made.close()
    await server.psql('postgres', `drop database ${target.made.database}`)
  }
  const waits = async () => {
    const waiting = `select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like 'create role%'`
    return (await server.psql('postgres', waiting)) === '1'
  }
  const marks = (names: string) =>
    server.psql(
      'postgres',
      `select rolname, shobj_description(oid, 'pg_authid') from pg_roles where rolname ~ '^${names}' order by 1`,
    )

  test('roles that another run makes at the same moment are there, and that is all that is asked', async () => {
    await other.query(`begin; create role race_1; comment on role race_1 is 'theirs'`)
    const preparing = prepare(['race_1', 'race_2', 'race_3'])
    await until(waits)
    // While it waits for the outcome of that one, another that it has seen missing is made as well.
    await server.psql('postgres', `create role race_2; comment on role race_2 is 'theirs'`)
    await other.query('commit')
    await preparing
    expect(await marks('race_')).toBe('race_1|theirs\nrace_2|theirs\nrace_3|ours')
  })

  test('a role that another run does not come to make is made', async () => {
    await other.query('begin; create role given_up')
    const preparing = prepare(['given_up'])
    await until(waits)
    await other.query('rollback')
    await preparing
    expect(await marks('given_up')).toBe('given_up|ours')
  })
})

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import { parseConnection } from '../../src/postgres/connection.ts'
import { openDatabase } from '../../src/postgres/database.ts'
import { type LiveDatabase, type LookOptions, lookAtDatabase } from '../../src/postgres/live-database.ts'
import { parseTablePattern } from '../../src/postgres/table-names.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'
import { until } from '../until.ts'

let temp: string
beforeAll(async () => {
  temp = await mkdtemp(join(tmpdir(), 'lifeboat-live-'))
})
afterAll(async () => await rm(temp, { recursive: true, force: true }))

type Look = Partial<Pick<LookOptions, 'patience' | 'walLagSeconds'>> & { tables?: string[] }

async function look(url: string, { tables = [], ...more }: Look = {}): Promise<LiveDatabase> {
  const { signal } = new AbortController()
  const clock = systemClock
  const database = await openDatabase(parseConnection(url, {}), { temp, log: memoryLog(), env: {}, signal })
  try {
    const patterns = tables.flatMap((text) => parseTablePattern(text) ?? [])
    return await lookAtDatabase({ database, tables: patterns, walLagSeconds: 300, clock, signal, ...more })
  } finally {
    await database.close()
  }
}

const SCHEMA = `
  create table parent (a int, b int, primary key (a, b));
  insert into parent values (1, 1), (2, 2);
  create table heir () inherits (parent);
  insert into heir values (9, 9);
  create table child (id int primary key, a int, b int);
  insert into child values (1, 1, 1), (2, 7, 7), (3, null, 7), (4, null, null), (5, 9, 9);
  alter table child add constraint simple foreign key (a, b) references parent not valid;
  alter table child add constraint whole foreign key (a, b) references parent match full not valid;
  create table "Odd Root" (id int primary key) partition by range (id);
  create table odd_leaf partition of "Odd Root" for values from (0) to (100);
  insert into "Odd Root" values (5);
  create table events (id int, odd int references "Odd Root") partition by range (id);
  create table events_1 partition of events for values from (0) to (100);
  insert into events values (1, 5), (2, null);
  set session_replication_role = replica;
  insert into events values (3, 6), (4, 7);
  reset session_replication_role;
  create sequence counter start 7;
  select nextval('counter');
  create role reader login;
  grant usage on schema public to reader;
  grant select on parent to reader;`

describe.each(availableMajors())('PostgreSQL %d', (major) => {
  let server: TestServer
  let url: string
  beforeAll(async () => {
    server = await startServer(major, { settings: { log_statement: 'all' } })
    url = await server.createDatabase('shop')
    await server.psql('shop', `${SCHEMA} alter role reader password '${server.password}'`)
  })
  afterAll(async () => await server?.stop())

  test('what it is, what it holds, and what does not fit together', async () => {
    const live = await look(url)
    const identifier = await server.psql('shop', 'select system_identifier from pg_control_system()')
    expect(live).toMatchObject({ systemIdentifier: identifier, database: 'shop', standby: false, unreadable: [] })
    expect(Math.abs(live.clockSkewSeconds)).toBeLessThan(5)
    expect(live.inventory.tables.map(({ identity }) => identity)).toContain('public."Odd Root"')
    expect(live.foreignKeys).toEqual([
      { name: 'simple', table: 'public.child', references: 'public.parent', unproven: 'NOT VALID', unmatched: 2 },
      { name: 'whole', table: 'public.child', references: 'public.parent', unproven: 'NOT VALID', unmatched: 3 },
    ])
    expect(live.wal).toMatchObject({ archiveMode: 'off', standby: false })
    const log = (await server.log()).split('\n').filter((line) => line.includes('statement: '))
    const ours = log.slice(log.findLastIndex((line) => line.includes('default_transaction_read_only = on')))
    expect(ours.some((line) => /begin transaction isolation level repeatable read, read only/.test(line))).toBe(true)
    expect(
      ours.filter((line) => /statement: \s*(insert|update|delete|create|alter|drop|truncate)/i.test(line)),
    ).toEqual([])
  })

  test('of named tables every foreign key is counted, from the root on; partitions come with it', async () => {
    const { foreignKeys } = await look(url, { tables: ['events'] })
    expect(foreignKeys.find(({ table }) => table === 'public.events')).toEqual({
      name: 'events_odd_fkey',
      table: 'public.events',
      references: 'public."Odd Root"',
      unmatched: 2,
    })
  })

  test('a role that may not read everything is told of what it lacks, and counts nothing it may not see', async () => {
    const live = await look(server.url('shop', 'reader'))
    expect(live.unreadable.map(({ identity }) => identity)).toEqual(
      expect.arrayContaining(['public.child', 'public.events', 'public.counter']),
    )
    expect(live.foreignKeys.map(({ reason }) => reason)).toEqual(['no privilege', 'no privilege'])
    expect(live.inventory.sequences.map(({ lastValue }) => lastValue)).toEqual([null])
  })

  test('which tables were there when a snapshot was taken', async () => {
    await server.psql('shop', 'create table before_it (id int)')
    const xmin = BigInt(await server.psql('shop', 'select pg_snapshot_xmin(pg_current_snapshot())'))
    await server.psql('shop', 'create table after_it (id int)')
    const { inventory, tableWrites } = await look(url)
    const wrote = (name: string) => tableWrites.get(inventory.tables.find((table) => table.name === name)?.oid ?? 0)
    expect(wrote('before_it')).toBeLessThan(xmin)
    expect(wrote('after_it')).toBeGreaterThanOrEqual(xmin)
    await server.psql('shop', 'drop table before_it, after_it')
  })

  test('what somebody holds is not waited for, and a long count is given up', async () => {
    const holder = server.psql('shop', 'begin; lock table parent; select pg_sleep(60)').catch(() => undefined)
    const held = `from pg_locks where mode = 'AccessExclusiveLock' and granted and relation = 'parent'::regclass`
    await until(async () => (await server.psql('shop', `select count(*) ${held}`)) === '1')
    await expect(look(url, { patience: { lock: 0.1 } })).rejects.toMatchObject({ code: 'locked' })
    await server.psql('shop', `select pg_terminate_backend(pid) ${held}`)
    await holder
    const { foreignKeys } = await look(url, { patience: { count: 0.000_05 } })
    expect(foreignKeys.map(({ reason }) => reason)).toEqual(['takes too long', 'takes too long'])
  })

  if (major >= 18) {
    test('foreign keys that are not enforced are counted, those about periods are not', async () => {
      await server.psql(
        'shop',
        `create extension btree_gist;
         create table loose (odd int references "Odd Root" not enforced); insert into loose values (77);
         create table era (id int, at daterange, primary key (id, at without overlaps));
         create table visit (id int, at daterange, foreign key (id, period at) references era (id, period at) not enforced)`,
      )
      const { foreignKeys } = await look(url)
      expect(foreignKeys.filter(({ unproven }) => unproven === 'NOT ENFORCED')).toMatchObject([
        { table: 'public.loose', unmatched: 1 },
        { table: 'public.visit', reason: 'about periods' },
      ])
    })
  }
})

describe('the WAL archive', () => {
  const [major = 0] = availableMajors().slice(-2)
  let server: TestServer
  beforeAll(async () => {
    server = await startServer(major, { settings: { archive_mode: 'on', archive_command: '/bin/true' } })
    await server.psql('postgres', `create role watcher login password '${server.password}'`)
  })
  afterAll(async () => await server?.stop())

  const archiveBy = (command: string) =>
    server.psql('postgres', `alter system set archive_command = '${command}'; select pg_reload_conf()`)
  /** Completes a segment. */
  const fill = () =>
    server.psql('postgres', `create table if not exists w (i int); insert into w values (1); select pg_switch_wal()`)
  const stand = async (user: string, walLagSeconds = 300) =>
    (await look(server.url('postgres', user), { walLagSeconds })).wal
  const archived = () => server.psql('postgres', 'select archived_count from pg_stat_archiver')

  test('an idle server is not behind; one whose command fails is, whoever asks', async () => {
    await fill()
    await until(async () => Number(await archived()) > 0)
    expect(await stand('postgres')).toMatchObject({ archiveMode: 'on', pending: 0, lagSeconds: 0, failingSince: null })
    expect(await stand('watcher')).toMatchObject({ pending: 0, lagSeconds: 0 })
    await archiveBy('/bin/false')
    await fill()
    await fill()
    await until(async () => (await server.psql('postgres', 'select failed_count from pg_stat_archiver')) !== '0')
    const exact = await stand('postgres')
    expect(exact).toMatchObject({ pending: 2, failingSince: { segment: expect.stringMatching(/^[0-9A-F]{24}$/) } })
    expect(exact?.lagSeconds).toBeGreaterThan(0)
    const estimated = await stand('watcher')
    expect(estimated?.pending).toBeGreaterThan(0)
    expect(estimated?.lagSeconds).toBeGreaterThan(0)
  })

  test('who may not look into the directory looks twice, until the archiver has done its work', async () => {
    // The archiver waits for a minute after failures, and goes on at once when it gets other settings.
    const looking = stand('watcher', 0.001)
    await archiveBy('/bin/true')
    expect(await looking).toMatchObject({ lagSeconds: 0, failingSince: null })
  })
})

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import type pg from 'pg'
import type { Contents } from '../../src/backup-set/documents.ts'
import { codeOf, LifeboatError } from '../../src/base/errors.ts'
import { type Clock, memoryLog, systemClock } from '../../src/base/ports.ts'
import { findExcluded } from '../../src/dump/completeness.ts'
import type { DumpedDatabase } from '../../src/dump/dump-run.ts'
import { pgDumpFailure } from '../../src/dump/pg-dump.ts'
import { buildPrepareArchive } from '../../src/dump/prepare-archive.ts'
import { type HeldSnapshot, holdSnapshot } from '../../src/dump/snapshot.ts'
import { parseConnection } from '../../src/postgres/connection.ts'
import { type Database, openDatabase } from '../../src/postgres/database.ts'
import { parseToc, sequenceSets, tableDataEntries } from '../../src/postgres/toc.ts'
import { type Gate, type GateProxy, startGateProxy } from '../e2e/gate-proxy.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'
import { startClock, until } from '../until.ts'
import { codeThrownBy } from './support.ts'

const run = promisify(execFile)
const EVERYTHING = { tables: [], excludeTables: [], excludeTableData: [] }

test.each([
  ['could not obtain lock on relation "public.a"\nThis usually means that someone requested an ACCESS', 'locked-out'],
  [
    'query failed: ERROR:  canceling statement due to statement timeout\npg_dump: detail: Query was: LOCK TABLE public.a IN ACCESS SHARE MODE',
    'locked-out',
  ],
  [
    'query failed: FEHLER:  storniere Anfrage wegen Zeitüberschreitung der Anfrage\npg_dump: detail: Query was: LOCK TABLE public.a IN ACCESS SHARE MODE',
    'locked-out',
  ],
  [
    'query failed: ERROR:  permission denied for table a\npg_dump: detail: Query was: LOCK TABLE public.a',
    'pg-dump-failed',
  ],
  ['query failed: ERROR:  cache lookup failed for function 16400', 'schema-changed'],
  [
    'Dumping the contents of table "a" failed: PQgetResult() failed.\nERROR:  canceling statement due to conflict with recovery',
    'standby-conflict',
  ],
  ['query failed: FATAL:  terminating connection due to conflict with recovery', 'standby-conflict'],
  ['query failed: FATAL:  terminating connection due to administrator command', 'pg-dump-failed'],
])('pg_dump: error: %s', (said, code) => {
  const failure = pgDumpFailure({ code: 1, signal: null, stderr: `pg_dump: error: ${said}\n` }, [])
  expect(failure?.code).toBe(code)
  expect(failure?.remedy).toMatch(/.{20}/)
})

test('what the server said is told, however much pg_dump says after it', () => {
  const stderr = `pg_dump: error: Dumping the contents of table "a" failed: PQgetResult() failed.
pg_dump: detail: Error message from server: ERROR:  canceling statement due to conflict with recovery
DETAIL:  User query might have needed to see row versions that must be removed.
pg_dump: detail: Command was: COPY public.a (x) TO stdout;
pg_dump: error: a worker process died unexpectedly
`
  const failure = pgDumpFailure({ code: 1, signal: null, stderr }, [])
  expect(failure?.message).toContain('canceling statement due to conflict with recovery')
  expect(failure?.message).not.toContain('withheld')
})

describe.each(availableMajors())('PostgreSQL %i', (major) => {
  let server: TestServer
  let temp: string
  let gates: GateProxy
  const opened: Database[] = []

  beforeAll(async () => {
    temp = await mkdtemp(join(tmpdir(), 'lifeboat-snapshot-'))
    server = await startServer(major)
    gates = await startGateProxy(server.port)
  })

  afterAll(async () => {
    await Promise.all(opened.map((database) => database.close()))
    await gates?.stop()
    await server?.stop()
    await rm(temp, { recursive: true, force: true })
  })

  async function open(
    name: string,
    sql: string,
    options: { encoding?: string; collate?: string; ctype?: string; gated?: boolean } = {},
  ) {
    const direct = await server.createDatabase(name, options)
    const url = options.gated ? direct.replace(`:${server.port}/`, `:${gates.port}/`) : direct
    await server.psql(name, sql)
    const database = await openDatabase(parseConnection(url, {}), { temp, log: memoryLog(), env: process.env })
    opened.push(database)
    return database
  }

  const signal = new AbortController().signal

  function hold(database: Database, lockWaitSeconds = 10): Promise<HeldSnapshot> {
    return holdSnapshot({ database, patterns: EVERYTHING, lockWaitSeconds, clock: systemClock, signal })
  }

  /** Waits until so many sessions stand in the queue for a table of that database. */
  async function untilQueued(name: string, count: number): Promise<void> {
    const queued = `select count(*) from pg_locks l join pg_database d on d.oid = l.database
      where d.datname = '${name}' and l.mode = 'AccessExclusiveLock' and not l.granted`
    await until(async () => (await server.psql('postgres', queued)) === String(count))
  }

  test('ALTER TABLE … TYPE and TRUNCATE that come just before the snapshot have to wait for it to end', async () => {
    const rows = 'select generate_series(1, 1000)'
    const tables = `create table a (x int); insert into a ${rows}; create table b (x int); insert into b ${rows}`
    const database = await open('race', tables, { gated: true })
    const [emptying, changing] = await Promise.all([database.connect('emptying'), database.connect('changing')])
    const gate = gates.hold('pg_export_snapshot')
    const holding = hold(database)
    await gate.reached
    const migrated = Promise.all([
      emptying.query(`begin; truncate public.a; insert into public.a ${rows}; insert into public.a ${rows}; commit`),
      changing.query('alter table public.b alter column x type bigint'),
    ])
    await untilQueued('race', 2)
    gate.open()
    const held = await holding
    await held.assertNotRewritten()
    expect(held.inventory.objects.find(({ identity }) => identity === 'public.b.x')?.facts.type).toBe('integer')
    await untilQueued('race', 2)
    await held.release()
    await migrated
    expect(await server.psql('race', 'select count(*) from a')).toBe('2000')
    await Promise.all([emptying.end(), changing.end()])
  })

  test('while the snapshot is held, what would empty a table has to wait; what is not dumped may be rewritten', async () => {
    const database = await open(
      'held',
      'create table a (x int); create table b (x int); create materialized view m as select 1',
    )
    const held = await hold(database)
    const writer = await database.connect('migration')
    await writer.query("set lock_timeout = '200ms'")
    for (const statement of [
      'truncate public.a',
      'alter table public.b alter column x type bigint',
      'drop table public.a',
    ]) {
      await expect(writer.query(statement)).rejects.toMatchObject({ code: '55P03' })
    }
    // Before 16 whoever asks for a view's definition, as pg_dump does, keeps a lock on the view itself.
    if (major >= 16) await writer.query('refresh materialized view public.m')
    await held.assertNotRewritten()
    // Nobody can do so while it is locked, but by force.
    const [before] = (await writer.query("select relfilenode from pg_class where oid = 'public.b'::regclass")).rows
    const move = (to: number) =>
      writer.query(`update pg_class set relfilenode = ${to} where oid = 'public.b'::regclass`)
    await writer.query('set allow_system_table_mods = on')
    await move(before.relfilenode + 1)
    await expect(held.assertNotRewritten()).rejects.toMatchObject({
      code: 'rewritten-table',
      message: expect.stringMatching(/hold them empty: public\.b$/),
    })
    await move(before.relfilenode)
    expect(await held.release()).toBeGreaterThan(0)
    expect(await held.release()).toBeGreaterThan(0)
    await writer.query('truncate public.a')
    await writer.end()
  })

  test('what the patterns leave out is not locked', async () => {
    const database = await open('left_out', 'create table a (x int); create table b (x int)')
    const patterns = { ...EVERYTHING, excludeTables: ['B'] }
    const held = await holdSnapshot({ database, patterns, lockWaitSeconds: 10, clock: systemClock, signal })
    expect(held.tables.map(({ identity }) => identity)).toEqual(['public.a'])
    const writer = await database.connect('migration')
    await writer.query("set lock_timeout = '200ms'")
    await expect(writer.query('truncate public.a')).rejects.toMatchObject({ code: '55P03' })
    await writer.query('truncate public.b')
    await held.assertNotRewritten()
    await held.release()
    await writer.end()
  })

  test('a table that comes or goes between the list and the locks starts the attempt anew, but not for ever', async () => {
    const database = await open('comings', 'create table a (x int); create table b (x int)', { gated: true })
    const client = await database.connect('migration')
    const meanwhile = async (gate: Gate, statement: string) => {
      await gate.reached
      await client.query(statement)
      gate.open()
    }
    const [goes, comes] = [gates.hold('lock table only'), gates.hold('pg_export_snapshot')]
    const holding = hold(database)
    await meanwhile(goes, 'drop table public.b')
    await meanwhile(comes, 'create table public.c (x int)')
    const held = await holding
    const { rows } = await client.query<{ oid: number }>(
      "select relation as oid from pg_locks where mode = 'AccessShareLock' and granted and pid <> pg_backend_pid()",
    )
    const locked = new Set(rows.map(({ oid }) => oid))
    const { tables } = held.inventory
    expect(tables.map(({ identity, oid }) => [identity, locked.has(oid)])).toEqual([
      ['public.a', true],
      ['public.c', true],
    ])
    await held.release()
    const attempts = Array.from({ length: 5 }, () => gates.hold('pg_export_snapshot'))
    const failing = codeThrownBy(hold(database))
    for (const [number, gate] of attempts.entries()) await meanwhile(gate, `create table public.t${number} (x int)`)
    expect(await failing).toBe('tables-change')
    await client.end()
  })

  test('a table that somebody holds exclusively is named within the time to wait', async () => {
    const database = await open(
      'locked',
      'create table a (x int); create schema "S x"; create table "S x"."Order" (x int)',
    )
    const holder = await database.connect('holder')
    await holder.query('begin; lock table "S x"."Order" in access exclusive mode')
    const clock = startClock()
    const error = await hold(database, 1).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'locked', message: expect.stringContaining('"S x"."Order"') })
    expect(clock.seconds()).toBeLessThan(4)
    await holder.query('rollback')
    await holder.end()
  })

  test('a materialized view that is being refreshed for longer than the time to wait is told as a lock', async () => {
    const database = await open('refresh', 'create materialized view m as select 1')
    const holder = await database.connect('holder')
    await holder.query('begin; refresh materialized view public.m')
    expect(await codeThrownBy(hold(database, 1))).toBe('locked')
    await holder.end()
  })

  /** Waits until the session that takes the snapshot waits for a lock. */
  async function untilSnapshotWaits(name: string): Promise<void> {
    const waits = `select count(*) from pg_stat_activity
    where application_name = 'pg-lifeboat snapshot' and datname = '${name}' and wait_event_type = 'Lock'`
    await until(async () => (await server.psql('postgres', waits)) !== '0')
  }

  test('a view that is dropped while the inventory reads it, or a sequence, starts the attempt anew', async () => {
    const database = await open(
      'overtaken',
      'create table a (x int); create view v as select x from a; create sequence s',
    )
    const migration = await database.connect('migration')
    await migration.query('begin; drop view public.v; drop sequence public.s')
    const holding = hold(database)
    await untilSnapshotWaits('overtaken')
    await migration.query('commit')
    const held = await holding
    expect(held.inventory.objects.filter(({ kind }) => kind === 'view')).toEqual([])
    expect(held.inventory.sequences).toEqual([])
    await held.release()
    await migration.end()
  })

  test('a migration that has a view and wants a table which is locked already closes no circle', async () => {
    const database = await open(
      'circle',
      "create table a (x int); create view v as select x from a; alter database circle set deadlock_timeout = '2s'",
    )
    const migration = await database.connect('migration')
    // Whoever looks first gives way, and that is the dump.
    await migration.query("set deadlock_timeout = '20s'; begin; drop view public.v")
    const holding = hold(database, 60)
    await untilSnapshotWaits('circle')
    const migrated = migration
      .query('alter table public.a alter column x type bigint; create view public.v as select x from public.a; commit')
      .then(() => 'bigint')
    // On a machine so slow that the circle closes only after our own look for one, it is the migration that ends.
    const type = await migrated.catch((error: unknown) => (codeOf(error) === '40P01' ? 'integer' : codeOf(error)))
    if (type === 'integer') await migration.query('rollback')
    const held = await holding
    const column = held.inventory.objects.find(({ identity }) => identity === 'public.a.x')
    expect(column?.facts.type).toBe(type)
    await held.release()
    await server.psql('circle', 'alter database circle reset deadlock_timeout')
    await migration.end()
  })

  test('who waits for a table is told for as long as the snapshot is held', async () => {
    const database = await open('wanted', 'create table a (x int)')
    const held = await hold(database)
    expect(await held.exclusiveLocks()).toEqual([])
    await held.release()
    expect(await held.exclusiveLocks()).toEqual([])
    const again = await hold(database)
    const migration = await database.connect('migration')
    const migrated = migration.query('truncate public.a')
    await untilQueued('wanted', 1)
    expect(await again.exclusiveLocks()).toEqual([
      expect.stringMatching(/^public\.a is wanted exclusively by process \d+ \(pg-lifeboat migration\)$/),
    ])
    await again.release()
    await migrated
    await migration.end()
  })

  test('a cancelled run does not wait for the lock', async () => {
    const cancel = new AbortController()
    const url = await server.createDatabase('cancelled')
    await server.psql('cancelled', 'create table a (x int)')
    const options = { temp, log: memoryLog(), env: process.env, signal: cancel.signal }
    const database = await openDatabase(parseConnection(url, {}), options)
    const other = await openDatabase(parseConnection(url, {}), { temp, log: memoryLog(), env: process.env })
    opened.push(database, other)
    const holder = await other.connect('holder')
    await holder.query('begin; lock table public.a in access exclusive mode')
    const holding = codeThrownBy(
      holdSnapshot({
        database,
        patterns: EVERYTHING,
        lockWaitSeconds: 60,
        clock: systemClock,
        signal: cancel.signal,
      }),
    )
    await untilSnapshotWaits('cancelled')
    const clock = startClock()
    cancel.abort(new LifeboatError('cancelled', 'cancelled', 'none'))
    expect(await holding).toBe('cancelled')
    expect(clock.seconds()).toBeLessThan(10)
    await holder.end()
  })

  test('a lost connection is told by `lost`, and by the last check', async () => {
    const database = await open('lost', 'create table a (x int)')
    const held = await hold(database)
    await server.psql(
      'postgres',
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pg-lifeboat snapshot' and datname = 'lost'",
    )
    expect(await codeThrownBy(held.lost)).toBe('snapshot-lost')
    expect(await codeThrownBy(held.assertNotRewritten())).toBe('snapshot-lost')
    await held.release()
  })

  test('a connection that has nothing to do says so every 30 s, and its socket asks for a sign of life', async () => {
    const database = await open('pinged', 'create table a (x int)')
    const queries: jest.SpiedFunction<pg.Client['query']>[] = []
    const watched: Database = Object.assign(Object.create(database) as Database, {
      connect: async (purpose: string) => {
        const client = await database.connect(purpose)
        queries.push(jest.spyOn(client, 'query'))
        return client
      },
    })
    const sleeps: { milliseconds: number; wake: () => void }[] = []
    const clock: Clock = {
      now: systemClock.now,
      sleep: (milliseconds, over) =>
        new Promise((wake, fail) => {
          sleeps.push({ milliseconds, wake })
          over?.addEventListener('abort', () => fail(over.reason))
        }),
    }
    const held = await holdSnapshot({ database: watched, patterns: EVERYTHING, lockWaitSeconds: 10, clock, signal })
    const pings = () =>
      queries.flatMap(({ mock }) => mock.calls).filter(([query]) => String(query) === 'select 1').length
    for (let slept = 0; slept < 3; slept += 1) {
      await until(() => sleeps.length > slept)
      expect([sleeps[slept]?.milliseconds, pings()]).toEqual([30_000, slept])
      sleeps[slept]?.wake()
    }
    // The next rest begins when the answer is there.
    await until(() => sleeps.length > 3)
    expect(pings()).toBe(3)
    const [last = '', port] = (
      await server.psql(
        'postgres',
        "select query || ':' || client_port from pg_stat_activity where datname = 'pinged' and pid <> pg_backend_pid()",
      )
    ).split(':')
    expect(last).toBe('select 1')
    // The kernel's own list of sockets: the timer that runs for this one is the one of keepalive.
    const local = `0100007F:${Number(port).toString(16).toUpperCase().padStart(4, '0')}`
    const socketOf = async () =>
      (await readFile('/proc/net/tcp', 'utf8')).split('\n').find((line) => line.split(/ +/)[2] === local)
    await until(async () => / 02:[0-9A-F]{8} /.test((await socketOf()) ?? ''))
    await held.release()
  })

  test('a released snapshot is not a lost one', async () => {
    const database = await open('released', 'create table a (x int)')
    const held = await hold(database)
    await held.release()
    const silence = new Promise((resolve) => setTimeout(resolve, 300, 'silence'))
    expect(await Promise.race([held.lost.catch(() => 'lost'), silence])).toBe('silence')
  })

  /** pg_dump's table of contents of a database, and the snapshot's inventory. */
  async function dumped(database: Database, encoding: string) {
    const held = await hold(database)
    await held.release()
    const directory = join(temp, `dump-${database.settings.database}`)
    const args = ['--format=directory', '--compress=0', `--encoding=${encoding}`, `--file=${directory}`]
    await run(join(server.bin, 'pg_dump'), args, { env: await database.toolEnvironment() })
    const { stdout } = await run('cat', [join(directory, 'toc.dat')], { encoding: 'buffer' })
    const toc = parseToc(stdout)
    const largeObjects = { count: 0, fingerprint: { rows: 0, bytes: 0, sum: '' } }
    return { toc, inventory: held.inventory, dump: { toc, largeObjects } as unknown as DumpedDatabase }
  }

  test.each([
    ['WIN1252', 'Größe €'],
    ['LATIN1', 'Ã¤Größe'],
    ['LATIN2', 'Łódź'],
    ['WIN1251', 'Заказы'],
    ['KOI8R', 'Заказы'],
    ['EUC_JP', '注文'],
  ])('a database in %s is found complete, and its names are read as they are', async (encoding, name) => {
    const sql = `create schema "${name}"; create table "${name}"."${name}" (id serial, "x ${name}" text); create sequence "${name}"`
    const database = await open(`in ${encoding}`, sql, { encoding, collate: 'C', ctype: 'C' })
    const { inventory, dump, toc } = await dumped(database, encoding)
    expect(findExcluded(inventory, dump, { partial: false, standby: false })).toEqual([])
    const [entry] = tableDataEntries(toc)
    expect([entry?.schema, entry?.name, entry?.columns]).toEqual([name, name, `(id, "x ${name}")`])
    const names = (sequences: readonly { schema: string; name: string }[]) =>
      sequences.map((sequence) => `${sequence.schema}.${sequence.name}`).sort()
    expect(names(sequenceSets(toc))).toEqual(names(inventory.sequences))
  })

  test('a table, a sequence or a large object that the archive lacks ends the dump', async () => {
    const database = await open('complete', 'create table a (id serial); create sequence s; create table b (x int)')
    const { toc, inventory, dump } = await dumped(database, 'UTF8')
    const whole = { partial: false, standby: false }
    expect(findExcluded(inventory, dump, whole)).toEqual([])
    for (const [desc, tag] of [
      ['TABLE DATA', 'b'],
      ['SEQUENCE SET', 's'],
      ['SEQUENCE SET', 'a_id_seq'],
    ]) {
      const entries = toc.entries.filter((entry) => entry.desc !== desc || entry.tag !== tag)
      expect(entries.length).toBe(toc.entries.length - 1)
      expect(() => findExcluded(inventory, { ...dump, toc: { ...toc, entries } }, whole)).toThrow(String(tag))
    }
    expect(() => findExcluded({ ...inventory, largeObjects: 1 }, dump, whole)).toThrow('large objects')
    const oids = inventory.tables.map(({ oid }) => oid)
    const entries = toc.entries.filter(({ desc, tag }) => desc !== 'TABLE DATA' || tag !== 'b')
    const partial = (read: number[]) => () =>
      findExcluded(inventory, { ...dump, toc: { ...toc, entries } }, { ...whole, partial: true, read: new Set(read) })
    expect(partial(oids)).toThrow('public.b')
    expect(partial([])).toThrow('public.a, which was not locked')
    const a = inventory.tables.find(({ name }) => name === 'a')?.oid ?? 0
    expect(partial([a])()).toEqual([{ schema: 'public', name: 'b', reason: 'not selected' }])
  })

  test('the archive that a restore by hand begins with makes roles and settings, also those of awkward names', async () => {
    await server.createDatabase('prepared')
    const directory = join(temp, 'prepare')
    await mkdir(directory)
    const settings = [
      { role: null, name: 'search_path', value: '"$user", "S x", public' },
      { role: null, name: 'app.motto', value: "it's $do$ and \\ fine" },
      { role: 'o"ne', name: 'work_mem', value: '8MB' },
      { role: null, name: 'no_such_setting_at_all', value: 'x' },
    ]
    const contents = {
      roles: ['o"ne', "tw'o", 'trigger owner'],
      databaseFacts: { settings },
      inventory: { superuserRoles: ['trigger owner'] },
    }
    await writeFile(join(directory, 'toc.dat'), buildPrepareArchive(contents as unknown as Contents))
    const env = { PGPASSWORD: server.password, PATH: process.env.PATH, LC_ALL: 'C' }
    const place = ['-h', '127.0.0.1', '-p', String(server.port), '-U', 'postgres', '--dbname=prepared']
    const restore = () => run(join(server.bin, 'pg_restore'), ['--no-owner', ...place, directory], { env })
    // What the server refuses is told, and the rest is done; roles that are there already are left as they are.
    for (let time = 1; time <= 2; time += 1) {
      const stderr = await restore().then(
        () => 'nothing was refused',
        (error: { stderr: string }) => error.stderr,
      )
      expect(stderr).toContain('no_such_setting_at_all')
      expect(stderr).toContain('errors ignored on restore: 1')
    }
    const roles =
      "select string_agg(rolname || ':' || rolcanlogin || ':' || rolsuper, ' ' order by rolname) from pg_roles"
    expect(await server.psql('prepared', `${roles} where rolname in ('o"ne', 'tw''o', 'trigger owner')`)).toBe(
      `o"ne:false:false trigger owner:false:true tw'o:false:false`,
    )
    const taken = await server.psql('prepared', 'select unnest(setconfig) from pg_db_role_setting order by 1')
    expect(taken.split('\n').sort()).toEqual(
      [`app.motto=it's $do$ and \\ fine`, 'search_path="$user", "S x", public', 'work_mem=8MB'].sort(),
    )
  })
})

import { zstdDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import type { ActionResult } from '../../scripts/lib/local-runner.ts'
import type { Contents, Manifest } from '../../src/backup-set/documents.ts'
import type { Inventory } from '../../src/postgres/inventory.ts'
import type { DumpReport } from '../../src/reports/report.ts'
import { installExtension, type TestExtension } from '../gauntlet/support.ts'
import { availableMajors, type TestServer } from '../support/postgres.ts'
import { type Standby, startStandby } from '../support/standby.ts'
import { startClock, until } from '../until.ts'
import { type Gate, type GateProxy, startGateProxy } from './gate-proxy.ts'
import { expectRefusal, plainText } from './refusal.ts'
import { expectExit, Lab, reportOf, type TestStorage } from './support.ts'

/** What a source may be like: amid a migration, a standby, hurried by timeouts, read by a role that may do little. */
const lab = new Lab()
afterAll(() => lab.close(), 120_000)

const MAJORS = availableMajors()
const MAPPING_PASSWORD = 'far-away-secret'
lab.secrets.add(MAPPING_PASSWORD)

/** Waits until the query, one row with one column, says so. */
function untilTrue(client: pg.Client, query: string): Promise<void> {
  return until(async () => (await client.query<{ yes: boolean }>(`select (${query}) as yes`)).rows[0]?.yes === true)
}

async function connect(connectionString: string, application: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString, application_name: application })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** Waits for something that happens while the action runs; fails with its log if that ended before. */
async function whileRunning(running: Promise<ActionResult>, happens: Promise<void>): Promise<void> {
  const ended = running.then((result) => expectExit({ ...result, exitCode: null }, 0))
  await Promise.race([happens, ended])
  ended.catch(() => undefined)
  happens.catch(() => undefined)
}

function through(url: string, { port }: GateProxy): string {
  return url.replace(/:\d+\//, `:${port}/`)
}

async function contentsOf(storage: TestStorage, database: string, id: string): Promise<Contents> {
  const bytes = await storage.storage.read(`${database}/sets/${id}/contents.json.zst`)
  return JSON.parse(zstdDecompressSync(bytes).toString('utf8'))
}

function typeOf(contents: Contents, column: string): unknown {
  const { objects } = contents.inventory as Inventory
  return objects.find(({ kind, identity }) => kind === 'column' && identity === column)?.facts.type
}

describe('a migration that waits for a table', () => {
  interface Place {
    database: string
    proxy: GateProxy
    url: string
    migration: pg.Client
    watcher: pg.Client
    storage: TestStorage
  }

  async function makePlace(major: number, database: string): Promise<Place> {
    const server = await lab.server(major)
    const url = await server.createDatabase(database)
    await server.psql(database, `create table orders (id int primary key, amount int); ${FILL}`)
    return {
      database,
      proxy: await startGateProxy(server.port),
      url,
      migration: await connect(url, 'migrate'),
      watcher: await connect(url, 'watcher'),
      storage: await lab.storage('directory'),
    }
  }

  const FILL = 'insert into public.orders select i, i from generate_series(1, 4321) i'
  /** No reader ever sees the table empty, but whose snapshot is older than this, and whose lock is younger. */
  const EMPTY_AND_FILL = `begin; truncate public.orders; ${FILL}; commit`
  const alter = (type: string) => `alter table public.orders alter column amount type ${type}`

  /** One of each on each major. */
  let places: Place[] = []
  let others: Place[] = []

  beforeAll(async () => {
    const make = (name: string) => Promise.all(MAJORS.map((major) => makePlace(major, name)))
    ;[places, others] = [await make('deeds'), await make('acts')]
  })
  afterAll(async () => {
    for (const { migration, watcher, proxy } of [...places, ...others]) {
      await Promise.all([migration.end(), watcher.end()])
      await proxy.stop()
    }
  })

  /** Migrates while the dump is held at the gate, which opens when the migration waits. Seconds it waited. */
  async function migrateAt(
    gate: Gate,
    running: Promise<ActionResult>,
    place: Place,
    statement: string,
  ): Promise<number> {
    await whileRunning(running, gate.reached)
    const clock = startClock()
    const migrated = place.migration.query(statement)
    const queued = `exists (select from pg_locks l join pg_database d on d.oid = l.database
      where l.mode = 'AccessExclusiveLock' and not l.granted and d.datname = current_database())`
    await untilTrue(place.watcher, queued)
    gate.open()
    await migrated
    return clock.seconds()
  }

  function dump({ storage, url, proxy }: Place, inputs: Record<string, string> = {}): Promise<ActionResult> {
    return lab.run('action-dump', storage, { 'database-url': through(url, proxy), jobs: '2', ...inputs })
  }

  /** It gave way, and made a set whose table is not empty. */
  async function expectGaveWay(place: Place, result: ActionResult, type = 'integer'): Promise<void> {
    expectExit(result, 0)
    const { 'backup-id': id = '' } = result.outputs
    const contents = await contentsOf(place.storage, place.database, id)
    expect(typeOf(contents, 'public.orders.amount')).toBe(type)
    expect(contents.tables.map(({ fingerprint }) => fingerprint.rows)).toEqual([4321])
    expect(await place.storage.keys(`${place.database}/heads/${id}`)).toHaveLength(1)
    const { findings } = await reportOf<DumpReport>(result)
    expect(findings).toEqual([
      {
        severity: 'warning',
        message: expect.stringMatching(
          /gave way to a migration and started anew .*public\.orders is wanted exclusively by process \d+ \(migrate\)/,
        ),
        remedy: expect.stringContaining('concurrency'),
      },
    ])
    expect(result.log.join('\n')).toMatch(/Warning: .*the dump starts anew/)
    expect(plainText(result.summary)).toContain('gave way to a migration')
  }

  async function expectOneSet({ storage, database }: Place): Promise<void> {
    expect(await storage.keys(`${database}/heads/`)).toHaveLength(1)
  }

  /** Once before our own locks are held, and once between them and the snapshot. */
  async function truncateTwice(place: Place): Promise<void> {
    const [early, late] = [place.proxy.hold('lock table only'), place.proxy.hold('pg_export_snapshot')]
    const running = dump(place, { 'lock-wait-timeout': '3s' })
    await whileRunning(running, early.reached)
    await place.migration.query(EMPTY_AND_FILL)
    early.open()
    await migrateAt(late, running, place, EMPTY_AND_FILL)
    await expectGaveWay(place, await running)
    await expectOneSet(place)
  }

  test('before pg_dump has its locks: it goes first, and the dump starts anew', async () => {
    const altered = places.map(async (place) => {
      const gate = place.proxy.hold('LOCK TABLE')
      const running = dump(place)
      const migration = `begin; ${alter('bigint')}; truncate public.orders; ${FILL}; commit`
      const waited = await migrateAt(gate, running, place, migration)
      await expectGaveWay(place, await running, 'bigint')
      // Ten seconds are promised; `lock-wait-timeout` is a minute.
      expect(waited).toBeLessThan(30)
      await expectOneSet(place)
    })
    // Side by side, for most of it is waiting.
    await Promise.all([...altered, ...others.map(truncateTwice)])
  })

  test('in the middle of the dump, when a worker asks for its lock', async () => {
    await Promise.all(
      places.map(async (place) => {
        const gate = place.proxy.hold('LOCK TABLE public.orders IN ACCESS SHARE MODE NOWAIT')
        const running = dump(place)
        await migrateAt(gate, running, place, alter('numeric'))
        await expectGaveWay(place, await running, 'numeric')
      }),
    )
  })

  test('a second one in the same run ends it: who stands in the way is told, and no set is made', async () => {
    const endTwice = async (place: Place) => {
      const heads = await place.storage.keys('deeds/heads/')
      const nowait = 'LOCK TABLE public.orders IN ACCESS SHARE MODE NOWAIT'
      const [first, second] = [place.proxy.hold(nowait), place.proxy.hold(nowait)]
      const running = dump(place)
      await migrateAt(first, running, place, alter('int'))
      await migrateAt(second, running, place, alter('bigint'))
      const result = await running
      expectRefusal(
        result,
        'failed',
        /public\.orders is wanted exclusively by process \d+ \(migrate\)[^\n]*\n?.*concurrency/,
      )
      expect((await reportOf<DumpReport>(result)).error?.code).toBe('locked-out')
      expect(await place.storage.keys('deeds/heads/')).toEqual(heads)
    }
    await Promise.all(places.map(endTwice))
  })
})

/** Dumps as a role with timeouts, and holds it up at every place until all of them have passed. */
async function dumpHurried(major: number): Promise<void> {
  const server = await lab.server(major)
  const url = await server.createDatabase('hurry')
  await server.psql(
    'hurry',
    `create table pages (id int, body text); insert into pages select i, repeat(md5(i::text), 64) from generate_series(1, 12000) i;
     create role hurried login password '${server.password}' in role pg_read_all_data;
     alter role hurried set statement_timeout = '1s'; alter role hurried set lock_timeout = '500ms';
     alter role hurried set idle_in_transaction_session_timeout = '1s'; alter role hurried set idle_session_timeout = '2s';
     ${major >= 17 ? "alter role hurried set transaction_timeout = '2s'" : ''}`,
  )
  const [holder, watcher] = [await connect(url, 'holder'), await connect(url, 'watcher')]
  const proxy = await startGateProxy(server.port)
  const storage = await lab.storage('directory')
  const anyLonger = (seconds: number, since: string, condition: string) =>
    `exists (select from pg_stat_activity where usename = 'hurried'
      and clock_timestamp() - ${since} > '${seconds}s' and ${condition})`
  const holdsSnapshot = "application_name = 'pg-lifeboat snapshot' and state like 'idle in%'"
  try {
    await holder.query('begin; lock table public.pages in access exclusive mode')
    const gate = proxy.hold('COPY public.pages', 'answer')
    const own = through(server.url('hurry', 'hurried'), proxy)
    const running = lab.run('action-dump', storage, { 'database-url': own, jobs: '2' })
    await whileRunning(running, untilTrue(watcher, anyLonger(1.2, 'query_start', "wait_event_type = 'Lock'")))
    await holder.query('rollback')
    await whileRunning(running, gate.reached)
    await whileRunning(
      running,
      untilTrue(watcher, anyLonger(2.2, 'query_start', "state = 'active' and query like 'COPY%'")),
    )
    await whileRunning(running, untilTrue(watcher, anyLonger(2.2, 'state_change', holdsSnapshot)))
    gate.open()
    const dump = await running
    expectExit(dump, 0)
    expect(dump.outputs).toMatchObject({ rows: '12000' })
  } finally {
    await Promise.all([holder.end(), watcher.end()])
    await proxy.stop()
  }
}

test('the timeouts of the role do not end a dump that lasts longer than all of them', async () => {
  await Promise.all(MAJORS.map(dumpHurried))
})

describe.each(MAJORS)('PostgreSQL %i', (major) => {
  let server: TestServer

  beforeAll(async () => {
    server = await lab.server(major)
  })

  describe('as a standby', () => {
    let standby: Standby
    let eye: pg.Client

    beforeAll(async () => {
      await server.createDatabase('ledger')
      await server.psql(
        'ledger',
        `create role bookkeeper; create role reader login password '${server.password}' in role pg_read_all_data;
         create table entries (id bigint generated always as identity primary key, amount numeric);
         alter table entries owner to bookkeeper; insert into entries (amount) select i / 7.0 from generate_series(1, 3000) i;
         create unlogged table cache (id bigint generated always as identity, body text); insert into cache (body) values ('x');
         create sequence numbers; select setval('numbers', 41); select lo_from_bytea(0, 'content');
         do $$ declare id oid; begin for id in select oid from pg_largeobject_metadata loop
           execute 'grant select on large object ' || id || ' to reader'; end loop; end $$`,
      )
      standby = await startStandby(server)
      eye = await connect(standby.url('ledger'), 'eye')
    })
    afterAll(async () => {
      await eye?.end()
      await standby?.stop()
    })

    test('it is dumped like a primary, without the rows that it does not have', async () => {
      const storage = await lab.storage('directory')
      const dump = await lab.run('action-dump', storage, { 'database-url': standby.url('ledger', 'reader') })
      expectExit(dump, 0)
      const { 'backup-id': id = '' } = dump.outputs
      const { source } = await storage.json<Manifest>(`ledger/sets/${id}/manifest.json`)
      expect(source).toMatchObject({ standby: true, lsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/) })
      expect(source.systemIdentifier).toMatch(/^\d+$/)
      const { excluded, roles } = await contentsOf(storage, 'ledger', id)
      expect(excluded).toEqual([
        { schema: 'public', name: 'cache', reason: 'unlogged: a standby has no rows of it' },
        { schema: 'public', name: 'cache_id_seq', reason: 'unlogged: a standby has no value of it' },
      ])
      expect(roles).toContain('bookkeeper')
      expect(plainText(dump.summary)).toContain('public.cache (unlogged: a standby has no rows of it)')
      const restored = await lab.run('action-restore-test', storage)
      expectExit(restored, 0)
      expect(restored.outputs).toMatchObject({ verdict: 'passed', 'rows-proven': '3000' })
    })

    test('a dump that it cancels for the sake of its replay names the settings that prevent it', async () => {
      const proxy = await startGateProxy(standby.port)
      const storage = await lab.storage('directory')
      try {
        await eye.query("alter system set max_standby_streaming_delay = '0'")
        await eye.query('select pg_reload_conf()')
        const gate = proxy.hold('COPY public.entries')
        const running = lab.run('action-dump', storage, { 'database-url': through(standby.url('ledger'), proxy) })
        await whileRunning(running, gate.reached)
        await server.psql('ledger', 'delete from entries where id % 2 = 0; vacuum entries')
        await untilTrue(
          eye,
          'select confl_snapshot > 0 from pg_stat_database_conflicts where datname = current_database()',
        )
        gate.open()
        const result = await running
        expectRefusal(
          result,
          'failed',
          /conflict with recovery[^\n]*\n?.*hot_standby_feedback.*max_standby_streaming_delay/,
        )
        expect((await reportOf<DumpReport>(result)).error?.code).toBe('standby-conflict')
        expect(await storage.keys('ledger/heads/')).toEqual([])
      } finally {
        await proxy.stop()
      }
    })
  })

  describe('by a role that is no superuser', () => {
    let extension: TestExtension
    let storage: TestStorage

    beforeAll(async () => {
      extension = await installExtension(server)
      storage = await lab.storage('directory')
      await server.createDatabase('estate')
      await server.psql('estate', estate(extension.name, server.password))
    })
    afterAll(() => extension?.remove())

    /** Dumps as that role, which may not; runs every statement that it is told; dumps again, which must go well. */
    async function dumpTwice(role: string): Promise<{ refused: string[]; dump: ActionResult }> {
      const url = server.url('estate', role)
      const first = await lab.run('action-dump', storage, { 'database-url': url })
      expectRefusal(first, 'failed', new RegExp(`The role ${role} cannot read \\d+ objects`))
      const { findings } = await reportOf<DumpReport>(first)
      const failures = findings.filter(({ severity }) => severity === 'failure')
      for (const { remedy = '' } of failures) await server.psql('estate', remedy)
      const dump = await lab.run('action-dump', storage, { 'database-url': url })
      expectExit(dump, 0)
      return { refused: failures.map(({ message }) => message.replace(/:.*/, '')), dump }
    }

    /** What pg_dump leaves out for want of a superuser is told by name. */
    async function expectTold(dump: ActionResult): Promise<void> {
      const { findings } = await reportOf<DumpReport>(dump)
      expect(findings.filter(({ severity }) => severity === 'warning').map(({ message }) => message)).toEqual([
        expect.stringMatching(/Not in the set.*subscriptions feed$/),
        expect.stringMatching(/without their options.*user mappings PUBLIC on server far, estate_owner on server far$/),
      ])
      expect(plainText(dump.summary)).toMatch(/subscriptions feed/)
    }

    test('pg_read_all_data alone: row security and large objects are what it lacks', async () => {
      const { refused, dump } = await dumpTwice('reader_of_all')
      expect(refused.sort()).toEqual(['large objects estate_owner', 'row security public.tenants'])
      await expectTold(dump)
    })

    test('no grant at all: everything is listed at once, and the listed statements are enough', async () => {
      const { refused, dump } = await dumpTwice('weak')
      expect(refused.sort()).toEqual([
        'large objects estate_owner',
        'row security public.tenants',
        'schema hidden',
        'sequence hidden.deeds_id_seq',
        'sequence hidden.numbers',
        'sequence public.gauntlet_seq',
        'table hidden.deeds',
        'table hidden.parts',
        'table hidden.parts_1',
        'table public.gauntlet_all',
        'table public.gauntlet_config',
        'table public.tenants',
      ])
      await expectTold(dump)
      const restored = await lab.run('action-restore-test', storage, { backup: dump.outputs['backup-id'] ?? '' })
      expectExit(restored, 0)
      expect(restored.outputs).toMatchObject({ verdict: 'passed', 'tables-proven': '6', 'rows-proven': '1226' })
    })
  })
})

/** Some of everything that a role may be kept from; `extension` has configuration tables and a sequence. */
function estate(extension: string, password: string): string {
  return `
    create role estate_owner;
    create role weak login password '${password}';
    create role reader_of_all login password '${password}' in role pg_read_all_data;
    create schema hidden authorization estate_owner;
    create table hidden.deeds (id serial primary key, body text);
    insert into hidden.deeds (body) select 'deed ' || i from generate_series(1, 700) i;
    create table hidden.parts (id int) partition by range (id);
    create table hidden.parts_1 partition of hidden.parts for values from (0) to (1000);
    insert into hidden.parts select generate_series(1, 400);
    create sequence hidden.numbers; select setval('hidden.numbers', 77);
    create view hidden.summary as select count(*) from hidden.deeds;
    create materialized view hidden.totals as select count(*) as n from hidden.deeds;
    create function hidden.twice(n int) returns int language plpgsql security definer as 'begin return 2 * n; end';
    create procedure hidden.clear() language sql as 'delete from hidden.parts where false';
    create function hidden.stamp() returns trigger language plpgsql as 'begin return new; end';
    create trigger stamp before insert on hidden.deeds for each row execute function hidden.stamp();
    revoke all on function hidden.twice(int) from public;
    alter table hidden.deeds owner to estate_owner; alter function hidden.twice(int) owner to estate_owner;
    create table public.open as select i as id from generate_series(1, 100) i; grant select on public.open to weak;
    create table public.tenants as select i as id from generate_series(1, 25) i;
    alter table public.tenants enable row level security;
    create policy odd on public.tenants using (id % 2 = 1);
    select lo_from_bytea(81001, 'plan'), lo_from_bytea(81002, 'map');
    alter large object 81001 owner to estate_owner; alter large object 81002 owner to estate_owner;
    create extension postgres_fdw;
    create server far foreign data wrapper postgres_fdw options (host 'far.invalid');
    create foreign table hidden.remote (id int) server far;
    create user mapping for estate_owner server far options (user 'far', password '${MAPPING_PASSWORD}');
    create user mapping for public server far options (user 'guest');
    create publication news for table public.open;
    create subscription feed connection 'host=far.invalid' publication news with (connect = false, slot_name = none);
    create extension ${extension};
    insert into gauntlet_config values ('ours', 'kept');`
}

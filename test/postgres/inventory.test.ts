import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import {
  compareInventories,
  type Inventory,
  type InventoryDifference,
  type InventoryObject,
  readInventory,
} from '../../src/postgres/inventory.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'

const run = promisify(execFile)
const FIXTURE = new URL('../fixtures/structure.sql', import.meta.url)

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, options: '-c TimeZone=UTC' })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** Runs `work` in a transaction that never happened. */
function withRollback<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  return withClient(url, async (client) => {
    await client.query('begin isolation level repeatable read')
    try {
      return await work(client)
    } finally {
      await client.query('rollback')
    }
  })
}

/** A statement and the one difference that it must make: kind, identity, difference, fact. */
type Change = [
  sql: string,
  kind: string,
  identity: string,
  difference: InventoryDifference['difference'],
  fact?: string,
]

const CHANGES: Change[] = [
  ['drop index app.customer_brin', 'index', 'app.customer_brin', 'missing'],
  ['create index extra_index on app.target (id)', 'index', 'app.extra_index', 'extra'],
  ['alter index app.customer_trgm reset (fastupdate)', 'index', 'app.customer_trgm', 'changed', 'options'],
  [
    `create or replace function app.noop() returns trigger language plpgsql as $$begin return new; end$$`,
    'function',
    'app.noop()',
    'changed',
    'source',
  ],
  ['alter function app.stamp() security invoker', 'function', 'app.stamp()', 'changed', 'securityDefiner'],
  ['alter function app.stamp() reset work_mem', 'function', 'app.stamp()', 'changed', 'settings'],
  [
    'grant execute on function app.add(integer, integer) to public',
    'function',
    'app.add(integer,integer)',
    'changed',
    'acl',
  ],
  ['alter policy own_rows on app.booking to public', 'policy', 'app.booking.own_rows', 'changed', 'roles'],
  ['drop policy no_more on app.booking', 'policy', 'app.booking.no_more', 'missing'],
  ['alter table app.booking disable row level security', 'table', 'app.booking', 'changed', 'rowSecurity'],
  ['alter table app.booking replica identity default', 'table', 'app.booking', 'changed', 'replicaIdentity'],
  ['alter table app.booking enable trigger quiet_one', 'trigger', 'app.booking.quiet_one', 'changed', 'enabled'],
  ['alter table app.booking validate constraint unproven', 'constraint', 'app.booking.unproven', 'changed', 'notValid'],
  [
    'alter table app.booking alter constraint booking_customer_id_fkey not deferrable',
    'constraint',
    'app.booking.booking_customer_id_fkey',
    'changed',
    'deferrable',
  ],
  ['revoke insert on app.customer from "structure reader" cascade', 'table', 'app.customer', 'changed', 'acl'],
  ['revoke select (email) on app.customer from "structure""app"', 'column', 'app.customer.email', 'changed', 'acl'],
  ['alter table app.customer alter column tags drop default', 'column', 'app.customer.tags', 'changed', 'default'],
  ['alter table app.customer alter column changed type timestamp', 'column', 'app.customer.changed', 'changed', 'type'],
  ['alter table app.customer add column more integer', 'column', 'app.customer.more', 'extra'],
  ['alter table app.scratch set logged', 'table', 'app.scratch', 'changed', 'unlogged'],
  ['drop table app.nothing', 'table', 'app.nothing', 'missing'],
  ['alter table app.serials owner to structure_owner', 'table', 'app.serials', 'changed', 'owner'],
  [`comment on table app.target is 'new'`, 'table', 'app.target', 'changed', 'comment'],
  [`alter type app.mood rename value 'sad' to 'gloomy'`, 'enum', 'app.mood', 'changed', 'labels'],
  ['alter domain app.percent drop not null', 'domain', 'app.percent', 'changed', 'notNull'],
  ['alter domain app.percent drop constraint not_too_much', 'constraint', 'app.percent.not_too_much', 'missing'],
  ['alter view app.checked reset (check_option)', 'view', 'app.checked', 'changed', 'options'],
  ['refresh materialized view app.unpopulated', 'materialized view', 'app.unpopulated', 'changed', 'unpopulated'],
  ['alter sequence app.counter no cycle', 'sequence', 'app.counter', 'changed', 'cycle'],
  ['alter sequence app.free_sequence owned by app.target.id', 'sequence', 'app.free_sequence', 'changed', 'ownedBy'],
  ['alter event trigger watch_ddl enable', 'event trigger', 'watch_ddl', 'changed', 'enabled'],
  ['alter publication some_tables drop table app.customer', 'publication', 'some_tables', 'changed', 'tables'],
  ['drop user mapping for public server far', 'user mapping', 'PUBLIC server far', 'missing'],
  ['alter extension hstore set schema app', 'extension', 'hstore', 'changed', 'schema'],
  ['drop statistics app.customer_stats', 'statistics', 'app.customer_stats', 'missing'],
  ['drop rule quiet on app.parent', 'rule', 'app.parent.quiet', 'missing'],
  [
    'alter operator app.<<< (app.mood, app.mood) owner to structure_owner',
    'operator',
    'app.<<<(app.mood,app.mood)',
    'changed',
    'owner',
  ],
  [
    'alter text search configuration app.ts drop mapping for email',
    'text search configuration',
    'app.ts',
    'changed',
    'dictionaries',
  ],
  [
    'alter default privileges for role structure_owner grant execute on functions to public',
    'default privileges',
    'for role structure_owner on functions',
    'missing',
  ],
  ['select lo_unlink(700002)', 'large objects', 'of structure_owner', 'missing'],
  ['revoke all on schema app from "structure reader"', 'schema', 'app', 'changed', 'acl'],
]

function inOrder(differences: unknown[][]): string[] {
  return differences.map((difference) => JSON.stringify(difference)).sort()
}

describe.each(availableMajors())('the inventory of PostgreSQL %i', (major) => {
  let server: TestServer
  let source: string
  let restored: string
  let before: Inventory

  beforeAll(async () => {
    server = await startServer(major)
    source = await server.createDatabase('source', { owner: 'postgres' })
    restored = await server.createDatabase('restored')
    await server.psql('source', await readFile(FIXTURE, 'utf8'))
    await server.psql(
      'source',
      `alter database source set work_mem = '5MB'; alter role structure_owner in database source set jit = off`,
    )
    const temp = await mkdtemp(join(tmpdir(), 'lifeboat-inventory-'))
    try {
      const dump = join(temp, 'dump')
      await run(join(server.bin, 'pg_dump'), ['-Fd', '-Z0', '-f', dump, source])
      await run(join(server.bin, 'pg_restore'), ['--no-tablespaces', '-d', restored, dump])
    } finally {
      await rm(temp, { recursive: true, force: true })
    }
    before = await withClient(source, readInventory)
  })
  afterAll(() => server?.stop())

  test('a restored copy is no different', async () => {
    const after = await withClient(restored, readInventory)
    expect(compareInventories(before, after)).toEqual([])
    expect(new Set(before.objects.map((object) => object.kind)).size).toBeGreaterThan(35)
  })

  test('deparsed text does differ, which is why it is not compared', async () => {
    const after = await withClient(restored, readInventory)
    const differences = compareInventories(before, after, { definitions: true })
    expect(differences.map(({ identity, fact }) => [identity, fact])).toEqual(
      expect.arrayContaining([
        ['app.customer.kind_known', 'definition'],
        ['app.customer_view', 'definition'],
      ]),
    )
    expect(new Set(differences.map(({ fact }) => fact))).toEqual(new Set(['definition']))
  })

  test('each change makes exactly its difference', async () => {
    const found = await withRollback(restored, async (client) => {
      await client.query(`set local client_min_messages = error; set constraints all immediate`)
      for (const [sql] of CHANGES) await client.query(sql)
      return compareInventories(before, await readInventory(client))
    })
    const expected: unknown[][] = CHANGES.map(([, kind, identity, difference, fact]) => [
      kind,
      identity,
      difference,
      fact,
    ])
    // What those changes bring with them.
    expected.push(
      ['sequence', 'app.serials_a_seq', 'changed', 'owner'],
      ['sequence', 'app.serials_b_seq', 'changed', 'owner'],
      ['table', 'app.event_2026_sad', 'changed', 'bound'],
    )
    expect(inOrder(found.map(({ kind, identity, difference, fact }) => [kind, identity, difference, fact]))).toEqual(
      inOrder(expected),
    )
  })

  test('a change of a policy or a view is seen on the server itself', async () => {
    const found = await withRollback(source, async (client) => {
      await client.query(`alter policy no_more on app.booking with check (room < 101)`)
      await client.query(
        `create or replace view app.checked as select * from app.parent where a > 1 with cascaded check option`,
      )
      return compareInventories(before, await readInventory(client), { definitions: true })
    })
    expect(found.map(({ identity, fact }) => [identity, fact])).toEqual([
      ['app.booking.no_more', 'definition'],
      ['app.checked', 'definition'],
    ])
  })

  test('tables come with what a dump must know about them', async () => {
    const table = (identity: string) => before.tables.find((one) => one.identity === identity)
    const event = table('app.event')
    expect(event).toMatchObject({ kind: 'p', filenode: null, snapshotFilenode: null, isPartition: false, parents: [] })
    expect(table('app.event_2026')).toMatchObject({ kind: 'p', isPartition: true, parents: [event?.oid] })
    expect(table('app.child')).toMatchObject({ kind: 'r', isPartition: false, parents: [table('app.parent')?.oid] })
    expect(table('app.booking')).toMatchObject({ rowSecurity: true, forceRowSecurity: true })
    expect(table('app.scratch')).toMatchObject({ persistence: 'u' })
    expect(table('app.unpopulated')).toMatchObject({ kind: 'm', populated: false })
    expect(table('app.remote')).toMatchObject({ kind: 'f', bytes: 0 })
    expect(table('app.customer')).toMatchObject({ owner: 'structure_owner', populated: true })
    expect(table('app.customer')?.bytes).toBeGreaterThan(0)
    expect(table('app.customer')?.filenode).toBe(table('app.customer')?.snapshotFilenode)
    expect(table('"we.ird ""schema"."Ta.ble (x)"')).toMatchObject({ schema: 'we.ird "schema', name: 'Ta.ble (x)' })
  })

  test('sequences, settings, roles and large objects', () => {
    const counter = before.sequences.find((one) => one.name === 'counter')
    expect(counter).toMatchObject({
      lastValue: '42',
      isCalled: false,
      increment: '3',
      dataType: 'smallint',
      ownedBy: 'app.parent.a',
    })
    expect(before.sequences.find((one) => one.name === 'free_sequence')).toMatchObject({
      lastValue: '1',
      isCalled: true,
    })
    expect(before.databaseSettings).toEqual([
      { role: null, setting: 'work_mem=5MB' },
      { role: 'structure_owner', setting: 'jit=off' },
    ])
    expect(before.roles).toEqual([
      'postgres',
      'structure reader',
      'structure"app',
      'structure_admin',
      'structure_owner',
    ])
    expect(before.superuserRoles).toEqual(['postgres', 'structure_admin'])
    expect(before).toMatchObject({ largeObjects: 3, largeObjectIds: [700001, 700002, 700003] })
    expect(before.database).toMatchObject({
      name: 'source',
      owner: 'postgres',
      encoding: 'UTF8',
      localeProvider: 'libc',
      collate: 'C.UTF-8',
    })
    expect(before.serverVersion).toMatch(new RegExp(`^${major}\\.\\d+$`))
  })

  test('neither options nor connection strings are in it', () => {
    expect(JSON.stringify(before)).not.toContain('not-told')
  })

  test('a rewrite after the snapshot shows', async () => {
    const seen = await withRollback(source, async (client) => {
      await client.query('select 1 from pg_class limit 1')
      await server.psql('source', 'truncate app.scratch')
      return readInventory(client)
    })
    const rewritten = seen.tables.filter((table) => table.filenode !== table.snapshotFilenode)
    expect(rewritten.map((table) => table.identity)).toEqual(['app.scratch'])
  })

  test('the tables of an extension are marked, and its objects left out', async () => {
    const seen = await withRollback(source, async (client) => {
      await client.query(`
        create table app.plain (a integer);
        create table app.configured (a integer);
        alter extension hstore add table app.plain;
        alter extension hstore add table app.configured;
        update pg_extension set extconfig = array['app.configured'::regclass], extcondition = array['where a > 7']
          where extname = 'hstore'`)
      return readInventory(client)
    })
    const marks = seen.tables.filter((table) => table.extension === 'hstore')
    expect(marks.map(({ identity, configCondition }) => [identity, configCondition])).toEqual([
      ['app.plain', undefined],
      ['app.configured', 'where a > 7'],
    ])
    expect(compareInventories(before, seen)).toEqual([])
  })

  test('names are right whatever the encodings, and the settings of the connection stay', async () => {
    const url = await server.createDatabase('latin', { encoding: 'LATIN1', collate: 'C', ctype: 'C' })
    await server.psql('latin', 'create table "été" ("ça" integer)')
    await withClient(url, async (client) => {
      await client.query(`set client_encoding to 'LATIN1'; set search_path to public, pg_catalog`)
      const inventory = await readInventory(client)
      expect(inventory.tables.map((table) => table.identity)).toEqual(['public."été"'])
      expect(inventory.objects.map((object) => object.identity)).toContain('public."été"."ça"')
      const { rows } = await client.query(
        `select current_setting('client_encoding') as encoding, current_setting('search_path') as path`,
      )
      expect(rows).toEqual([{ encoding: 'LATIN1', path: 'public, pg_catalog' }])
    })
  })

  test('the number of queries does not grow with the number of objects', async () => {
    const count = await withRollback(source, async (client) => {
      await client.query(
        'do $$ begin for i in 1..300 loop execute format($q$create table app.many_%s (id serial primary key)$q$, i); end loop; end $$',
      )
      let queries = 0
      const counting = new Proxy(client, {
        get: (target, name) => {
          if (name === 'query') queries += 1
          const value = Reflect.get(target, name)
          return typeof value === 'function' ? value.bind(target) : value
        },
      })
      await readInventory(counting)
      return queries
    })
    expect(count).toBeLessThan(50)
  })
})

function inventory(serverVersion: string, objects: InventoryObject[]): Pick<Inventory, 'serverVersion' | 'objects'> {
  return { serverVersion, objects }
}

test('what a restore may change is marked as expected', () => {
  const source = inventory('17.12', [
    { kind: 'extension', identity: 'hstore', facts: { schema: 'public', version: '1.7' } },
    { kind: 'index', identity: 'public.broken', facts: { invalid: true } },
    { kind: 'index', identity: 'public.good', facts: {} },
    { kind: 'subscription', identity: 's', facts: {} },
  ])
  const restored = inventory('17.12', [
    { kind: 'extension', identity: 'hstore', facts: { schema: 'public', version: '1.8' } },
  ])
  const differences = compareInventories(source, restored)
  expect(differences.map(({ identity, expected }) => [identity, expected ?? false])).toEqual([
    ['hstore', true],
    ['public.broken', true],
    ['public.good', false],
    ['s', true],
  ])
})

test('another major version is no difference by itself', () => {
  const table = (acl: string[]) => ({ kind: 'table', identity: 'public.t', facts: { acl } })
  const old = inventory('16.15', [table(['a=DELETE,SELECT/o', 'b=SELECT*/o'])])
  const recent = inventory('18.6', [
    table(['a=DELETE,MAINTAIN,SELECT/o', 'b=SELECT*/o']),
    { kind: 'not-null constraint', identity: 'public.t.a', facts: { name: 't_a_not_null' } },
  ])
  expect(compareInventories(old, recent)).toEqual([])
  expect(compareInventories(recent, inventory('19.1', [table(['b=SELECT*/o'])]))).toMatchObject([
    { identity: 'public.t', fact: 'acl' },
    { identity: 'public.t.a', difference: 'missing' },
  ])
})

test('the columns of a missing table are not listed one by one', () => {
  const source = inventory('17.12', [
    { kind: 'table', identity: 'public."a.b"', facts: {} },
    { kind: 'column', identity: 'public."a.b"."c.d"', facts: {} },
    { kind: 'index', identity: 'public.i', facts: { table: 'public."a.b"' } },
    { kind: 'column', identity: 'public.other.c', facts: {} },
  ])
  expect(compareInventories(source, inventory('17.12', [])).map((one) => one.identity)).toEqual([
    'public."a.b"',
    'public.other.c',
  ])
})

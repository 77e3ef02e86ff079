import { cp, readdir, rm, stat, symlink, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { EXAMPLE_LARGE_OBJECTS, EXAMPLE_ROWS } from '../../examples/brisa/load.ts'
import { compareInventories, type Inventory, readInventory } from '../../src/postgres/inventory.ts'
import { availableMajors, type TestServer } from '../support/postgres.ts'
import { runTool, type ToolResult } from '../support/run-tool.ts'
import { connectionOf, download, EXAMPLE_DATABASE, expectExit, Lab, readGuide } from './support.ts'

/** RESTORE.md, to the letter, with nothing on the PATH but what it asks for, into a server that knows nothing of us. */
const lab = new Lab()
afterAll(() => lab.close(), 120_000)

/** What the guide names, and what every system has. */
const PROGRAMS = ['age', 'zstd', 'tar', 'sh', 'cat', 'mkdir', 'mktemp', 'rm']

const MAJORS = availableMajors()
const oldest = MAJORS[0] ?? 0
const newest = MAJORS.at(-1) ?? 0

const CASES = MAJORS.flatMap((major) => {
  const plain = major === 17 ? 's3' : 'directory'
  return [
    [`PostgreSQL ${major}, ${plain}, plain`, { major, storage: plain, encrypted: false }],
    [
      `PostgreSQL ${major}, ${plain === 's3' ? 'directory' : 's3'}, encrypted`,
      { major, storage: plain === 's3' ? 'directory' : 's3', encrypted: true },
    ],
  ] as const
})

test.each(CASES)(
  '%s',
  async (_, { major, storage: kind, encrypted }) => {
    const source = await lab.example(major)
    const storage = await lab.storage(kind)
    const keys = encrypted ? await lab.ageKeys() : undefined
    const inputs = { 'database-url': source.url(EXAMPLE_DATABASE), ...(keys && { recipients: keys.recipient }) }
    const dump = await lab.run('action-dump', storage, inputs)
    expectExit(dump, 0)
    const folder = await lab.directory('set')
    await download(storage.storage, `${EXAMPLE_DATABASE}/sets/${dump.outputs['backup-id']}/`, folder)

    const target = await lab.server(major, 'target')
    const roles = `select rolname, rolcanlogin, rolsuper from pg_roles where rolname like 'brisa%' order by 1`
    expect(await target.psql('postgres', roles)).toBe('')
    const guide = await readGuide(folder)
    const guided = new Guided(target, folder, keys && { identityFile: keys.identityFile })
    try {
      expectQuiet(await guided.run(guide.createDatabase, ['createdb']))
      const restored = await guided.run(guide.script)
      expectQuiet(restored)
      expect(restored.stdout).toBe(`restored ${dump.outputs['backup-id']} into ${EXAMPLE_DATABASE}\n`)
      expect(await guided.leftOvers()).toEqual([])

      const content = await source.psql(EXAMPLE_DATABASE, CONTENT)
      expect((await target.psql(EXAMPLE_DATABASE, CONTENT)).split('\n')).toEqual(content.split('\n'))
      expect(countRows(content)).toBe(EXAMPLE_ROWS)
      expect(content.match(/^large object /gm)).toHaveLength(EXAMPLE_LARGE_OBJECTS)
      expect(await target.psql('postgres', roles)).toBe(await source.psql('postgres', roles))
      expect(await target.psql(EXAMPLE_DATABASE, SETTINGS)).toBe(await source.psql(EXAMPLE_DATABASE, SETTINGS))
      expect(await target.psql(EXAMPLE_DATABASE, SETTINGS)).toContain('TimeZone=America/New_York')
      const inventories = [await inventoryOf(source), await inventoryOf(target)] as const
      expect(compareInventories(...inventories).filter(({ expected }) => !expected)).toEqual([])
    } finally {
      await target.psql('postgres', `drop database if exists ${EXAMPLE_DATABASE}`)
      for (const role of ['brisa_app', 'brisa_owner', 'brisa_readonly']) {
        await target.psql('postgres', `drop role if exists ${role}`)
      }
    }
  },
  120_000,
)

test('names that are hard to quote, owners that must be superusers, settings that forbid writing', async () => {
  const source = await lab.server(oldest)
  const storage = await lab.storage('directory')
  const database = `a=b 'c' "d" $e`
  const url = await source.createDatabase(database)
  await source.psql(database, ODD)
  const dump = await lab.run('action-dump', storage, { 'database-url': url, database: 'odd' })
  expectExit(dump, 0)
  expectExit(await lab.run('action-restore-test', storage), 0)

  const folder = await lab.directory('set')
  await download(storage.storage, `odd/sets/${dump.outputs['backup-id']}/`, folder)
  const guide = await readGuide(folder)
  const target = await lab.server(oldest, 'target')
  const guided = new Guided(target, folder, { database })
  expectQuiet(await guided.run(guide.createDatabase, ['createdb']))
  expectQuiet(await guided.run(guide.script))
  for (const facts of [SETTINGS, ODD_FACTS]) {
    expect(await target.psql(database, facts)).toBe(await source.psql(database, facts))
  }
  expect((await target.psql(database, SETTINGS)).split('\n')).toHaveLength(5)
  const inventories = [await inventoryOf(source, database), await inventoryOf(target, database)] as const
  expect(compareInventories(...inventories).filter(({ expected }) => !expected)).toEqual([])
}, 120_000)

const ODD = `
  create role "Ops ""Admin""" nologin superuser;
  create role "it's me" nologin;
  create schema "Odd Schema" authorization "it's me";
  create table "Odd Schema"."T 1" (id int primary key, "a=b" text);
  insert into "Odd Schema"."T 1" values (1, e'x\\ty'), (2, null), (3, '\\.');
  alter table "Odd Schema"."T 1" owner to "it's me";
  grant select on "Odd Schema"."T 1" to "Ops ""Admin""";
  create function public.on_ddl() returns event_trigger language plpgsql as 'begin end';
  create event trigger on_ddl on ddl_command_end execute function public.on_ddl();
  alter event trigger on_ddl owner to "Ops ""Admin""";
  do $$ begin
    execute format('alter database %I set search_path to "$user", public, "Odd Schema"', current_database());
    execute format('alter database %I set app.note to %L', current_database(), e'x, ''y'' \\\\ z');
    execute format('alter database %I set default_transaction_read_only to on', current_database());
    execute format('alter role "it''s me" in database %I set work_mem to %L', current_database(), '8MB');
    execute format('alter role "it''s me" in database %I set search_path to %L', current_database(), 'Odd Schema');
  end $$;`

const ODD_FACTS = `
  select * from "Odd Schema"."T 1" order by id;
  select evtname, evtowner::regrole from pg_event_trigger;
  select rolname, rolsuper, rolcanlogin from pg_roles where rolname !~ '^(pg_|brisa_)' order by 1`

test('a set that did not arrive whole ends the script with an error', async () => {
  const source = await lab.example(newest)
  const storage = await lab.storage('directory')
  const dump = await lab.run('action-dump', storage, { 'database-url': source.url(EXAMPLE_DATABASE) })
  expectExit(dump, 0)
  const whole = await lab.directory('whole')
  await download(storage.storage, `${EXAMPLE_DATABASE}/sets/${dump.outputs['backup-id']}/`, whole)
  const { script } = await readGuide(whole)
  const target = await lab.server(newest, 'target')
  const largest = await largestPart(join(whole, 'database'))
  const damages: [string, RegExp, (folder: string) => Promise<unknown>][] = [
    ['truncated', /zstd|premature|truncated/i, (folder) => halve(join(folder, 'database', largest))],
    ['missing', /download the whole set/, (folder) => rm(join(folder, 'database', largest))],
    ['no roles', /prepare\.dat/, (folder) => rm(join(folder, 'prepare.dat.zst'))],
  ]
  for (const [name, said, damage] of damages) {
    const folder = await lab.directory(name.replace(' ', '-'))
    await cp(whole, folder, { recursive: true })
    await damage(folder)
    await target.createDatabase(EXAMPLE_DATABASE)
    const guided = new Guided(target, folder)
    const { code, stdout, stderr } = await guided.run(script)
    expect([name, code === 0, stdout]).toEqual([name, false, ''])
    expect(stderr).toMatch(said)
    expect(await guided.leftOvers()).toEqual([])
    const tables = `select count(*) from pg_tables where schemaname in ('public', 'ops', 'reporting')`
    expect(await target.psql(EXAMPLE_DATABASE, tables)).toBe('0')
    await target.psql('postgres', `drop database ${EXAMPLE_DATABASE}`)
  }
}, 120_000)

/** Runs what the guide says, in the folder of a set, as somebody who has only what the guide asks for. */
class Guided {
  readonly #server: TestServer
  readonly #folder: string
  readonly #options: { identityFile?: string; database?: string }
  #temp = ''

  constructor(server: TestServer, folder: string, options: { identityFile?: string; database?: string } = {}) {
    this.#server = server
    this.#folder = folder
    this.#options = options
  }

  /** `more`: further programs of PostgreSQL, besides pg_restore. */
  async run(script: string, more: readonly string[] = []): Promise<ToolResult> {
    this.#temp ||= await lab.directory('tmp')
    const bin = await lab.directory('bin')
    for (const name of PROGRAMS) await symlink(await which(name), join(bin, name))
    for (const name of ['pg_restore', ...more]) await symlink(join(this.#server.bin, name), join(bin, name))
    const { identityFile, database = EXAMPLE_DATABASE } = this.#options
    const env = {
      PATH: bin,
      TMPDIR: this.#temp,
      ...connectionOf(this.#server, database),
      ...(identityFile === undefined ? {} : { AGE_IDENTITY: identityFile }),
    }
    return runTool(join(bin, 'sh'), ['-c', script], env, this.#folder)
  }

  leftOvers(): Promise<string[]> {
    return readdir(this.#temp)
  }
}

function expectQuiet({ code, stderr }: ToolResult): void {
  expect([code, stderr]).toEqual([0, ''])
}

async function which(name: string): Promise<string> {
  const { stdout } = await runTool('/bin/sh', ['-c', `command -v ${name}`], { PATH: process.env.PATH ?? '' })
  if (stdout === '') throw new Error(`${name} is not installed`)
  return stdout.trim()
}

/** Rows and a sum over their text for each table (partitions by hash at their root), large objects, sequences. */
const CONTENT = `
  set timezone = 'UTC'; set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; set extra_float_digits = 3;
  set bytea_output = 'hex'; set lc_monetary = 'C'; set xmloption = 'content'; set search_path = '';
  select format(
    'select %L, count(*), sum(hashtextextended(t::text, 0)::numeric) from %s %s t',
    'table ' || oid::regclass, case relkind when 'p' then '' else 'only' end, oid::regclass)
  from pg_class
  where relnamespace::regnamespace::text in ('public', 'ops', 'reporting') and (
    (relkind in ('r', 'm') and relispopulated and relname !~ '^notification_outbox_')
    or relname = 'notification_outbox')
  order by oid::regclass::text collate "C" \\gexec
  select 'large object ' || oid, lomowner::regrole, md5(lo_get(oid)) from pg_largeobject_metadata order by oid;
  select format('select %L, last_value, is_called from %s', 'sequence ' || seqrelid::regclass, seqrelid::regclass)
  from pg_sequence order by seqrelid::regclass::text collate "C" \\gexec`

const SETTINGS = `
  select coalesce(r.rolname, '-'), setting from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
  left join pg_roles r on r.oid = s.setrole, unnest(s.setconfig) setting
  where d.datname = current_database() order by 1, 2`

/** Of the tables; what a materialized view shows are rows of others. */
function countRows(content: string): number {
  const counts = [...content.matchAll(/^table (?!reporting\.)[^|]*\|(\d+)\|/gm)].map(([, count]) => Number(count))
  return counts.reduce((sum, count) => sum + count, 0)
}

async function inventoryOf(server: TestServer, database = EXAMPLE_DATABASE): Promise<Inventory> {
  const { port, password } = server
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database })
  await client.connect()
  try {
    await client.query('begin isolation level repeatable read read only')
    return await readInventory(client)
  } finally {
    await client.end()
  }
}

async function largestPart(folder: string): Promise<string> {
  const sizes = await Promise.all(
    (await readdir(folder)).map(async (name) => ({ name, size: (await stat(join(folder, name))).size })),
  )
  return sizes.sort((a, b) => b.size - a.size)[0]?.name ?? ''
}

async function halve(path: string): Promise<void> {
  await truncate(path, Math.floor((await stat(path)).size / 2))
}

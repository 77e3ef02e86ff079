import { cp, readdir, readFile, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { EXAMPLE_LARGE_OBJECTS, EXAMPLE_ROWS } from '../../examples/brisa/load.ts'
import { availableMajors } from '../support/postgres.ts'
import type { ToolResult } from '../support/run-tool.ts'
import { fetchSet, Guided } from './guide.ts'
import { expectSame } from './same-database.ts'
import { EXAMPLE_DATABASE, expectExit, Lab } from './support.ts'

/** RESTORE.md, to the letter, with nothing on the PATH but what it asks for, into a server that knows nothing of us. */
const lab = new Lab()
afterAll(() => lab.close(), 120_000)

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
    const folder = await fetchSet(lab, storage, `${EXAMPLE_DATABASE}/sets/${dump.outputs['backup-id']}/`)

    const target = await lab.server(major, 'target')
    const roles = `select rolname, rolcanlogin, rolsuper from pg_roles where rolname like 'brisa%' order by 1`
    expect(await target.psql('postgres', roles)).toBe('')
    const guided = new Guided(folder, { lab, target, database: EXAMPLE_DATABASE, identityFile: keys?.identityFile })
    try {
      expectQuiet(await guided.createDatabase())
      const restored = await guided.restore()
      expectQuiet(restored)
      expect(restored.stdout).toBe(`restored ${dump.outputs['backup-id']} into ${EXAMPLE_DATABASE}\n`)
      expect(await guided.leftOvers()).toEqual([])

      const { content, settings } = await expectSame(source, target, EXAMPLE_DATABASE)
      expect(countRows(content)).toBe(EXAMPLE_ROWS)
      expect(content.match(/^large object /gm)).toHaveLength(EXAMPLE_LARGE_OBJECTS)
      expect(await target.psql('postgres', roles)).toBe(await source.psql('postgres', roles))
      expect(settings).toContain('TimeZone=America/New_York')
    } finally {
      await target.psql('postgres', `drop database if exists ${EXAMPLE_DATABASE}`)
      for (const role of ['brisa_app', 'brisa_owner', 'brisa_readonly']) {
        await target.psql('postgres', `drop role if exists ${role}`)
      }
    }
  },
  300_000,
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

  const folder = await fetchSet(lab, storage, `odd/sets/${dump.outputs['backup-id']}/`)
  const target = await lab.server(oldest, 'target')
  const guided = new Guided(folder, { lab, target, database })
  expectQuiet(await guided.createDatabase())
  expectQuiet(await guided.restore())
  expect(await target.psql(database, ODD_FACTS)).toBe(await source.psql(database, ODD_FACTS))
  const { settings } = await expectSame(source, target, database)
  expect(settings.split('\n')).toHaveLength(5)
}, 300_000)

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
  const whole = await fetchSet(lab, storage, `${EXAMPLE_DATABASE}/sets/${dump.outputs['backup-id']}/`)
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
    const guided = new Guided(folder, { lab, target, database: EXAMPLE_DATABASE })
    const { code, stdout, stderr } = await guided.restore()
    expect([name, code === 0, stdout]).toEqual([name, false, ''])
    expect(stderr).toMatch(said)
    expect(await guided.leftOvers()).toEqual([])
    const tables = `select count(*) from pg_tables where schemaname in ('public', 'ops', 'reporting')`
    expect(await target.psql(EXAMPLE_DATABASE, tables)).toBe('0')
    await target.psql('postgres', `drop database ${EXAMPLE_DATABASE}`)
  }
}, 300_000)

const PARTS = `
  create type grade as enum ('good', 'bad');
  create table teams (id integer primary key, captain integer, grade grade);
  create table members (id integer primary key, team integer not null references teams, name text);
  alter table teams add foreign key (captain) references members;
  insert into teams values (1, null, 'good'), (2, null, 'bad');
  insert into members select i, 1 + i % 2, 'member ' || i from generate_series(1, 100) i;
  update teams set captain = id;
  create schema "Log Book";
  create table "Log Book".entries (id integer generated always as identity primary key, what text);
  create function note_it() returns trigger language plpgsql as
    $$ begin insert into "Log Book".entries (what) values (new.name); return new; end $$;
  create trigger note_it after insert on members for each row execute function note_it();
  insert into members values (101, 1, 'late');
  create materialized view counts as select team, count(*) from members group by team;
  select lo_from_bytea(0, 'a picture');`

test('a set of the schema alone, and one of the rows alone: the two of them bring everything back', async () => {
  const { source, folderOf, guided } = await parts('halves')
  const [schema, rows] = [await folderOf({ content: 'schema' }), await folderOf({ content: 'data' })]
  expect(await guided(schema).text()).toMatch(/set is partial: it holds the schema, and no rows/)
  const target = guided(schema)
  expectQuiet(await target.createDatabase())
  expectQuiet(await target.restore())
  const counted = 'select (select count(*) from members), (select count(*) from pg_largeobject_metadata)'
  expect(await target.psql(counted)).toBe('0|0')
  expect(await guided(rows).text()).toMatch(/it holds rows, large objects .*, and no schema/)
  expectQuiet(await guided(rows).restore())
  await target.psql('refresh materialized view counts')
  await expectSame(source, target.server, 'halves')
}, 300_000)

test('a set of some tables: its schemas are made, and what it lacks is named', async () => {
  const { source, folderOf, guided } = await parts('pieces')
  const own = guided(await folderOf({ tables: '"Log Book".*' }))
  expect(await own.text()).toMatch(/set is partial: it holds tables with their rows.*were left out/s)
  expectQuiet(await own.createDatabase())
  expectQuiet(await own.restore())
  const entries = 'select * from "Log Book".entries order by id'
  expect(await own.psql(entries)).toBe(await source.psql('pieces', entries))

  await own.psql('drop schema "Log Book" cascade')
  const lacking = guided(await folderOf({ tables: 'members, "Log Book".entries' }))
  const { code, stdout, stderr } = await lacking.restore()
  expect([code, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/function public\.note_it\(\) does not exist/)
  expect(stderr).toMatch(/relation "public\.teams" does not exist/)
  const members = 'select * from members order by id'
  expect(await own.psql(members)).toBe(await source.psql('pieces', members))
  expect(await own.psql(entries)).toBe(await source.psql('pieces', entries))
}, 300_000)

/** What takes two runs of pg_restore: indexes in levels, and what comes after them. */
const LEVELS = `
  create table top (id integer primary key, n integer) partition by range (id);
  create table mid partition of top for values from (0) to (100) partition by range (id);
  create table leaf partition of mid for values from (0) to (100);
  create index on top (n);
  create table refers (id integer constraint refers_top references top);
  insert into top select i, i from generate_series(1, 50) i;
  insert into refers select 7;
  create function on_ddl() returns event_trigger language plpgsql as 'begin end';
  create event trigger watch on ddl_command_end execute function on_ddl()`

const IN_THE_WAY: [string, RegExp, string][] = [
  ['the first run', /relation "refers" already exists/, 'create table refers (other text)'],
  [
    'the second run',
    /event trigger "watch" already exists/,
    `create function own() returns event_trigger language plpgsql as 'begin end';
     create event trigger watch on ddl_command_end execute function own()`,
  ],
]

test('where pg_restore runs twice, an error of either is one of the script, and the rest is there', async () => {
  const { source, folderOf, guided } = await parts('levels', LEVELS)
  const target = guided(await folderOf({}))
  expect(await target.text()).toContain('"$work/last.list"')
  for (const [run, said, inTheWay] of IN_THE_WAY) {
    expectQuiet(await target.createDatabase())
    await target.psql(inTheWay)
    const { code, stdout, stderr } = await target.restore()
    expect({ run, code, stdout }).toEqual({ run, code: 1, stdout: '' })
    expect(stderr).toMatch(said)
    expect(await target.leftOvers()).toEqual([])
    const facts = `
      select count(*) from top;
      select indexrelid::regclass::text from pg_index where indrelid = 'top'::regclass and indisvalid order by 1;
      select evtname from pg_event_trigger`
    expect(await target.psql(facts)).toBe(await source.psql('levels', facts))
    await target.server.psql('postgres', 'drop database levels')
  }
  expectQuiet(await target.createDatabase())
  expectQuiet(await target.restore())
  await expectSame(source, target.server, 'levels')
}, 300_000)

/** A database with the parts of which partial sets are made, or another, and who restores its sets by hand. */
async function parts(database: string, content = PARTS) {
  const [source, server] = [await lab.server(newest), await lab.server(newest, 'target')]
  const url = await source.createDatabase(database)
  await source.psql(database, content)
  const storage = await lab.storage('directory')
  const folderOf = async (inputs: Record<string, string>) => {
    const dump = await lab.run('action-dump', storage, { 'database-url': url, ...inputs })
    expectExit(dump, 0)
    return fetchSet(lab, storage, `${database}/sets/${dump.outputs['backup-id']}/`)
  }
  const guided = (folder: string) =>
    Object.assign(new Guided(folder, { lab, target: server, database }), {
      server,
      psql: (sql: string) => server.psql(database, sql),
      text: () => readFile(join(folder, 'RESTORE.md'), 'utf8'),
    })
  return { source, folderOf, guided }
}

function expectQuiet({ code, stderr }: ToolResult): void {
  expect([code, stderr]).toEqual([0, ''])
}

/** Of the tables; what a materialized view shows are rows of others. */
function countRows(content: string): number {
  const counts = [...content.matchAll(/^table (?!reporting\.)[^|]*\|(\d+)\|/gm)].map(([, count]) => Number(count))
  return counts.reduce((sum, count) => sum + count, 0)
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

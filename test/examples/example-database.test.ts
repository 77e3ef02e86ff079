import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { EXAMPLE_LARGE_OBJECTS, EXAMPLE_ROWS, loadExample } from '../../examples/brisa/load.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'

/** One line a table, whole partitioned tables as one: name, rows, hash of the rows as text. */
const CONTENT = `
  set timezone = 'UTC';
  create function pg_temp.digest(name regclass, kind "char") returns text language plpgsql as $$
  declare
    content text;
  begin
    execute format(
      'select count(*) || '' '' || coalesce(md5(string_agg(t::text, e''\\n'' order by t::text collate "C")), ''-'') from %s %s t',
      case kind when 'r' then 'only' else '' end, name
    ) into content;
    return content;
  end $$;
  select oid::regclass || ' ' || pg_temp.digest(oid::regclass, relkind) from pg_class
  where relkind in ('r', 'p', 'm') and relispopulated and not relispartition
    and relnamespace::regnamespace::text in ('public', 'ops', 'reporting')
  order by oid::regclass::text collate "C";
  select 'large object ' || oid || ' ' || md5(lo_get(oid)) from pg_largeobject_metadata order by oid;
  select 'sequence ' || seqrelid::regclass || ' ' || coalesce(pg_sequence_last_value(seqrelid), 0) from pg_sequence
  order by seqrelid::regclass::text collate "C";`

const majors = availableMajors()
const servers = new Map<number, TestServer>()

/** The content of the newest major's database `first`. */
let first: string[]

beforeAll(async () => {
  for (const major of majors) servers.set(major, await startServer(major))
  first = await load(serverOf(majors.at(-1)), 'first')
})
afterAll(() => Promise.all([...servers.values()].map((server) => server.stop())))

function serverOf(major: number | undefined): TestServer {
  const server = servers.get(major ?? -1)
  if (server === undefined) throw new Error(`no server of major ${major}`)
  return server
}

async function load(server: TestServer, database: string): Promise<string[]> {
  await server.createDatabase(database)
  const env = { PGHOST: '127.0.0.1', PGPORT: String(server.port), PGUSER: 'postgres', PGPASSWORD: server.password }
  await loadExample({ psql: join(server.bin, 'psql'), env: { ...env, PGDATABASE: database } })
  return (await server.psql(database, CONTENT)).split('\n')
}

test('every load gives the same content, on every major', async () => {
  const others = majors.length > 1 ? majors.slice(0, -1) : majors
  for (const major of others) expect(await load(serverOf(major), 'again')).toEqual(first)

  const tables = first.filter((line) => !/^(large object|sequence|reporting\.)/.test(line))
  const rows = tables.map((line) => Number(/ (\d+) (?:\S+)$/.exec(line)?.[1]))
  expect(rows.reduce((sum, count) => sum + count, 0)).toBe(EXAMPLE_ROWS)
  expect(first.filter((line) => line.startsWith('large object'))).toHaveLength(EXAMPLE_LARGE_OBJECTS)
}, 240_000)

test('it holds what makes a backup hard', async () => {
  const server = serverOf(majors.at(-1))
  const facts = await server.psql(
    'first',
    `select 'deferred keys ' || count(*) from pg_constraint where condeferred and contype = 'f' and conparentid = 0;
     select 'not valid ' || count(*) from pg_constraint where not convalidated;
     select 'exclusions ' || count(*) from pg_constraint where contype = 'x';
     select 'policies ' || count(*) from pg_policy;
     select 'partition strategies ' || string_agg(distinct partstrat::text, ',') from pg_partitioned_table;
     select 'generated columns ' || count(*) from pg_attribute where attgenerated = 's';
     select 'dropped columns ' || count(*) from pg_attribute where attisdropped and attrelid = 'public.users'::regclass;
     select 'empty views ' || count(*) from pg_class where relkind = 'm' and not relispopulated;
     select 'settings ' || count(*) from pg_db_role_setting where setdatabase = (select oid from pg_database where datname = 'first');`,
  )
  expect(facts.split('\n')).toEqual([
    ...['deferred keys 1', 'not valid 2', 'exclusions 1', 'policies 3', 'partition strategies h,l,r'],
    ...['generated columns 3', 'dropped columns 1', 'empty views 1', 'settings 2'],
  ])
})

import { expect } from '@jest/globals'
import pg from 'pg'
import { compareInventories, type Inventory, readInventory } from '../../src/postgres/inventory.ts'
import { pinOptions } from '../../src/postgres/pins.ts'
import type { TestServer } from '../support/postgres.ts'

/**
 * Everything that psql can say of a database's content, a line each: rows and a sum over them for each table (its columns
 * by name; partitions at their root, for which leaf a row is in may change, unless some are on another server), large
 * objects, sequences.
 */
const CONTENT = `
  set timezone = 'UTC'; set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; set extra_float_digits = 3;
  set bytea_output = 'hex'; set lc_monetary = 'C'; set xmloption = 'content'; set search_path = ''; set jit = off;
  set row_security = off; set quote_all_identifiers = off; set max_parallel_workers_per_gather = 0; set statement_timeout = 0;
  with recursive foreign_trees (oid) as (
    select oid from pg_class where relkind = 'f'
    union select inhparent from foreign_trees join pg_inherits on inhrelid = foreign_trees.oid
  )
  select format(
    'select %L, count(*), sum(pg_catalog.hashtextextended(row(%s)::text, 0)::numeric) from %s %s t',
    'table ' || c.oid::regclass, (
      select string_agg('t.' || quote_ident(attname), ', ' order by attname collate "C") from pg_attribute
      where attrelid = c.oid and attnum > 0 and not attisdropped
    ), case when relkind = 'p' then '' else 'only' end, c.oid::regclass)
  from pg_class c
  where relnamespace::regnamespace::text !~ '^(pg_|information_schema)' and relkind in ('r', 'm', 'p') and relispopulated
    and (relkind <> 'p' or oid not in (select oid from foreign_trees))
    and not (relispartition
      and exists (select from pg_inherits where inhrelid = c.oid and inhparent not in (select oid from foreign_trees)))
  order by c.oid::regclass::text collate "C" \\gexec
  select 'large object ' || oid, lomowner::regrole, lomacl::text is null, md5(lo_get(oid)), obj_description(oid, 'pg_largeobject')
  from pg_largeobject_metadata order by oid;
  select format('select %L, last_value, is_called from %s', 'sequence ' || seqrelid::regclass, seqrelid::regclass)
  from pg_sequence order by seqrelid::regclass::text collate "C" \\gexec`

const SETTINGS = `
  select coalesce(r.rolname, '-'), setting from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
  left join pg_roles r on r.oid = s.setrole, unnest(s.setconfig) setting
  where d.datname = current_database() order by 1, 2`

/** What the databases of that name on two servers were found to have in common. */
export interface Same {
  /** Of the database, one a line: `role|name=value`. */
  settings: string
  /** One a line: `table public.t|rows|sum`, `large object 5|…`, `sequence public.s|value|called`. */
  content: string
}

/** Fails unless the database of that name holds the same on both servers: rows, values, settings, every object. */
export async function expectSame(source: TestServer, target: TestServer, database: string): Promise<Same> {
  const content = await source.psql(database, CONTENT)
  expect((await target.psql(database, CONTENT)).split('\n')).toEqual(content.split('\n'))
  const settings = await source.psql(database, SETTINGS)
  expect(await target.psql(database, SETTINGS)).toBe(settings)
  const inventories = [await inventoryOf(source, database), await inventoryOf(target, database)] as const
  expect(compareInventories(...inventories).filter(({ expected }) => !expected)).toEqual([])
  return { settings, content }
}

async function inventoryOf({ port, password, major }: TestServer, database: string): Promise<Inventory> {
  const options = pinOptions(major * 10_000)
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database, options })
  await client.connect()
  try {
    await client.query('begin isolation level repeatable read read only')
    return await readInventory(client)
  } finally {
    await client.end()
  }
}

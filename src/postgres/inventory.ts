import type { ClientBase } from 'pg'
import { withCatalogSession } from './catalog-session.ts'
import { readSequences, readTables } from './inventory-relations.ts'
import type { DatabaseFacts, DatabaseSetting, ExtensionFacts, Inventory } from './inventory-types.ts'
import { readStructure } from './structure.ts'
import { acl, digest } from './structure-sql.ts'

export { type CompareOptions, compareInventories } from './inventory-compare.ts'
export { relationOf } from './inventory-lawful.ts'
export { isDumped } from './inventory-relations.ts'
export type * from './inventory-types.ts'

/**
 * What the catalog says the connected database holds, seen by the caller's transaction: export its snapshot, or open
 * it REPEATABLE READ, and everything is of one moment (sequence values and `filenode` are of now, by nature).
 * PostgreSQL 13–18. Reads catalogs and sequences, never a table. Any role may do it; what it may not read is null, and
 * privileges.ts names it. Names come as PostgreSQL's own text, whatever the connection's `client_encoding`.
 */
export function readInventory(client: ClientBase): Promise<Inventory> {
  return withCatalogSession(client, async ({ version, versionText }) => {
    const objectIds = await readLargeObjectIds(client)
    return {
      serverVersion: versionText,
      database: await readDatabase(client, version),
      tables: await readTables(client),
      sequences: await readSequences(client),
      objects: await readStructure(client, version),
      largeObjects: objectIds.length,
      largeObjectIds: objectIds,
      extensions: await readExtensions(client),
      databaseSettings: await readDatabaseSettings(client),
      roles: await readNames(client, ROLES),
      superuserRoles: await readNames(client, superuserRoles(version)),
    }
  })
}

const PROVIDERS: Record<string, DatabaseFacts['localeProvider']> = { c: 'libc', i: 'icu', b: 'builtin' }

async function readDatabase(client: ClientBase, version: number): Promise<DatabaseFacts> {
  const locale = version >= 170000 ? 'd.datlocale' : version >= 150000 ? 'd.daticulocale' : 'null'
  const { rows } = await client.query<Omit<DatabaseFacts, 'localeProvider'> & { provider: string }>(`
    select
      d.datname as name, pg_get_userbyid(d.datdba) as owner, pg_encoding_to_char(d.encoding) as encoding,
      ${version >= 150000 ? 'd.datlocprovider' : "'c'"} as provider, d.datcollate as collate, d.datctype as ctype,
      ${locale} as locale, ${version >= 160000 ? 'd.daticurules' : 'null'} as "icuRules",
      ${version >= 150000 ? 'd.datcollversion' : 'null'} as "collationVersion",
      (
        select ${digest('sd.description')} from pg_shdescription sd
        where sd.classoid = 'pg_database'::regclass and sd.objoid = d.oid
      ) as comment,
      coalesce(${acl('d.datacl', 'd', 'd.datdba')}, '[]') as acl
    from pg_database d
    where d.datname = current_database()`)
  const [row] = rows
  if (row === undefined) throw new Error('the server does not list the connected database')
  const { provider, ...facts } = row
  return { ...facts, localeProvider: PROVIDERS[provider] ?? 'libc' }
}

async function readLargeObjectIds(client: ClientBase): Promise<number[]> {
  const { rows } = await client.query<{ ids: number[] | null }>(
    'select json_agg(oid::int8 order by oid) as ids from pg_largeobject_metadata',
  )
  return rows[0]?.ids ?? []
}

async function readExtensions(client: ClientBase): Promise<ExtensionFacts[]> {
  const { rows } = await client.query<ExtensionFacts>(`
    select x.extname as name, x.extversion as version, n.nspname as schema
    from pg_extension x join pg_namespace n on n.oid = x.extnamespace
    order by x.extname collate "C"`)
  return rows
}

async function readDatabaseSettings(client: ClientBase): Promise<DatabaseSetting[]> {
  const { rows } = await client.query<DatabaseSetting>(`
    select case when s.setrole <> 0 then pg_get_userbyid(s.setrole) end as role, item as setting
    from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase, unnest(s.setconfig) item
    where d.datname = current_database()
    order by 1 nulls first, 2`)
  return rows
}

/**
 * pg_shdepend has every role that something in this database names, except the one that initdb made, which is pinned
 * (OID 10). Roles that begin with `pg_` are everywhere and cannot be created.
 */
const ROLES = `
  select r.rolname as name
  from pg_roles r
  where r.rolname !~ '^pg_' and (
    r.oid = 10
    or exists (
      select from pg_shdepend dep join pg_database d on d.datname = current_database()
      where dep.refclassid = 'pg_authid'::regclass and dep.refobjid = r.oid
        and (dep.dbid = d.oid or (dep.dbid = 0 and dep.classid = 'pg_database'::regclass and dep.objid = d.oid)))
    or exists (
      select from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
      where s.setrole = r.oid and d.datname = current_database()))
  order by 1`

function superuserRoles(version: number): string {
  const publications =
    version >= 150000 ? 'or exists (select from pg_publication_namespace pn where pn.pnpubid = p.oid)' : ''
  return `
  select distinct pg_get_userbyid(owner) as name
  from (
    select evtowner from pg_event_trigger
    union all select fdwowner from pg_foreign_data_wrapper
    union all select p.pubowner from pg_publication p where p.puballtables ${publications}
    union all select s.subowner from pg_subscription s join pg_database d on d.oid = s.subdbid
      where d.datname = current_database()
  ) owners (owner)
  order by 1`
}

async function readNames(client: ClientBase, query: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(query)
  return rows.map((row) => row.name)
}

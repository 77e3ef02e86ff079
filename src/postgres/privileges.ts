import type { ClientBase } from 'pg'
import { withCatalogSession } from './catalog-session.ts'
import { qualified, roleName, userSchema } from './structure-sql.ts'

/** Something that pg_dump, run by the connected role, would stop at. */
export interface Unreadable {
  kind: 'schema' | 'table' | 'sequence' | 'large objects' | 'row security'
  /** Quoted as in SQL; for large objects their owner's name, quoted. */
  identity: string
  /** A clause without a subject: `needs SELECT`. */
  reason: string
  /** The statement that mends it, to be run by a superuser or the owner; with its semicolon. */
  grant: string
  /** A statement that mends this and everything like it (PostgreSQL 14 and later). */
  shortGrant?: string
}

/** From this many statements on, people would rather run one that covers everything. */
const LONG_LIST = 4

/** More large objects than this are granted in a loop: a statement must stay readable in a log. */
const LISTED_LARGE_OBJECTS = 20

const ROLE = 'quote_ident(current_user)'

/** What a dump takes; OIDs of tables and sequences, undefined for all there are. */
export interface NeededToRead {
  /** In the dump, and so locked. */
  dumped: ReadonlySet<number> | undefined
  /** Those whose rows, or whose value, are read. */
  read: ReadonlySet<number> | undefined
  largeObjects: boolean
}

const EVERYTHING: NeededToRead = { dumped: undefined, read: undefined, largeObjects: true }

/**
 * Everything that the connected role cannot dump, at once: pg_dump itself stops at the first. An empty list means that
 * pg_dump finds every privilege it needs. Column privileges do not help (pg_dump locks whole tables), foreign tables,
 * views and materialized views need none (their rows are not dumped). Two things are lost without an error and are not
 * listed: subscriptions, and the options of other roles' user mappings; both take a superuser. Catalog only,
 * PostgreSQL 13–18.
 */
export function findUnreadable(client: ClientBase, needed = EVERYTHING): Promise<Unreadable[]> {
  return withCatalogSession(client, async ({ version }) => {
    const queries = [relations(version >= 140000), ...(needed.largeObjects ? [LARGE_OBJECTS] : [])]
    const parameters = [needed.dumped, needed.read].map((oids) => (oids === undefined ? null : [...oids]))
    const { rows } = await client.query<UnreadableRow>(queries.join('\nunion all\n'), parameters)
    return rows.map(({ shortGrant, ...row }) => ({ ...row, ...(shortGrant === null ? {} : { shortGrant }) }))
  })
}

interface UnreadableRow extends Omit<Unreadable, 'shortGrant'> {
  shortGrant: string | null
}

/** The fewest statements that mend all of `unreadable`, for people to copy. */
export function mendingStatements(unreadable: readonly Unreadable[]): string[] {
  const single = new Set(unreadable.map((one) => one.grant))
  if (single.size < LONG_LIST) return [...single]
  return [...new Set(unreadable.map((one) => one.shortGrant ?? one.grant))]
}

function relations(hasReadAll: boolean): string {
  const short = hasReadAll ? `'GRANT pg_read_all_data TO ' || ${ROLE} || ';'` : 'null'
  return `
  select * from (
    with dumped as (
      select c.oid, c.relkind, c.relnamespace, n.nspname, ${qualified('n.nspname', 'c.relname')} as identity
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p', 'S') and c.relpersistence <> 't' and ${userSchema()}
        and ($1::oid[] is null or c.oid = any ($1)) and (c.relkind <> 'S' or $2::oid[] is null or c.oid = any ($2))
        -- Of an extension's own relations pg_dump reads those whose rows the extension wants saved.
        and not exists (
          select from pg_depend dep join pg_extension ext on ext.oid = dep.refobjid
          where dep.classid = 'pg_class'::regclass and dep.objid = c.oid and dep.objsubid = 0 and dep.deptype = 'e'
            and not c.oid = any (coalesce(ext.extconfig, '{}')))
    )
    select 'schema' as kind, quote_ident(n.nspname) as identity, 'needs USAGE' as reason,
      'GRANT USAGE ON SCHEMA ' || quote_ident(n.nspname) || ' TO ' || ${ROLE} || ';' as grant, ${short} as "shortGrant"
    from pg_namespace n
    where exists (select from dumped d where d.relnamespace = n.oid) and not has_schema_privilege(n.oid, 'usage')
    union all
    select 'table', d.identity, 'needs SELECT on the whole table',
      'GRANT SELECT ON TABLE ' || d.identity || ' TO ' || ${ROLE} || ';', ${short}
    from dumped d
    where d.relkind in ('r', 'p') and not has_table_privilege(d.oid, 'select')
    union all
    select 'sequence', d.identity, 'needs SELECT',
      'GRANT SELECT ON SEQUENCE ' || d.identity || ' TO ' || ${ROLE} || ';', ${short}
    from dumped d
    -- Not has_sequence_privilege: the planner may ask it about a table first, and then it raises an error.
    where d.relkind = 'S' and not has_table_privilege(d.oid, 'select')
    union all
    select 'row security', d.identity, 'hides rows from this role by its policies',
      'ALTER ROLE ' || ${ROLE} || ' BYPASSRLS;', null
    from dumped d
    where d.relkind = 'r' and ($2::oid[] is null or d.oid = any ($2)) and row_security_active(d.oid)
  ) relations`
}

// pg_read_all_data does not cover large objects before PostgreSQL 19.
const LARGE_OBJECTS = `
  select 'large objects', ${roleName('lo.owner')}, 'needs SELECT on ' || lo.count || ' of them',
    case when lo.count <= ${LISTED_LARGE_OBJECTS}
      then 'GRANT SELECT ON LARGE OBJECT ' || array_to_string(lo.oids, ', ') || ' TO ' || ${ROLE} || ';'
      else 'DO '
        || quote_literal('DECLARE id oid; BEGIN FOR id IN '
        || 'SELECT oid FROM pg_catalog.pg_largeobject_metadata WHERE lomowner = '
        || quote_literal(${roleName('lo.owner')})
          || '::regrole LOOP EXECUTE ''GRANT SELECT ON LARGE OBJECT '' || id || '' TO '
        || replace(${ROLE}, '''', '''''') || '''; END LOOP; END') || ';'
    end, null
  from (
    select each.lomowner as owner, count(*) as count, (array_agg(each.oid
      order by each.oid))[1:${LISTED_LARGE_OBJECTS}] as oids
    from pg_largeobject_metadata each
    join (
      select like_it.lomowner, like_it.lomacl::text as list, (array_agg(like_it.oid))[1] as sample
      from pg_largeobject_metadata like_it group by 1, 2
    ) kinds on kinds.lomowner = each.lomowner and kinds.list is not distinct from each.lomacl::text
    where not current_setting('lo_compat_privileges')::boolean
      and not (select rolsuper from pg_roles where rolname = current_user)
      and not exists (
        select from pg_largeobject_metadata one, aclexplode(coalesce(one.lomacl, acldefault('L', one.lomowner))) item
        where one.oid = kinds.sample and item.privilege_type = 'SELECT'
          and (item.grantee = 0 or pg_has_role(item.grantee, 'usage')))
    group by each.lomowner
  ) lo`

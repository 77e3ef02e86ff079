import {
  acl,
  comment,
  facts,
  flag,
  grants,
  notOfExtension,
  optionNames,
  relationName,
  roleName,
  type StructureQuery,
  sortedArray,
  userSchema,
} from './structure-sql.ts'

// Up to PostgreSQL 14 the owner of `public` is whoever ran initdb, and pg_dump does not save it.
const schemas: StructureQuery = (version) => {
  const initdbOwned = version < 150000 ? "n.nspname = 'public'" : 'false'
  const list = acl('n.nspacl', 'n', 'n.nspowner')
  return `
  select 'schema' as kind, quote_ident(n.nspname) as identity, ${facts({
    owner: `case when not (${initdbOwned}) then ${roleName('n.nspowner')} end`,
    acl: `case when ${initdbOwned}
      then replace(${list}::text, ${roleName('n.nspowner')}, 'owner of public')::jsonb else ${list} end`,
    comment: comment('pg_namespace', 'n.oid'),
  })} as facts
  from pg_namespace n
  where ${userSchema()} and ${notOfExtension('pg_namespace', 'n.oid')}`
}

// Versions may differ between machines, and the owner of a restored extension is whoever restored it.
const extensions: StructureQuery = () => `
  select 'extension' as kind, quote_ident(x.extname) as identity, ${facts({
    schema: 'quote_ident(n.nspname)',
    version: 'x.extversion',
  })} as facts
  from pg_extension x join pg_namespace n on n.oid = x.extnamespace`

const defaultPrivileges: StructureQuery = () => `
  select 'default privileges' as kind,
    'for role ' || ${roleName('d.defaclrole')} || coalesce(' in schema ' || quote_ident(n.nspname), '') || ' on '
      || case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
           when 'T' then 'types'
           when 'n' then 'schemas' when 'L' then 'large objects' else d.defaclobjtype::text end as identity, ${facts({
             acl: grants('d.defaclacl'),
           })} as facts
  from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace`

const foreignData: StructureQuery = () => `
  select 'foreign data wrapper' as kind, quote_ident(w.fdwname) as identity, ${facts({
    owner: roleName('w.fdwowner'),
    acl: acl('w.fdwacl', 'F', 'w.fdwowner'),
    handler: "nullif(w.fdwhandler::regproc::text, '-')",
    validator: "nullif(w.fdwvalidator::regproc::text, '-')",
    optionNames: optionNames('w.fdwoptions'),
    comment: comment('pg_foreign_data_wrapper', 'w.oid'),
  })} as facts
  from pg_foreign_data_wrapper w
  where ${notOfExtension('pg_foreign_data_wrapper', 'w.oid')}
  union all
  select 'foreign server', quote_ident(s.srvname), ${facts({
    owner: roleName('s.srvowner'),
    acl: acl('s.srvacl', 'S', 's.srvowner'),
    wrapper: '(select w.fdwname from pg_foreign_data_wrapper w where w.oid = s.srvfdw)',
    type: 's.srvtype',
    version: 's.srvversion',
    optionNames: optionNames('s.srvoptions'),
    comment: comment('pg_foreign_server', 's.oid'),
  })}
  from pg_foreign_server s
  where ${notOfExtension('pg_foreign_server', 's.oid')}
  union all
  select 'user mapping', ${roleName('m.umuser')} || ' server ' || quote_ident(m.srvname), '{}'
  from pg_user_mappings m
  where ${notOfExtension('pg_foreign_server', 'm.srvid')}`

const eventTriggers: StructureQuery = () => `
  select 'event trigger' as kind, quote_ident(e.evtname) as identity, ${facts({
    owner: roleName('e.evtowner'),
    event: 'e.evtevent::text',
    enabled: 'e.evtenabled::text',
    function: 'e.evtfoid::regprocedure::text',
    tags: sortedArray('e.evttags'),
    comment: comment('pg_event_trigger', 'e.oid'),
  })} as facts
  from pg_event_trigger e
  where ${notOfExtension('pg_event_trigger', 'e.oid')}`

const publications: StructureQuery = (version) => {
  const columns =
    version >= 150000
      ? `coalesce((
        select ' (' || string_agg(quote_ident(a.attname), ', ' order by a.attname) || ')'
        from pg_attribute a
        where a.attrelid = pr.prrelid and a.attnum = any(pr.prattrs)), '')`
      : "''"
  const filter = version >= 150000 ? "case when pr.prqual is not null then ' where' else '' end" : "''"
  return `
  select 'publication' as kind, quote_ident(p.pubname) as identity, ${facts({
    owner: roleName('p.pubowner'),
    allTables: flag('p.puballtables'),
    publishes: `concat_ws(' ', case when p.pubinsert then 'insert' end, case when p.pubupdate then 'update' end,
        case when p.pubdelete then 'delete' end, case when p.pubtruncate then 'truncate' end)`,
    viaRoot: flag('p.pubviaroot'),
    generatedColumns: version >= 180000 ? "nullif(p.pubgencols::text, 'n')" : undefined,
    tables: `(select jsonb_agg(item order by item collate "C") from (
      select ${relationName('pr.prrelid')} || ${columns} || ${filter} as item
      from pg_publication_rel pr where pr.prpubid = p.oid) x)`,
    schemas:
      version >= 150000
        ? `(
      select jsonb_agg(quote_ident(n.nspname) order by n.nspname collate "C")
      from pg_publication_namespace pn join pg_namespace n on n.oid = pn.pnnspid where pn.pnpubid = p.oid)`
        : undefined,
    comment: comment('pg_publication', 'p.oid'),
  })} as facts
  from pg_publication p
  where ${notOfExtension('pg_publication', 'p.oid')}`
}

// Connection strings hold passwords and are not readable by all; a restored subscription is always disabled.
const subscriptions: StructureQuery = () => `
  select 'subscription' as kind, quote_ident(s.subname) as identity, ${facts({
    owner: roleName('s.subowner'),
    publications: sortedArray('s.subpublications'),
  })} as facts
  from pg_subscription s
  where s.subdbid = (select d.oid from pg_database d where d.datname = current_database())`

const largeObjects: StructureQuery = () => `
  select 'large objects' as kind, 'of ' || ${roleName('lo.lomowner')} as identity,
    jsonb_build_object('count', count(*), 'comments', (
      select count(*) from pg_description dc join pg_largeobject_metadata each on each.oid = dc.objoid
      where dc.classoid = 'pg_largeobject'::regclass and each.lomowner = lo.lomowner), 'grants', (
      select jsonb_object_agg(coalesce(byacl.list::text, 'default'), byacl.count)
      from (
        select ${acl('each.lomacl', 'L', 'each.lomowner')} as list, count(*) as count
        from pg_largeobject_metadata each where each.lomowner = lo.lomowner group by 1
      ) byacl)) as facts
  from pg_largeobject_metadata lo
  group by lo.lomowner`

/** What is neither a relation nor code. */
export const CATALOG_QUERIES: readonly StructureQuery[] = [
  schemas,
  extensions,
  defaultPrivileges,
  foreignData,
  eventTriggers,
  publications,
  subscriptions,
  largeObjects,
]

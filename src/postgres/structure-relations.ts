import {
  ANY_INHERITS,
  acl,
  collationName,
  columnNames,
  comment,
  digest,
  facts,
  flag,
  notOfExtension,
  only,
  operatorClassName,
  optionNames,
  qualified,
  relationName,
  roleName,
  type StructureQuery,
  sortedArray,
  userSchema,
} from './structure-sql.ts'

/** Relations that users make, with the schema's name at hand; `kinds` limits relkind. */
function userRelations(kinds: string): string {
  return `pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in (${kinds}) and c.relpersistence <> 't' and ${userSchema()}
      and ${notOfExtension('pg_class', 'c.oid')}`
}

const RELATION_KIND = `case c.relkind
  when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
  when 'm' then 'materialized view' when 'f' then 'foreign table' end`

// By name: pg_dump goes by the order in which it finds them, which is not always that of their numbers.
const PARENTS = only(
  ANY_INHERITS,
  `(
  select jsonb_agg(${relationName('inh.inhparent')} order by ${relationName('inh.inhparent')} collate "C")
  from pg_inherits inh where inh.inhrelid = c.oid)`,
)

const REFERENCED_RELATIONS = `(
  select jsonb_agg(distinct ${relationName('dep.refobjid')})
  from pg_rewrite rule
  join pg_depend dep on dep.classid = 'pg_rewrite'::regclass and dep.objid = rule.oid
  where rule.ev_class = c.oid and rule.rulename = '_RETURN'
    and dep.refclassid = 'pg_class'::regclass and dep.refobjid <> c.oid)`

const PARTITION_KEY = `(
  select jsonb_build_object('strategy', pt.partstrat::text, 'columns', (
    select jsonb_agg(
      coalesce((select ka.attname from pg_attribute ka
        where ka.attrelid = pt.partrelid and ka.attnum = k.number and k.number <> 0), '(expression)')
        || ' ' || ${operatorClassName('k.class')}
      order by k.position)
    from unnest(pt.partattrs::int2[], pt.partclass::oid[]) with ordinality k (number, class, position)))
  from pg_partitioned_table pt where pt.partrelid = c.oid)`

// Nothing where there is no TOAST table, which is something else than one without options.
const TOAST_OPTIONS = `(select coalesce(${sortedArray('toast.reloptions')}, '[]')
  from pg_class toast where toast.oid = c.reltoastrelid)`

const SERVER = `(select srv.srvname
  from pg_foreign_table ft join pg_foreign_server srv on srv.oid = ft.ftserver where ft.ftrelid = c.oid)`

const SERVER_OPTIONS = `(select ${optionNames('ft.ftoptions')} from pg_foreign_table ft where ft.ftrelid = c.oid)`

const relations: StructureQuery = () => `
  select ${RELATION_KIND} as kind, ${qualified('n.nspname', 'c.relname')} as identity, ${facts({
    owner: roleName('c.relowner'),
    acl: acl('c.relacl', 'r', 'c.relowner'),
    unlogged: flag("c.relpersistence = 'u'"),
    rowSecurity: flag('c.relrowsecurity'),
    forceRowSecurity: flag('c.relforcerowsecurity'),
    replicaIdentity: "nullif(c.relreplident::text, case when c.relkind in ('r', 'p', 'm') then 'd' else 'n' end)",
    options: sortedArray('c.reloptions'),
    toastOptions: only('c.reltoastrelid <> 0', TOAST_OPTIONS),
    accessMethod: "(select am.amname from pg_am am where am.oid = c.relam and c.relkind in ('r', 'm'))",
    ofType: 'case when c.reloftype <> 0 then format_type(c.reloftype, null) end',
    parents: PARENTS,
    partitionKey: only("c.relkind = 'p'", PARTITION_KEY),
    partitionDefault: flag("c.relispartition and pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT'"),
    bound: 'case when c.relispartition then pg_get_expr(c.relpartbound, c.oid) end',
    reads: only("c.relkind in ('v', 'm')", REFERENCED_RELATIONS),
    unpopulated: flag('not c.relispopulated'),
    server: only("c.relkind = 'f'", SERVER),
    serverOptions: only("c.relkind = 'f'", SERVER_OPTIONS),
    comment: comment('pg_class', 'c.oid'),
    definition: `case when c.relkind in ('v', 'm') then ${digest('pg_get_viewdef(c.oid)')} end`,
  })} as facts
  from ${userRelations("'r', 'p', 'v', 'm', 'f'")}`

const sequences: StructureQuery = () => `
  select 'sequence' as kind, ${qualified('n.nspname', 'c.relname')} as identity, ${facts({
    owner: roleName('c.relowner'),
    acl: acl('c.relacl', 's', 'c.relowner'),
    unlogged: flag("c.relpersistence = 'u'"),
    type: 'format_type(s.seqtypid, null)',
    start: 's.seqstart::text',
    increment: 's.seqincrement::text',
    minimum: 's.seqmin::text',
    maximum: 's.seqmax::text',
    cache: 's.seqcache::text',
    cycle: flag('s.seqcycle'),
    ownedBy: `(
      select ${relationName('dep.refobjid')} || '.' || quote_ident(a.attname)
      from pg_depend dep join pg_attribute a on a.attrelid = dep.refobjid and a.attnum = dep.refobjsubid
      where dep.classid = 'pg_class'::regclass and dep.objid = c.oid and dep.refclassid = 'pg_class'::regclass
        and dep.deptype in ('a', 'i'))`,
    comment: comment('pg_class', 'c.oid'),
  })} as facts
  from pg_sequence s, ${userRelations("'S'")} and s.seqrelid = c.oid`

// 15.20 and 17.12 keep a `pg_attver` of their own there, which pg_dump leaves out.
const COLUMN_OPTIONS = "array(select o from unnest(a.attoptions) o where o !~ '^pg_')"

const COLUMN_EXPRESSION = `(
  select ${digest('pg_get_expr(ad.adbin, ad.adrelid)')}
  from pg_attrdef ad
  where ad.adrelid = a.attrelid and ad.adnum = a.attnum)`

const columns: StructureQuery = (version) => `
  select 'column' as kind, c.identity || '.' || quote_ident(a.attname) as identity, ${facts({
    type: 'format_type(a.atttypid, a.atttypmod)',
    notNull: flag('a.attnotnull'),
    identity: "nullif(a.attidentity::text, '')",
    generated: "nullif(a.attgenerated::text, '')",
    default: flag("(a.atthasdef and a.attgenerated = '')"),
    collation: `case when a.attcollation <> t.typcollation then ${collationName('a.attcollation')} end`,
    storage: 'nullif(a.attstorage::text, t.typstorage::text)',
    compression: version >= 140000 ? "nullif(a.attcompression::text, '')" : undefined,
    statistics: 'nullif(a.attstattarget, -1)',
    options: only('a.attoptions is not null', sortedArray(COLUMN_OPTIONS)),
    foreignOptions: optionNames('a.attfdwoptions'),
    acl: acl('a.attacl', 'c', 'c.relowner'),
    comment: comment('pg_class', 'a.attrelid', 'a.attnum'),
    definition: only('a.atthasdef', COLUMN_EXPRESSION),
  })} as facts
  from (
    select c.oid, c.relowner, ${qualified('n.nspname', 'c.relname')} as identity
    from ${userRelations("'r', 'p', 'v', 'm', 'f', 'c'")}
  ) c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  join pg_type t on t.oid = a.atttypid`

// Foreign keys that a partition inherits are created anew by a restore, under names that PostgreSQL picks.
const CONSTRAINED_COLUMN = `(select quote_ident(a.attname)
  from pg_attribute a where a.attrelid = con.conrelid and a.attnum = con.conkey[1])`

const EXCLUSION_OPERATORS = `(
  select jsonb_agg(o.operator::regoperator::text order by o.position)
  from unnest(con.conexclop) with ordinality o (operator, position))`

// A column has one NOT NULL at most, whose name is seldom anybody's choice, and not always kept by pg_dump.
const constraints: StructureQuery = (version) => `
  select
    case con.contype when 'n' then 'not-null constraint' else 'constraint' end as kind,
    coalesce(r.identity, ty.identity) || '.'
      || case con.contype when 'n' then ${CONSTRAINED_COLUMN} else quote_ident(con.conname) end as identity,
    ${facts({
      type: 'con.contype::text',
      name: "case when con.contype = 'n' then con.conname end",
      columns: columnNames('con.conrelid', 'con.conkey'),
      references: `case when con.contype = 'f' then ${relationName('con.confrelid')} end`,
      referencedColumns: columnNames('con.confrelid', 'con.confkey'),
      actions: "case when con.contype = 'f' then concat(con.confupdtype, con.confdeltype, con.confmatchtype) end",
      setColumns: version >= 150000 ? columnNames('con.conrelid', 'con.confdelsetcols') : undefined,
      operators: only('con.conexclop is not null', EXCLUSION_OPERATORS),
      deferrable: flag('con.condeferrable'),
      deferred: flag('con.condeferred'),
      notValid: flag('not con.convalidated'),
      noInherit: flag("(con.connoinherit and con.contype in ('c', 'n'))"),
      notEnforced: version >= 180000 ? flag('not con.conenforced') : undefined,
      period: version >= 180000 ? flag('con.conperiod') : undefined,
      comment: comment('pg_constraint', 'con.oid'),
      definition: `case when con.contype = 'c' then ${digest('pg_get_constraintdef(con.oid)')} end`,
    })} as facts
  from pg_constraint con
  left join (
    select c.oid, ${qualified('n.nspname', 'c.relname')} as identity from ${userRelations("'r', 'p', 'f'")}
  ) r on r.oid = con.conrelid
  left join (
    select t.oid, ${qualified('n.nspname', 't.typname')} as identity
    from pg_type t join pg_namespace n on n.oid = t.typnamespace
    where ${userSchema()} and ${notOfExtension('pg_type', 't.oid')}
  ) ty on ty.oid = con.contypid
  where coalesce(r.identity, ty.identity) is not null
    and con.contype <> 't' and not (con.contype = 'f' and con.conparentid <> 0)
    and not (con.contype = 'n' and con.contypid <> 0)`

const INDEX_KEYS = `(
  select jsonb_agg(
    coalesce((select ka.attname from pg_attribute ka
      where ka.attrelid = i.indrelid and ka.attnum = k.number and k.number <> 0), '(expression)')
      || coalesce(' ' || ${operatorClassName('k.class')}, '')
      || coalesce(' collate ' || ${collationName('k.coll')}, '')
      || case k.option & 1 when 1 then ' desc' else '' end || case k.option & 2 when 2 then ' nulls first' else '' end
    order by k.position)
  from unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[], i.indoption::int2[])
    with ordinality k (number, class, coll, option, position))`

const INDEX_PARENT = `(select ${relationName('inh.inhparent')} from pg_inherits inh where inh.inhrelid = x.oid)`

const indexes: StructureQuery = (version) => `
  select 'index' as kind, ${qualified('n.nspname', 'x.relname')} as identity, ${facts({
    table: qualified('n.nspname', 'c.relname'),
    method: '(select am.amname from pg_am am where am.oid = x.relam)',
    keys: INDEX_KEYS,
    keyCount: 'i.indnkeyatts',
    unique: flag('i.indisunique'),
    nullsNotDistinct: version >= 150000 ? flag('i.indnullsnotdistinct') : undefined,
    primary: flag('i.indisprimary'),
    exclusion: flag('i.indisexclusion'),
    immediate: flag('i.indimmediate'),
    invalid: flag('not i.indisvalid'),
    notReady: flag('not i.indisready'),
    clustered: flag('i.indisclustered'),
    replicaIdentity: flag('i.indisreplident'),
    partial: flag('i.indpred is not null'),
    partitioned: flag("x.relkind = 'I'"),
    parent: only(ANY_INHERITS, INDEX_PARENT),
    options: sortedArray('x.reloptions'),
    comment: comment('pg_class', 'x.oid'),
    definition: `case when i.indexprs is not null or i.indpred is not null
      then ${digest('pg_get_indexdef(x.oid)')} end`,
  })} as facts
  from pg_index i join pg_class x on x.oid = i.indexrelid, ${userRelations("'r', 'p', 'm'")} and i.indrelid = c.oid`

const triggers: StructureQuery = () => `
  select
    'trigger' as kind, ${qualified('n.nspname', 'c.relname')} || '.' || quote_ident(tg.tgname) as identity,
    ${facts({
      enabled: 'tg.tgenabled::text',
      type: 'tg.tgtype',
      function: 'tg.tgfoid::regprocedure::text',
      columns: columnNames('tg.tgrelid', 'tg.tgattr::int2[]'),
      arguments: "encode(sha256(nullif(tg.tgargs, '')), 'hex')",
      constraint: flag('tg.tgconstraint <> 0'),
      deferrable: flag('tg.tgdeferrable'),
      deferred: flag('tg.tginitdeferred'),
      conditional: flag('tg.tgqual is not null'),
      oldTable: 'tg.tgoldtable::text',
      newTable: 'tg.tgnewtable::text',
      comment: comment('pg_trigger', 'tg.oid'),
      definition: digest('pg_get_triggerdef(tg.oid)'),
    })} as facts
  from pg_trigger tg, ${userRelations("'r', 'p', 'v', 'f'")} and tg.tgrelid = c.oid and not tg.tgisinternal`

const rules: StructureQuery = () => `
  select 'rule' as kind, ${qualified('n.nspname', 'c.relname')} || '.' || quote_ident(rw.rulename) as identity, ${facts(
    {
      event: 'rw.ev_type::text',
      enabled: 'rw.ev_enabled::text',
      instead: flag('rw.is_instead'),
      comment: comment('pg_rewrite', 'rw.oid'),
      definition: digest('pg_get_ruledef(rw.oid)'),
    },
  )} as facts
  from pg_rewrite rw, ${userRelations("'r', 'p', 'v', 'm', 'f'")} and rw.ev_class = c.oid and rw.rulename <> '_RETURN'`

const policies: StructureQuery = () => `
  select
    'policy' as kind, ${qualified('n.nspname', 'c.relname')} || '.' || quote_ident(pol.polname) as identity,
    ${facts({
      command: 'pol.polcmd::text',
      restrictive: flag('not pol.polpermissive'),
      roles: `(select jsonb_agg(${roleName('r')} order by ${roleName('r')} collate "C") from unnest(pol.polroles) r)`,
      using: flag('pol.polqual is not null'),
      check: flag('pol.polwithcheck is not null'),
      comment: comment('pg_policy', 'pol.oid'),
      definition: digest("concat_ws(' / ', pg_get_expr(pol.polqual, c.oid), pg_get_expr(pol.polwithcheck, c.oid))"),
    })} as facts
  from pg_policy pol, ${userRelations("'r', 'p'")} and pol.polrelid = c.oid`

const statistics: StructureQuery = (version) => `
  select 'statistics' as kind, ${qualified('n.nspname', 'st.stxname')} as identity, ${facts({
    owner: roleName('st.stxowner'),
    table: relationName('st.stxrelid'),
    columns: columnNames('st.stxrelid', 'st.stxkeys::int2[]'),
    kinds: sortedArray('st.stxkind::text[]'),
    expressions: version >= 140000 ? flag('st.stxexprs is not null') : undefined,
    target: 'nullif(st.stxstattarget, -1)',
    comment: comment('pg_statistic_ext', 'st.oid'),
    definition: digest('pg_get_statisticsobjdef(st.oid)'),
  })} as facts
  from pg_statistic_ext st join pg_namespace n on n.oid = st.stxnamespace
  where ${userSchema()} and ${notOfExtension('pg_statistic_ext', 'st.oid')}`

/** Tables, views, sequences and what hangs on them. */
export const RELATION_QUERIES: readonly StructureQuery[] = [
  relations,
  sequences,
  columns,
  constraints,
  indexes,
  triggers,
  rules,
  policies,
  statistics,
]

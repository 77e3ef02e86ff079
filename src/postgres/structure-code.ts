import {
  acl,
  collationName,
  comment,
  digest,
  facts,
  flag,
  notOfExtension,
  only,
  operatorClassName,
  qualified,
  roleName,
  type StructureQuery,
  sortedArray,
  unquoted,
  userSchema,
} from './structure-sql.ts'

/** The first OID that is not PostgreSQL's own: tells user-made objects that have no schema, or sit in pg_catalog. */
const FIRST_USER_OID = 16384

const FUNCTION_KIND = `case p.prokind
  when 'a' then 'aggregate' when 'p' then 'procedure' when 'w' then 'window function' else 'function' end`

const AGGREGATE = `(
  select ${facts({
    kind: 'ag.aggkind::text',
    transition: 'ag.aggtransfn::regprocedure::text',
    state: 'format_type(ag.aggtranstype, null)',
    initial: 'ag.agginitval',
    final: "nullif(ag.aggfinalfn::regprocedure::text, '-')",
    combine: "nullif(ag.aggcombinefn::regprocedure::text, '-')",
    movingTransition: "nullif(ag.aggmtransfn::regprocedure::text, '-')",
    sort: "nullif(ag.aggsortop::regoperator::text, '0')",
  })}
  from pg_aggregate ag where ag.aggfnoid = p.oid)`

// Lists of names are spelt anew by a restore: SET … FROM CURRENT takes over what somebody else has spelt.
const SETTINGS = only(
  'p.proconfig is not null',
  sortedArray(`array(
  select case when split_part(o, '=', 1) in ('search_path', 'temp_tablespaces', 'session_preload_libraries',
      'local_preload_libraries', 'shared_preload_libraries', 'unix_socket_directories')
    then regexp_replace(${unquoted('o')}, '\\s*,\\s*', ', ', 'g') else ${unquoted('o')} end
  from unnest(p.proconfig) o)`),
)

const functions: StructureQuery = (version) => `
  select ${FUNCTION_KIND} as kind, p.oid::regprocedure::text as identity, ${facts({
    owner: roleName('p.proowner'),
    acl: acl('p.proacl', 'f', 'p.proowner'),
    language: '(select l.lanname from pg_language l where l.oid = p.prolang)',
    source: `case when p.prokind <> 'a' then ${digest('p.prosrc')} end`,
    library: 'p.probin',
    sqlBody: version >= 140000 ? flag('p.prosqlbody is not null') : undefined,
    arguments: 'pg_get_function_identity_arguments(p.oid)',
    defaults: 'nullif(p.pronargdefaults, 0)',
    returns: 'pg_get_function_result(p.oid)',
    volatility: 'p.provolatile::text',
    securityDefiner: flag('p.prosecdef'),
    strict: flag('p.proisstrict'),
    leakproof: flag('p.proleakproof'),
    parallel: 'p.proparallel::text',
    cost: 'p.procost',
    rows: 'nullif(p.prorows, 0)',
    support: "nullif(p.prosupport::regproc::text, '-')",
    settings: SETTINGS,
    aggregate: only("p.prokind = 'a'", AGGREGATE),
    comment: comment('pg_proc', 'p.oid'),
    definition:
      version >= 140000
        ? `case when p.prosqlbody is not null then ${digest('pg_get_function_sqlbody(p.oid)')} end`
        : undefined,
  })} as facts
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where ${userSchema()} and ${notOfExtension('pg_proc', 'p.oid')}
    and not exists (
      select from pg_depend internal
      where internal.classid = 'pg_proc'::regclass and internal.objid = p.oid and internal.deptype = 'i')`

const TYPE_KIND = `case t.typtype when 'e' then 'enum' when 'd' then 'domain' when 'r' then 'range'
  when 'c' then 'composite type' when 'p' then 'shell type' else 'base type' end`

const RANGE = `(
  select ${facts({
    subtype: 'format_type(rg.rngsubtype, null)',
    operatorClass: operatorClassName('rg.rngsubopc'),
    collation: collationName('rg.rngcollation'),
    canonical: "nullif(rg.rngcanonical::regproc::text, '-')",
    difference: "nullif(rg.rngsubdiff::regproc::text, '-')",
  })}
  from pg_range rg where rg.rngtypid = t.oid)`

const BASE = `case when t.typtype = 'b' then jsonb_build_object(
  'input', t.typinput::regproc::text, 'output', t.typoutput::regproc::text, 'receive', t.typreceive::regproc::text,
  'send', t.typsend::regproc::text, 'length', t.typlen, 'byValue', t.typbyval, 'alignment', t.typalign::text,
  'storage', t.typstorage::text, 'category', t.typcategory::text, 'preferred', t.typispreferred) end`

// Row types of tables, arrays and multiranges come and go with what they belong to.
const types: StructureQuery = (version) => `
  select ${TYPE_KIND} as kind, ${qualified('n.nspname', 't.typname')} as identity, ${facts({
    owner: roleName('t.typowner'),
    acl: acl('t.typacl', 'T', 't.typowner'),
    labels: '(select jsonb_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid)',
    base: "case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end",
    notNull: flag("(t.typtype = 'd' and t.typnotnull)"),
    default: flag("(t.typtype = 'd' and t.typdefault is not null)"),
    collation: `case when t.typtype = 'd'
      and t.typcollation <> (select bt.typcollation from pg_type bt where bt.oid = t.typbasetype)
      then ${collationName('t.typcollation')} end`,
    range: RANGE,
    multirange:
      version >= 140000
        ? '(select rg.rngmultitypid::regtype::text from pg_range rg where rg.rngtypid = t.oid)'
        : undefined,
    implementation: BASE,
    comment: `coalesce(${comment('pg_type', 't.oid')}, ${comment('pg_class', 't.typrelid')})`,
  })} as facts
  from pg_type t join pg_namespace n on n.oid = t.typnamespace left join pg_class rel on rel.oid = t.typrelid
  where ${userSchema()} and ${notOfExtension('pg_type', 't.oid')}
    and t.typtype <> 'm' and (t.typrelid = 0 or rel.relkind = 'c')
    and not exists (select from pg_type item where item.typarray = t.oid)`

const operators: StructureQuery = () => `
  select 'operator' as kind, o.oid::regoperator::text as identity, ${facts({
    owner: roleName('o.oprowner'),
    function: 'o.oprcode::regprocedure::text',
    result: 'format_type(o.oprresult, null)',
    commutator: "nullif(o.oprcom::regoperator::text, '0')",
    negator: "nullif(o.oprnegate::regoperator::text, '0')",
    restrict: "nullif(o.oprrest::regproc::text, '-')",
    join: "nullif(o.oprjoin::regproc::text, '-')",
    merges: flag('o.oprcanmerge'),
    hashes: flag('o.oprcanhash'),
    comment: comment('pg_operator', 'o.oid'),
  })} as facts
  from pg_operator o join pg_namespace n on n.oid = o.oprnamespace
  where ${userSchema()} and ${notOfExtension('pg_operator', 'o.oid')} and o.oprcode <> 0`

const operatorClasses: StructureQuery = () => `
  select 'operator class' as kind, ${qualified('n.nspname', 'oc.opcname')} || ' using '
    || am.amname as identity, ${facts({
      owner: roleName('oc.opcowner'),
      type: 'format_type(oc.opcintype, null)',
      default: flag('oc.opcdefault'),
      keyType: 'case when oc.opckeytype <> 0 then format_type(oc.opckeytype, null) end',
      family: qualified('fn.nspname', 'f.opfname'),
      comment: comment('pg_opclass', 'oc.oid'),
    })} as facts
  from pg_opclass oc join pg_namespace n on n.oid = oc.opcnamespace join pg_am am on am.oid = oc.opcmethod
  join pg_opfamily f on f.oid = oc.opcfamily join pg_namespace fn on fn.oid = f.opfnamespace
  where ${userSchema()} and ${notOfExtension('pg_opclass', 'oc.oid')}`

const operatorFamilies: StructureQuery = () => `
  select 'operator family' as kind, ${qualified('n.nspname', 'f.opfname')} || ' using '
    || am.amname as identity, ${facts({
      owner: roleName('f.opfowner'),
      operators: `(select jsonb_agg(item order by item) from (
      select ao.amopstrategy || ' ' || ao.amopopr::regoperator as item from pg_amop ao where ao.amopfamily = f.oid) x)`,
      functions: `(select jsonb_agg(item order by item) from (
      select ap.amprocnum || ' ' || ap.amproc::regprocedure || ' for '
        || format_type(ap.amproclefttype, null) || ', ' || format_type(ap.amprocrighttype, null) as item
      from pg_amproc ap where ap.amprocfamily = f.oid) x)`,
      comment: comment('pg_opfamily', 'f.oid'),
    })} as facts
  from pg_opfamily f join pg_namespace n on n.oid = f.opfnamespace join pg_am am on am.oid = f.opfmethod
  where ${userSchema()} and ${notOfExtension('pg_opfamily', 'f.oid')}`

const casts: StructureQuery = () => `
  select 'cast' as kind, format_type(ca.castsource, null) || ' as '
    || format_type(ca.casttarget, null) as identity, ${facts({
      function: 'case when ca.castfunc <> 0 then ca.castfunc::regprocedure::text end',
      context: 'ca.castcontext::text',
      method: 'ca.castmethod::text',
      comment: comment('pg_cast', 'ca.oid'),
    })} as facts
  from pg_cast ca
  where ca.oid >= ${FIRST_USER_OID} and ${notOfExtension('pg_cast', 'ca.oid')}
    and not exists (
      select from pg_depend internal
      where internal.classid = 'pg_cast'::regclass and internal.objid = ca.oid and internal.deptype = 'i')`

function collations(version: number): string {
  const locale = version >= 170000 ? 'co.colllocale' : version >= 150000 ? 'co.colliculocale' : undefined
  return `
  select 'collation' as kind, ${qualified('n.nspname', 'co.collname')} as identity, ${facts({
    owner: roleName('co.collowner'),
    provider: 'co.collprovider::text',
    deterministic: 'co.collisdeterministic',
    collate: 'co.collcollate::text',
    ctype: 'co.collctype::text',
    locale,
    rules: version >= 160000 ? 'co.collicurules' : undefined,
    comment: comment('pg_collation', 'co.oid'),
  })} as facts
  from pg_collation co join pg_namespace n on n.oid = co.collnamespace
  where ${userSchema()} and ${notOfExtension('pg_collation', 'co.oid')}`
}

const conversions: StructureQuery = () => `
  select 'conversion' as kind, ${qualified('n.nspname', 'cv.conname')} as identity, ${facts({
    owner: roleName('cv.conowner'),
    from: 'pg_encoding_to_char(cv.conforencoding)::text',
    to: 'pg_encoding_to_char(cv.contoencoding)::text',
    function: 'cv.conproc::regproc::text',
    default: flag('cv.condefault'),
    comment: comment('pg_conversion', 'cv.oid'),
  })} as facts
  from pg_conversion cv join pg_namespace n on n.oid = cv.connamespace
  where ${userSchema()} and ${notOfExtension('pg_conversion', 'cv.oid')}`

const languages: StructureQuery = () => `
  select 'language' as kind, quote_ident(l.lanname) as identity, ${facts({
    owner: roleName('l.lanowner'),
    acl: acl('l.lanacl', 'l', 'l.lanowner'),
    trusted: flag('l.lanpltrusted'),
    handler: "nullif(l.lanplcallfoid::regproc::text, '-')",
    comment: comment('pg_language', 'l.oid'),
  })} as facts
  from pg_language l
  where l.lanispl and ${notOfExtension('pg_language', 'l.oid')}`

const accessMethods: StructureQuery = () => `
  select 'access method' as kind, quote_ident(am.amname) as identity, ${facts({
    type: 'am.amtype::text',
    handler: 'am.amhandler::regproc::text',
    comment: comment('pg_am', 'am.oid'),
  })} as facts
  from pg_am am
  where am.oid >= ${FIRST_USER_OID} and ${notOfExtension('pg_am', 'am.oid')}`

const transforms: StructureQuery = () => `
  select 'transform' as kind, format_type(tf.trftype, null) || ' language '
    || quote_ident(l.lanname) as identity, ${facts({
      from: "nullif(tf.trffromsql::regproc::text, '-')",
      to: "nullif(tf.trftosql::regproc::text, '-')",
    })} as facts
  from pg_transform tf join pg_language l on l.oid = tf.trflang
  where ${notOfExtension('pg_transform', 'tf.oid')}`

const textSearch: StructureQuery = () => `
  select 'text search configuration' as kind, ${qualified('n.nspname', 'cfg.cfgname')} as identity, ${facts({
    owner: roleName('cfg.cfgowner'),
    parser: `(
      select ${qualified('pn.nspname', 'ps.prsname')}
      from pg_ts_parser ps join pg_namespace pn on pn.oid = ps.prsnamespace
      where ps.oid = cfg.cfgparser)`,
    dictionaries: `(
      select jsonb_agg(
        mp.maptokentype || ' ' || ${qualified('dn.nspname', 'dt.dictname')} order by mp.maptokentype, mp.mapseqno)
      from pg_ts_config_map mp
      join pg_ts_dict dt on dt.oid = mp.mapdict join pg_namespace dn on dn.oid = dt.dictnamespace
      where mp.mapcfg = cfg.oid)`,
    comment: comment('pg_ts_config', 'cfg.oid'),
  })} as facts
  from pg_ts_config cfg join pg_namespace n on n.oid = cfg.cfgnamespace
  where ${userSchema()} and ${notOfExtension('pg_ts_config', 'cfg.oid')}
  union all
  select 'text search dictionary', ${qualified('n.nspname', 'dt.dictname')}, ${facts({
    owner: roleName('dt.dictowner'),
    template: `(
      select ${qualified('tn.nspname', 'tp.tmplname')}
      from pg_ts_template tp join pg_namespace tn on tn.oid = tp.tmplnamespace
      where tp.oid = dt.dicttemplate)`,
    options: digest(unquoted('dt.dictinitoption')),
    comment: comment('pg_ts_dict', 'dt.oid'),
  })}
  from pg_ts_dict dt join pg_namespace n on n.oid = dt.dictnamespace
  where ${userSchema()} and ${notOfExtension('pg_ts_dict', 'dt.oid')}
  union all
  select 'text search parser', ${qualified('n.nspname', 'ps.prsname')},
    ${facts({ start: 'ps.prsstart::regproc::text' })}
  from pg_ts_parser ps join pg_namespace n on n.oid = ps.prsnamespace
  where ${userSchema()} and ${notOfExtension('pg_ts_parser', 'ps.oid')}
  union all
  select 'text search template', ${qualified('n.nspname', 'tp.tmplname')},
    ${facts({ lexize: 'tp.tmpllexize::regproc::text' })}
  from pg_ts_template tp join pg_namespace n on n.oid = tp.tmplnamespace
  where ${userSchema()} and ${notOfExtension('pg_ts_template', 'tp.oid')}`

/** Functions, types, operators, languages and text search. */
export const CODE_QUERIES: readonly StructureQuery[] = [
  functions,
  types,
  operators,
  operatorClasses,
  operatorFamilies,
  casts,
  collations,
  conversions,
  languages,
  accessMethods,
  transforms,
  textSearch,
]

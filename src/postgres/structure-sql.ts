/** A query that yields rows `(kind text, identity text, facts jsonb)`, for a server version such as 170012. */
export type StructureQuery = (version: number) => string

/** Condition: the object is no member of an extension. `catalog` is the catalog's name, `oid` an expression. */
export function notOfExtension(catalog: string, oid: string): string {
  return `not exists (
    select from pg_depend ext
    where ext.classid = '${catalog}'::regclass and ext.objid = ${oid} and ext.objsubid = 0 and ext.deptype = 'e')`
}

/** Condition: the schema is the users' own. Names beginning with `pg_` are reserved by PostgreSQL. */
export function userSchema(alias = 'n'): string {
  return `(${alias}.nspname !~ '^pg_' and ${alias}.nspname <> 'information_schema')`
}

/** `schema.name`, each part quoted where it must be. */
export function qualified(schema: string, name: string): string {
  return `(quote_ident(${schema}) || '.' || quote_ident(${name}))`
}

/** The qualified name of a relation by OID; null for 0. */
export function relationName(oid: string): string {
  const name = `(
    select ${qualified('rn.nspname', 'rc.relname')}
    from pg_class rc join pg_namespace rn on rn.oid = rc.relnamespace
    where rc.oid = ${oid})`
  return only(`${oid} <> 0`, name)
}

/**
 * The qualified name of an operator class by OID; null for 0. Out of one map for the whole query: there are two hundred of
 * them, and the planner would go through them all for each column of each index.
 */
export function operatorClassName(oid: string): string {
  return `((
    select jsonb_object_agg(oc_.oid, ${qualified('on_.nspname', 'oc_.opcname')})
    from pg_opclass oc_ join pg_namespace on_ on on_.oid = oc_.opcnamespace
  ) ->> ${oid}::text)`
}

/** The qualified name of a collation by OID; null for 0. */
export function collationName(oid: string): string {
  const name = `(
    select ${qualified('cn_.nspname', 'co_.collname')}
    from pg_collation co_ join pg_namespace cn_ on cn_.oid = co_.collnamespace
    where co_.oid = ${oid})`
  return only(`${oid} <> 0`, name)
}

/** A role's name, quoted; `PUBLIC` for 0. */
export function roleName(oid: string): string {
  return `(case when ${oid} = 0 then 'PUBLIC' else quote_ident(pg_get_userbyid(${oid})) end)`
}

/** SHA-256 of a text in the database's own encoding, null for null. */
export function digest(text: string): string {
  return `encode(sha256(convert_to(${text}, getdatabaseencoding())), 'hex')`
}

/** SHA-256 of an object's comment, null if there is none. `column` is the attribute's number for a column. */
export function comment(catalog: string, oid: string, column = '0'): string {
  const ofCatalog = `dc.classoid = '${catalog}'::regclass`
  const text = `(
    select ${digest('dc.description')}
    from pg_description dc
    where ${ofCatalog} and dc.objoid = ${oid} and dc.objsubid = ${column})`
  // Whether anything of the catalog has a comment at all is asked once for the whole query.
  return only(`exists (select from pg_description dc where ${ofCatalog})`, text)
}

/** A text without quotes around names that need none: whether they are there depends on quote_all_identifiers. */
export function unquoted(text: string): string {
  return `regexp_replace(${text}, '"([a-z_][a-z0-9_]*)"', '\\1', 'g')`
}

/**
 * `expression` where `condition` is true, null elsewhere. A subquery that finds nothing is not for free, and these run for
 * each of perhaps a million rows: setting up its aggregate and sort costs more than all plain columns together.
 */
export function only(condition: string, expression: string): string {
  return `(case when ${condition} then ${expression} end)`
}

/** Condition, asked once for a whole query: there is inheritance or partitioning at all. */
export const ANY_INHERITS = 'exists (select from pg_inherits)'

/** A text array as sorted JSON, null where it is null or empty. */
export function sortedArray(array: string): string {
  return only(`${array} is not null`, `(select jsonb_agg(item order by item collate "C") from unnest(${array}) item)`)
}

/**
 * The names of the attributes `numbers` (int2[]) of a relation, in that order. Lookups, here and above, are scalar
 * subqueries on purpose: for joins the planner builds a hash of the whole catalog, anew for every row.
 */
export function columnNames(relation: string, numbers: string): string {
  const names = `(
    select jsonb_agg((
      select ca.attname from pg_attribute ca
        where ca.attrelid = ${relation} and ca.attnum = cn.number) order by cn.position)
    from unnest(${numbers}) with ordinality cn (number, position))`
  return only(`${numbers} <> '{}'`, names)
}

/** The names, never the values, of options such as `{user=joe,password=…}`. */
export function optionNames(options: string): string {
  const names = `(select jsonb_agg(split_part(item, '=', 1) order by split_part(item, '=', 1) collate "C")
    from unnest(${options}) item)`
  return only(`${options} is not null`, names)
}

/**
 * An ACL as a sorted list of `grantee=PRIVILEGE,PRIVILEGE*` + `/grantor`, null where it is the default: a dump turns
 * NULL into NULL, but an explicit list that equals the default may come back as either, and in any order.
 */
export function acl(list: string, type: string, owner: string): string {
  return `(case when ${list} is not null
    then nullif(${grants(list)}, ${grants(`acldefault('${type}', ${owner})`)}) end)`
}

/** Any ACL as a sorted list of grants; `[]` where it is empty. */
export function grants(list: string): string {
  return `(
    select coalesce(jsonb_agg(granted.item order by granted.item collate "C"), '[]')
    from (
      select ${roleName('exploded.grantee')} || '='
        || string_agg(exploded.privilege_type || case when exploded.is_grantable then '*' else '' end, ','
             order by exploded.privilege_type collate "C")
        || '/' || ${roleName('exploded.grantor')} as item
      from aclexplode(${list}) exploded
      group by exploded.grantee, exploded.grantor
    ) granted)`
}

/** A JSON object without its nulls, from name → SQL expression. What is false or empty the caller turns into null. */
export function facts(entries: Record<string, string | undefined>): string {
  const known = Object.entries(entries).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return `jsonb_strip_nulls(jsonb_build_object(${known.map(([name, sql]) => `'${name}', ${sql}`).join(', ')}))`
}

/** True or nothing: facts that are false are left out, which keeps 100,000 columns small. */
export function flag(condition: string): string {
  return `nullif(${condition}, false)`
}

import type { ClientBase } from 'pg'
import { codeOf, LifeboatError, messageOf } from '../base/errors.ts'
import { withCatalogSession } from './catalog-session.ts'
import { literalExpression, patternExpressions } from './table-patterns.ts'

/** Patterns as pg_dump takes them. Empty lists: nothing was asked for. */
export interface TablePatterns {
  tables: readonly string[]
  excludeTables: readonly string[]
  excludeTableData: readonly string[]
}

/** The tables and sequences that pg_dump dumps, by OID; undefined stands for all there are. */
export interface TableChoice {
  /** Those in the dump: it locks the tables among them. */
  dumped: ReadonlySet<number> | undefined
  /** Those whose rows, or whose value, it reads. */
  read: ReadonlySet<number> | undefined
  /** The patterns that match nothing, each with the input that it is from. */
  idle: readonly { input: string; pattern: string }[]
}

export const EVERY_TABLE: TableChoice = { dumped: undefined, read: undefined, idle: [] }

/** Whether something is among what is chosen. */
export function isAmong(chosen: ReadonlySet<number> | undefined, { oid }: { oid: number }): boolean {
  return chosen === undefined || chosen.has(oid)
}

/**
 * What pg_dump, run by the connected role, makes of the patterns: what they match now, or in the snapshot of the client's
 * transaction. A name without a schema is looked up by the search_path that the role has without our pins. Catalog only.
 * Errors: `bad-pattern` for one that cannot be read, or that takes in the system catalog; `nothing-selected` if nothing
 * matches `tables`.
 */
export async function chooseTables(
  client: ClientBase,
  patterns: TablePatterns,
  encoding: string,
): Promise<TableChoice> {
  const asked = listPatterns(patterns)
  if (asked.length === 0) return EVERY_TABLE
  for (const one of asked) assertGivable(one, encoding)
  const relations = await findRelations(client, asked)
  const isHit = ({ numbers }: Relation, input: string) => numbers.some((number) => asked[number - 1]?.input === input)
  const included = patterns.tables.length === 0 ? relations : relations.filter((one) => isHit(one, 'tables'))
  if (included.length === 0) throw nothingSelected(patterns)
  const named = included.filter((one) => !isHit(one, 'exclude-tables'))
  if (patterns.tables.length > 0) assertNoneOfSystem(named, asked)
  // A sequence goes with the table that owns it; one of an identity column goes with nothing else.
  const chosen = named.filter(({ kind, ownership }) => /[rpS]/.test(kind) && ownership !== 'i')
  const dumped = new Set(chosen.map(({ oid }) => oid))
  const owned = relations.filter(({ owner }) => owner !== null && dumped.has(owner))
  for (const { oid } of owned) dumped.add(oid)
  const read = new Set(dumped)
  for (const one of relations) if (isHit(one, 'exclude-table-data')) read.delete(one.oid)
  const matched = new Set(relations.flatMap(({ numbers }) => numbers))
  return { dumped, read, idle: asked.filter((_, index) => !matched.has(index + 1)) }
}

interface AskedPattern {
  input: string
  pattern: string
}

function listPatterns({ tables, excludeTables, excludeTableData }: TablePatterns): AskedPattern[] {
  const of = (input: string, patterns: readonly string[]) => patterns.map((pattern) => ({ input, pattern }))
  return [
    ...of('tables', tables),
    ...of('exclude-tables', excludeTables),
    ...of('exclude-table-data', excludeTableData),
  ]
}

/** A relation that pg_dump's patterns can match, if it is of the user's or if one does. */
interface Relation {
  oid: number
  kind: 'r' | 'p' | 'S' | 'v' | 'm' | 'f'
  /** Quoted as in SQL. */
  name: string
  isSystem: boolean
  /** Which patterns match it, counted from 1. */
  numbers: number[]
  /** OID of the table that owns a sequence, and how: `a` by a serial column, `i` by an identity column. */
  owner: number | null
  ownership: 'a' | 'i' | null
}

async function findRelations(client: ClientBase, asked: readonly AskedPattern[]): Promise<Relation[]> {
  const { database, path } = await whereNamesAreLookedUp(client)
  const parts = asked.map(({ pattern }) => patternExpressions(pattern))
  const foreign = asked[parts.findIndex((of) => of.length === MOST_PARTS && of[0] !== literalExpression(database))]
  if (foreign !== undefined) throw badPattern(foreign, 'names another database', 'Write schema.table.')
  const schemas = parts.map((of) => of.at(-2) ?? null)
  const names = parts.map((of) => of.at(-1))
  try {
    return await withCatalogSession(client, async () => {
      const { rows } = await client.query<Relation>(RELATIONS, [schemas, names, path])
      return rows
    })
  } catch (error) {
    throw codeOf(error) === INVALID_EXPRESSION ? await unreadablePattern(client, asked, error) : error
  }
}

/** The schemas of a search_path that nothing pins, in order: pg_dump resets its own, too. */
async function whereNamesAreLookedUp(client: ClientBase): Promise<{ database: string; path: string[] }> {
  const answers: unknown = await client.query(
    `reset search_path;
     select pg_catalog.current_database() as database, pg_catalog.current_schemas(true)::pg_catalog.text[] as path;
     select pg_catalog.set_config('search_path', '', false)`,
  )
  const [, answer] = answers as { rows: { database: string; path: string[] }[] }[]
  return answer?.rows[0] ?? { database: '', path: [] }
}

/** What of pg_class, and by which conditions, as in pg_dump's expand_table_name_patterns. */
const RELATIONS = `
  with patterns as (
    select schema, name, number::int from unnest($1::text[], $2::text[]) with ordinality as p (schema, name, number)
  ), relations as (
    select c.oid, c.relkind, n.nspname, c.relname,
      n.nspname in ('pg_catalog', 'information_schema') or n.nspname like 'pg\\_toast%' as system,
      array(
        select p.number from patterns p
        where c.relname ~ p.name collate "default" and case
          when p.schema is not null then n.nspname ~ p.schema collate "default"
          -- pg_table_is_visible, for a search_path other than the session's
          else n.nspname = any ($3::text[]) and not exists (
            select from pg_class other join pg_namespace s on s.oid = other.relnamespace
            where other.relname = c.relname
              and array_position($3::text[], s.nspname::text) < array_position($3::text[], n.nspname::text))
        end) as numbers
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'S', 'v', 'm', 'f')
  )
  select r.oid::int8::float8 as oid, r.relkind as kind, format('%I.%I', r.nspname, r.relname) as name, r.system as "isSystem", r.numbers,
    d.refobjid::int8::float8 as owner, d.deptype as ownership
  from relations r left join pg_depend d on r.relkind = 'S' and d.classid = 'pg_class'::regclass and d.objid = r.oid
    and d.objsubid = 0 and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i')
  where r.numbers <> '{}' or not r.system`

const INVALID_EXPRESSION = '2201B'
const MOST_PARTS = 3

function assertGivable(asked: AskedPattern, encoding: string): void {
  if (patternExpressions(asked.pattern).length > MOST_PARTS) {
    throw badPattern(asked, 'has too many dots', 'Write schema.table, and a name with a dot in double quotes.')
  }
  // pg_dump takes its arguments for text in the encoding that it dumps in; they are UTF-8.
  if (['UTF8', 'SQL_ASCII'].includes(encoding) || /^[\x20-\x7e]*$/.test(asked.pattern)) return
  const remedy = 'Write ? in place of each such character, outside of double quotes.'
  throw badPattern(asked, `has letters that pg_dump would misread in a ${encoding} database`, remedy)
}

/** Which of them the server cannot read: its error does not say. */
async function unreadablePattern(client: ClientBase, asked: readonly AskedPattern[], error: unknown): Promise<unknown> {
  for (const one of asked) {
    for (const expression of patternExpressions(one.pattern)) {
      const problem = await client.query("select '' ~ $1::text", [expression]).then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      if (codeOf(problem) !== INVALID_EXPRESSION) continue
      const remedy = 'Write a name with special characters in double quotes.'
      return badPattern(one, `cannot be read: ${messageOf(problem)}`, remedy)
    }
  }
  return error
}

/** pg_dump would take the server's own tables, which cannot be restored. */
function assertNoneOfSystem(named: readonly Relation[], asked: readonly AskedPattern[]): void {
  for (const { isSystem, name, numbers } of named) {
    const pattern = asked[(numbers[0] ?? 0) - 1]
    if (!isSystem || pattern === undefined) continue
    throw badPattern(pattern, `takes in the system catalog (${name})`, `Name a schema: public.${pattern.pattern}`)
  }
}

function nothingSelected({ tables }: TablePatterns): LifeboatError {
  return new LifeboatError(
    'nothing-selected',
    `tables matches nothing in this database (given: ${tables.join(', ')})`,
    'Correct the patterns in `tables`: schema.table, with * and ? as wildcards; what needs upper case, in double quotes.',
  )
}

function badPattern({ input, pattern }: AskedPattern, problem: string, remedy: string): LifeboatError {
  return new LifeboatError('bad-pattern', `${input}: the pattern ${pattern} ${problem}`, remedy)
}

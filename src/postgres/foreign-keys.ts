import type { ClientBase } from 'pg'
import { queryOptional } from './ask-optional.ts'
import { qualified, userSchema } from './structure-sql.ts'

/** A foreign key, and how many rows of its table have no match; never which. */
export interface ForeignKey {
  name: string
  /** Quoted as in SQL. */
  table: string
  references: string
  /** What it is called that the server does not vouch for it: `NOT VALID`, `NOT ENFORCED`; undefined: it does. */
  unproven?: 'NOT VALID' | 'NOT ENFORCED'
  /** Undefined where they were not counted, for the reason given. */
  unmatched?: number
  reason?: 'no privilege' | 'takes too long' | 'about periods'
}

interface Row {
  name: string
  oid: string
  table: string
  references: string
  childKind: string
  parentKind: string
  validated: boolean
  enforced: boolean
  period: boolean
  match: string
  columns: string[]
  referenced: string[]
  operators: string[]
}

/** query_canceled: the time was up. */
const CANCELED = '57014'

/**
 * The foreign keys of the tables with these OIDs, and those that the server does not vouch for, each with the number of
 * rows that have no match. In the caller's transaction; every count for at most `seconds`, all of them for ten times that.
 */
export async function countUnmatched(
  client: ClientBase,
  version: number,
  options: { oids: ReadonlySet<number>; seconds: number },
): Promise<ForeignKey[]> {
  const { rows } = await client.query<Row>(foreignKeys(version))
  const wanted = rows.filter(({ oid, validated }) => !validated || options.oids.has(Number(oid)))
  const found: ForeignKey[] = []
  const until = performance.now() + options.seconds * 10_000
  for (const row of wanted) {
    const { name, table, references, validated, enforced } = row
    const unproven = validated ? {} : { unproven: enforced ? ('NOT VALID' as const) : ('NOT ENFORCED' as const) }
    const left = Math.min(options.seconds * 1_000, until - performance.now())
    found.push({ name, table, references, ...unproven, ...(await count(client, row, left)) })
  }
  return found
}

async function count(
  client: ClientBase,
  row: Row,
  milliseconds: number,
): Promise<Pick<ForeignKey, 'unmatched' | 'reason'>> {
  if (row.period) return { reason: 'about periods' }
  if (milliseconds < 1) return { reason: 'takes too long' }
  await client.query(`set local statement_timeout = ${Math.ceil(milliseconds)}`)
  const answer = await queryOptional<{ unmatched: string }>(client, unmatchedRows(row), [CANCELED])
  if ('rows' in answer) return { unmatched: Number(answer.rows[0]?.unmatched) }
  return { reason: answer.refused === CANCELED ? 'takes too long' : 'no privilege' }
}

// What a partition inherits is counted with its root.
function foreignKeys(version: number): string {
  const columnsOf = (relation: string, numbers: string) => `(
    select json_agg(quote_ident(a.attname) order by k.position)
    from unnest(${numbers}) with ordinality k (number, position)
    join pg_attribute a on a.attrelid = ${relation} and a.attnum = k.number)`
  return `
  select con.conname as name, con.conrelid::int8::text as oid, ${qualified('n.nspname', 'c.relname')} as table,
    ${qualified('pn.nspname', 'p.relname')} as "references", c.relkind as "childKind", p.relkind as "parentKind",
    con.convalidated as validated, ${version >= 180000 ? 'con.conenforced' : 'true'} as enforced,
    ${version >= 180000 ? 'con.conperiod' : 'false'} as period, con.confmatchtype as match,
    ${columnsOf('con.conrelid', 'con.conkey')} as columns, ${columnsOf('con.confrelid', 'con.confkey')} as referenced,
    (
      select json_agg('operator(' || quote_ident(opn.nspname) || '.' || op.oprname || ')' order by k.position)
      from unnest(con.conpfeqop) with ordinality k (operator, position)
      join pg_operator op on op.oid = k.operator join pg_namespace opn on opn.oid = op.oprnamespace
    ) as operators
  from pg_constraint con
  join pg_class c on c.oid = con.conrelid join pg_namespace n on n.oid = c.relnamespace
  join pg_class p on p.oid = con.confrelid join pg_namespace pn on pn.oid = p.relnamespace
  where con.contype = 'f' and con.conparentid = 0 and ${userSchema()}
  order by 3, 1`
}

/** MATCH SIMPLE asks nothing of a row with a null in its key, MATCH FULL only of one with nothing but nulls. */
function unmatchedRows({
  table,
  references,
  childKind,
  parentKind,
  match,
  columns,
  referenced,
  operators,
}: Row): string {
  const own = columns.map((column) => `child.${column}`)
  const asked = match === 'f' ? `not (${nulls(own, 'is null')})` : nulls(own, 'is not null')
  const equal = own.map((column, index) => `parent.${referenced[index]} ${operators[index]} ${column}`)
  return `select count(*)::text as unmatched from ${scanned(childKind)}${table} child
    where ${asked} and not exists (select from ${scanned(parentKind)}${references} parent where ${equal.join(' and ')})`
}

function nulls(columns: readonly string[], test: 'is null' | 'is not null'): string {
  return columns.map((column) => `${column} ${test}`).join(' and ')
}

/** A constraint is about a table alone, not about those that inherit from it; of a partitioned one it is about all of it. */
function scanned(kind: string): string {
  return kind === 'p' ? '' : 'only '
}

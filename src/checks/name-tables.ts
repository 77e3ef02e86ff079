import type { Contents } from '../backup-set/documents.ts'
import { InputError } from '../base/errors.ts'
import type { Inventory } from '../postgres/inventory.ts'
import { matchesTable, nearTables, selectTables, type TableName, type TablePattern } from '../postgres/table-names.ts'

/** The tables that a run was narrowed to. */
export interface NamedTables {
  /** What the patterns name in the set or on the server, partitions included. */
  tables: readonly TableName[]
  /** Paths of the parts that hold their rows. */
  parts: ReadonlySet<string>
  has(table: TableName): boolean
}

/**
 * The tables that the patterns name, in the set or among `others`, with the partitions of those that are partitioned.
 * InputError for each pattern that names none, with what may have been meant.
 */
export function nameTables(
  patterns: readonly TablePattern[],
  contents: Contents,
  others: Pick<Inventory, 'tables'> | undefined,
): NamedTables {
  const inventory = contents.inventory as Inventory
  const known = [...inventory.tables, ...(others?.tables ?? [])]
  const problems = patterns.flatMap((pattern) => {
    if (known.some((table) => matchesTable(pattern, table))) return []
    return [problemWith(pattern, known)]
  })
  if (problems.length > 0) throw new InputError(problems)
  const keys = new Set<string>()
  for (const { tables } of others ? [inventory, others] : [inventory]) {
    for (const table of selectTables(tables, patterns)) keys.add(keyOf(table))
  }
  const has = (table: TableName) => keys.has(keyOf(table))
  const files = new Set(contents.tables.filter(has).map(({ file }) => file))
  const parts = contents.files
    .filter(({ name }) => files.has(name))
    .flatMap(({ segments, bundle }) => segments?.map(({ path }) => path) ?? bundle ?? [])
  const tables = [...keys].map((key): TableName => {
    const [schema = '', name = ''] = JSON.parse(key) as string[]
    return { schema, name }
  })
  return { tables, parts: new Set(parts), has }
}

function keyOf({ schema, name }: TableName): string {
  return JSON.stringify([schema, name])
}

function problemWith(pattern: TablePattern, known: readonly TableName[]) {
  const near = [...new Set(nearTables(pattern, known).map(({ schema, name }) => `${schema}.${name}`))].slice(0, 5)
  const accepted = near.length > 0 ? `for example ${near.join(', ')}` : 'the name of a table in the backup'
  return { input: 'tables', given: pattern.text, problem: 'names no table', accepted }
}

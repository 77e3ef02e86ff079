import { InputError, type InputProblem } from '../base/errors.ts'
import type { Inventory, TableFacts } from '../postgres/inventory.ts'
import { matchesTable, nearTables, type TableName, type TablePattern } from '../postgres/table-names.ts'
import { type Toc, tableDataEntries } from '../postgres/toc.ts'

const MOST_NAMED = 5

/**
 * The tables of a set that the patterns of the input `tables` choose, and those without which they would be something
 * else: the partitions of a partitioned table, what a partition is a part of, and all that pg_dump loads via the same
 * root. Error: InputError, with near matches, for a pattern that chooses nothing.
 */
export function chooseTables(inventory: Inventory, toc: Toc, patterns: readonly TablePattern[]): TableFacts[] {
  const tables = inventory.tables.filter(({ kind }) => kind !== 'm')
  const named = patterns.map((pattern) => tables.filter((table) => matchesTable(pattern, table)))
  const problems = patterns.flatMap((pattern, index) =>
    named[index]?.length === 0 ? [nothingMatches(pattern, inventory)] : [],
  )
  if (problems.length > 0) throw new InputError(problems)
  const kin = new Kin(tables)
  const chosen = new Set(named.flat().flatMap((table) => kin.of(table)))
  const viaRoot = new Set(tableDataEntries(toc).flatMap((entry) => (entry.viaPartitionRoot ? [entry.oid] : [])))
  for (const table of [...chosen]) if (viaRoot.has(table.oid)) for (const one of kin.wholeTree(table)) chosen.add(one)
  return tables.filter((table) => chosen.has(table))
}

function nothingMatches(pattern: TablePattern, { tables }: Inventory): InputProblem {
  const near = nearTables(pattern, tables)
  const [said, some] = near.length > 0 ? ['near it', near] : ['among those that it has', tables]
  const names = some.slice(0, MOST_NAMED).map(writeName)
  const isView = tables.some((table) => table.kind === 'm' && matchesTable(pattern, table))
  return {
    input: 'tables',
    given: pattern.text,
    problem: isView ? 'names a materialized view, which has no rows in a set' : 'names no table of the set',
    accepted: `tables of the set; ${said}: ${names.join(', ') || 'none'}`,
  }
}

/** As a pattern that chooses this table alone. */
function writeName({ schema, name }: TableName): string {
  const write = (text: string) => (/^[a-z_][a-z0-9_$]*$/.test(text) ? text : `"${text.replaceAll('"', '""')}"`)
  return `${write(schema)}.${write(name)}`
}

/** Who is a partition of whom. */
class Kin {
  readonly #byOid: Map<number, TableFacts>
  readonly #partitions = new Map<number, TableFacts[]>()

  constructor(tables: readonly TableFacts[]) {
    this.#byOid = new Map(tables.map((table) => [table.oid, table]))
    for (const table of tables) {
      const parent = this.#partitioned(table)
      if (parent !== undefined) this.#partitions.set(parent.oid, [...(this.#partitions.get(parent.oid) ?? []), table])
    }
  }

  /** The table, all below it, and what it is a part of. */
  of(table: TableFacts): TableFacts[] {
    return [...this.#above(table), ...this.#withPartitions(table)]
  }

  wholeTree(table: TableFacts): TableFacts[] {
    return this.#withPartitions(this.#above(table)[0] ?? table)
  }

  #partitioned(table: TableFacts): TableFacts | undefined {
    return table.isPartition ? this.#byOid.get(table.parents[0] ?? 0) : undefined
  }

  /** The root first. */
  #above(table: TableFacts): TableFacts[] {
    const parent = this.#partitioned(table)
    return parent === undefined ? [] : [...this.#above(parent), parent]
  }

  #withPartitions(table: TableFacts): TableFacts[] {
    return [table, ...(this.#partitions.get(table.oid) ?? []).flatMap((partition) => this.#withPartitions(partition))]
  }
}

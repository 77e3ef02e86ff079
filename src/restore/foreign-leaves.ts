import type { Inventory, TableFacts } from '../postgres/inventory.ts'

/**
 * OIDs of the partitions whose root has, at whatever depth, a partition on another server. What pg_dump loads via such a
 * root may be sent there: a rehearsal must not do that.
 */
export function besideForeignLeaves({ tables }: Inventory): Set<number> {
  const byOid = new Map(tables.map((table) => [table.oid, table]))
  const rootOf = (table: TableFacts): TableFacts => {
    const parent = table.isPartition ? byOid.get(table.parents[0] ?? 0) : undefined
    return parent === undefined ? table : rootOf(parent)
  }
  const partitions = tables.filter(({ isPartition }) => isPartition)
  const roots = new Set(partitions.filter(({ kind }) => kind === 'f').map(rootOf))
  return new Set(partitions.filter((table) => roots.has(rootOf(table))).map(({ oid }) => oid))
}

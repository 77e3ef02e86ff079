import type { Inventory } from '../postgres/inventory.ts'

/**
 * The materialized views that show rows of another server, directly or by way of views, parents and one another: their
 * OIDs on the source, with their names. A rehearsal leaves them unfilled, for it connects to nothing that the dumped
 * server connects to.
 */
export function foreignViews({ tables, objects }: Inventory): Map<number, string> {
  const byOid = new Map(tables.map((table) => [table.oid, table]))
  const reached = new Set(tables.filter(({ kind }) => kind === 'f').map(({ identity }) => identity))
  const readers = objects.flatMap(({ identity, facts }) => (Array.isArray(facts.reads) ? [{ identity, ...facts }] : []))
  for (let before = -1; before < reached.size; ) {
    before = reached.size
    for (const { identity, parents } of tables) {
      if (!reached.has(identity)) continue
      for (const parent of parents) reached.add(byOid.get(parent)?.identity ?? identity)
    }
    for (const { identity, reads } of readers as { identity: string; reads: string[] }[]) {
      if (reads.some((read) => reached.has(read))) reached.add(identity)
    }
  }
  const views = tables.filter(({ kind, identity }) => kind === 'm' && reached.has(identity))
  return new Map(views.map(({ oid, identity }) => [oid, identity]))
}

import { type Inventory, isDumped, type SequenceFacts, type TableFacts } from './inventory.ts'
import { sequenceSets, type Toc, tableDataEntries } from './toc.ts'

/** What the catalog shows, and an archive has no rows or no value of. */
export interface ArchiveGaps {
  /** Tables whose rows pg_dump would take. */
  tables: TableFacts[]
  /** Sequences whose value pg_dump would take. */
  sequences: SequenceFacts[]
}

/** Holds an archive against the inventory of its snapshot. Throws LifeboatError `damaged-toc`. */
export function findGaps(inventory: Pick<Inventory, 'tables' | 'sequences'>, toc: Toc): ArchiveGaps {
  // By OID, since the archive has the names in the server's encoding, which may be neither UTF-8 nor Latin 1.
  const inArchive = new Set(tableDataEntries(toc).map(({ oid }) => oid))
  const set = sequencesSet(toc)
  return {
    tables: inventory.tables.filter((table) => table.kind === 'r' && isDumped(table) && !inArchive.has(table.oid)),
    sequences: inventory.sequences.filter(({ oid, schema, name, extension, configCondition }) => {
      if (extension !== undefined && configCondition === undefined) return false
      return !set.has(oid) && !set.has(JSON.stringify([schema, name]))
    }),
  }
}

/** By the OID of the SEQUENCE entry that the SEQUENCE SET (which has none) comes after; by name where there is no such entry. */
function sequencesSet(toc: Toc): Set<number | string> {
  const byDumpId = new Map(toc.entries.map((entry) => [entry.dumpId, entry]))
  const sets = new Map(sequenceSets(toc).map(({ dumpId, schema, name }) => [dumpId, JSON.stringify([schema, name])]))
  const found = new Set<number | string>(sets.values())
  for (const dumpId of sets.keys()) {
    for (const dependency of byDumpId.get(dumpId)?.dependencies ?? []) {
      const entry = byDumpId.get(dependency)
      if (entry?.desc === 'SEQUENCE') found.add(entry.oid)
    }
  }
  return found
}

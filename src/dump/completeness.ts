import type { Contents } from '../backup-set/documents.ts'
import { LifeboatError } from '../base/errors.ts'
import { formatCount } from '../base/units.ts'
import type { Inventory } from '../postgres/inventory.ts'
import { isAmong } from '../postgres/table-choice.ts'
import { sequenceSets, type Toc, tableDataEntries } from '../postgres/toc.ts'
import type { DumpedDatabase } from './dump-run.ts'
import { isDumped } from './snapshot.ts'

/**
 * Which tables with rows and which values of sequences the dump leaves out, and why. What is left out without a reason
 * ends the dump, and so does what is in it without having been locked. `read`: OIDs of the tables whose rows were asked
 * for; undefined: all.
 */
export function findExcluded(
  inventory: Inventory,
  dumped: DumpedDatabase,
  options: { partial: boolean; standby: boolean; read?: ReadonlySet<number> | undefined },
): Contents['excluded'] {
  // By OID, since the archive has the names in the server's encoding, which may be neither UTF-8 nor Latin 1.
  const inDump = new Set(tableDataEntries(dumped.toc).map(({ oid }) => oid))
  const excluded: Contents['excluded'] = []
  for (const table of inventory.tables) {
    const { schema, name } = table
    if (table.kind === 'f') excluded.push({ schema, name, reason: 'a foreign table: its rows are on another server' })
    if (table.kind !== 'r' || !isDumped(table)) continue
    const isAsked = isAmong(options.read, table)
    if (inDump.has(table.oid)) {
      if (!isAsked) throw notAskedFor(table.identity)
    } else if (!isAsked) excluded.push({ schema, name, reason: 'not selected' })
    else if (options.standby && table.persistence === 'u') {
      excluded.push({ schema, name, reason: 'unlogged: a standby has no rows of it' })
    } else throw incomplete(`the table ${table.identity}`)
  }
  if (options.partial) return excluded
  assertLargeObjects(inventory, dumped)
  return [...excluded, ...excludedSequences(inventory, dumped, options.standby)]
}

function excludedSequences({ sequences }: Inventory, { toc }: DumpedDatabase, standby: boolean): Contents['excluded'] {
  const set = sequencesSet(toc)
  return sequences.flatMap(({ oid, schema, name, identity, persistence, extension, configCondition }) => {
    if (extension !== undefined && configCondition === undefined) return []
    if (set.has(oid) || set.has(JSON.stringify([schema, name]))) return []
    // Since PostgreSQL 15 the sequence of a serial or identity column is unlogged with its table.
    if (standby && persistence === 'u') return [{ schema, name, reason: 'unlogged: a standby has no value of it' }]
    throw incomplete(`the sequence ${identity}`)
  })
}

function assertLargeObjects(inventory: Inventory, { largeObjects: { count } }: DumpedDatabase): void {
  if (count === inventory.largeObjects) return
  throw incomplete(
    `${formatCount(inventory.largeObjects)} large objects in the database, of which ${formatCount(count)} came,`,
  )
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

function notAskedFor(identity: string): LifeboatError {
  return new LifeboatError(
    'incomplete-dump',
    `pg_dump understood the patterns otherwise: its archive holds ${identity}, which was not locked`,
    'Nothing was published. Write the patterns as schema.table, and please report this with the versions of server and pg_dump.',
  )
}

function incomplete(what: string): LifeboatError {
  return new LifeboatError(
    'incomplete-dump',
    `pg_dump ended well, but its archive lacks ${what} that the snapshot shows`,
    'Nothing was published. Please report this with the versions of server and pg_dump: it should not happen.',
  )
}

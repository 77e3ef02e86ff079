import type { Contents } from '../backup-set/documents.ts'
import { LifeboatError } from '../base/errors.ts'
import { formatCount } from '../base/units.ts'
import { findGaps } from '../postgres/archive-gaps.ts'
import { type Inventory, isDumped, type SequenceFacts } from '../postgres/inventory.ts'
import { isAmong } from '../postgres/table-choice.ts'
import type { DumpedDatabase } from './dump-run.ts'

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
  const gaps = findGaps(inventory, dumped.toc)
  const missing = new Set(gaps.tables)
  const excluded: Contents['excluded'] = []
  for (const table of inventory.tables) {
    const { schema, name } = table
    if (table.kind === 'f') excluded.push({ schema, name, reason: 'a foreign table: its rows are on another server' })
    if (table.kind !== 'r' || !isDumped(table)) continue
    const isAsked = isAmong(options.read, table)
    if (!missing.has(table)) {
      if (!isAsked) throw notAskedFor(table.identity)
    } else if (!isAsked) excluded.push({ schema, name, reason: 'not selected' })
    else if (options.standby && table.persistence === 'u') {
      excluded.push({ schema, name, reason: 'unlogged: a standby has no rows of it' })
    } else throw incomplete(`the table ${table.identity}`)
  }
  if (options.partial) return excluded
  assertLargeObjects(inventory, dumped)
  return [...excluded, ...excludedSequences(gaps.sequences, options.standby)]
}

function excludedSequences(sequences: readonly SequenceFacts[], standby: boolean): Contents['excluded'] {
  return sequences.map(({ schema, name, identity, persistence }) => {
    // Since PostgreSQL 15 the sequence of a serial or identity column is unlogged with its table.
    if (standby && persistence === 'u') return { schema, name, reason: 'unlogged: a standby has no value of it' }
    throw incomplete(`the sequence ${identity}`)
  })
}

function assertLargeObjects(inventory: Inventory, { largeObjects: { count } }: DumpedDatabase): void {
  if (count === inventory.largeObjects) return
  throw incomplete(
    `${formatCount(inventory.largeObjects)} large objects in the database, of which ${formatCount(count)} came,`,
  )
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

import type { Inventory } from './inventory.ts'
import type { SequenceFacts } from './inventory-types.ts'
import { type SequenceSet, sequenceSets, type Toc } from './toc.ts'

/** A sequence that an archive sets to less than it had given away before the dump: its numbers would be given twice. */
export interface SequenceBehind {
  schema: string
  name: string
  dumped: string
  before: string
}

/**
 * Sequences whose value in the archive lies behind the one that was read before pg_dump ran. They are no part of a
 * snapshot, so ahead is lawful; and one that cycles may be anywhere. Throws LifeboatError `damaged-toc`.
 */
export function sequencesBehind(inventory: Partial<Pick<Inventory, 'sequences'>>, toc: Toc): SequenceBehind[] {
  const known = new Map((inventory.sequences ?? []).map((facts) => [JSON.stringify([facts.schema, facts.name]), facts]))
  return sequenceSets(toc).flatMap((set) => {
    const { schema, name } = set
    const facts = known.get(JSON.stringify([schema, name]))
    if (facts === undefined || facts.lastValue === null || facts.cycle || !isBehind(set, facts)) return []
    return [{ schema, name, dumped: set.lastValue, before: facts.lastValue }]
  })
}

function isBehind(set: SequenceSet, { lastValue, isCalled, increment }: SequenceFacts): boolean {
  const [dumped, before] = [BigInt(set.lastValue), BigInt(lastValue ?? set.lastValue)]
  if (dumped === before) return isCalled === true && !set.isCalled
  return increment.startsWith('-') ? dumped > before : dumped < before
}

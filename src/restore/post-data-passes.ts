import { attachesInLevels, INDEX_ATTACH } from '../postgres/index-attachments.ts'
import type { TocEntry } from '../postgres/toc.ts'

/** Entries that one run of pg_restore makes. */
export interface Pass {
  name: string
  entries: readonly TocEntry[]
  /** Whether several of them may be made at the same time. */
  parallel: boolean
}

/**
 * Divides what is of section post-data into runs of pg_restore, in this order:
 *
 * 1. All that is in no other one.
 * 2. Where indexes are attached in levels, the attaching, one after another.
 * 3. Whatever waits for these, which are foreign keys and comments on them.
 * 4. Event triggers: pg_restore refreshes materialized views after it has made them, and one that writes down every command
 *    would write into the restored rows.
 */
export function postDataPasses(entries: readonly TocEntry[]): Pass[] {
  const last = entries.filter(isEventTrigger)
  const others = entries.filter((entry) => !isEventTrigger(entry))
  const attaching = attachesInLevels(others) ? others.filter(({ desc }) => desc === INDEX_ATTACH) : []
  const waiting = attaching.length === 0 ? new Set<TocEntry>() : waitingFor(attaching, others)
  const apart = new Set([...attaching, ...waiting])
  const passes = [
    { name: 'post-data', entries: others.filter((entry) => !apart.has(entry)), parallel: true },
    { name: 'attachments', entries: attaching, parallel: false },
    { name: 'foreign-keys', entries: [...waiting], parallel: true },
    { name: 'event-triggers', entries: last, parallel: true },
  ]
  return passes.filter(({ entries }) => entries.length > 0)
}

function isEventTrigger({ desc, tag }: TocEntry): boolean {
  return desc === 'EVENT TRIGGER' || tag.startsWith('EVENT TRIGGER ')
}

/** Foreign keys, and what depends on them or on an attached index, also by way of others; in the archive's order. */
function waitingFor(attaching: readonly TocEntry[], entries: readonly TocEntry[]): Set<TocEntry> {
  const apart = new Set(attaching.map(({ dumpId }) => dumpId))
  const waiting = new Set<TocEntry>()
  // An archive is in an order in which everything comes after what it depends on.
  for (const entry of entries) {
    if (entry.desc === INDEX_ATTACH) continue
    if (entry.desc !== 'FK CONSTRAINT' && !entry.dependencies.some((id) => apart.has(id))) continue
    apart.add(entry.dumpId)
    waiting.add(entry)
  }
  return waiting
}

/**
 * Indexes and constraints that can be made while the rows of some tables are still being loaded, each in a transaction that
 * has locked its table: those of other tables, so that nothing waits for a lock for long; and of tables that are alone, for
 * to insert into a partition asks for a lock on its parent, which might be waiting for the one on that partition. What
 * their functions read of a locked table, they see when it is loaded. `loading`: the dump ids of the TABLE DATA entries.
 */
export function besideRows(entries: readonly TocEntry[], loading: ReadonlySet<number>): TocEntry[] {
  const tables = new Set(entries.flatMap(({ desc, dumpId }) => (desc === 'TABLE' ? [dumpId] : [])))
  const later = new Set(entries.flatMap(({ section, dumpId }) => (section === 'post-data' ? [dumpId] : [])))
  const excluded = new Set(entries.flatMap(({ dumpId, dependencies }) => (loading.has(dumpId) ? dependencies : [])))
  for (const { desc, dumpId, dependencies } of entries) {
    const others = dependencies.filter((id) => tables.has(id))
    if (desc === 'TABLE' && others.length > 0) for (const id of [dumpId, ...others]) excluded.add(id)
    if (desc === 'TABLE ATTACH') for (const id of others) excluded.add(id)
  }
  const chosen: TocEntry[] = []
  // An archive is in an order in which everything comes after what it depends on.
  for (const entry of entries) {
    const { desc, dumpId, section, dependencies } = entry
    if (section !== 'post-data' || (desc !== 'INDEX' && desc !== 'CONSTRAINT')) continue
    const isOfTable = dependencies.some((id) => tables.has(id))
    if (!isOfTable || dependencies.some((id) => excluded.has(id) || later.has(id))) continue
    chosen.push(entry)
    later.delete(dumpId)
  }
  return chosen
}

import { LifeboatError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import { type Evidence, type Head, HISTORY_LENGTH, type PastRehearsal, type PastSet } from './documents.ts'
import type { EvidenceBook } from './evidence-book.ts'
import { type Catalog, listSets, wholeHead, wholeHeads } from './find.ts'

/**
 * How a database and its backups develop, without reading hundreds of documents: each head, and each passed restore test,
 * carries what was known when it was written. So the newest one is enough, and what retention has deleted is still told.
 */

/** The whole sets up to that of `head`, oldest first; at most 30 of them. */
export function setsUntil({ id, totals, source, dumpSeconds, history = [] }: Head): PastSet[] {
  const { plainBytes, storedBytes, rows, tables, largeObjects } = totals
  const counts = { plainBytes, storedBytes, rows, tables, largeObjects }
  return [...history, { id, ...counts, ...(source && { source }), dumpSeconds }].slice(-HISTORY_LENGTH)
}

/** The passed restore tests up to this one, oldest first; at most 30 of them. */
export function rehearsalsUntil(evidence: Evidence): PastRehearsal[] {
  const { at, id, rtoSeconds, restoreSeconds, plainBytes, history = [] } = evidence
  if (rtoSeconds === undefined) return history
  return [...history, { at, id, rtoSeconds, restoreSeconds, plainBytes }].slice(-HISTORY_LENGTH)
}

/**
 * The whole sets before that of `head`, oldest first: as it tells itself, or as the newest of those in `catalog` does
 * which no evidence calls damaged. Rejects where that cannot be read.
 */
export async function setsBeforeHead(catalog: Catalog, { id, history = [] }: Head): Promise<PastSet[]> {
  if (history.length > 0) return history
  for (const set of catalog.sets.slice(catalog.sets.findIndex((one) => one.id === id) + 1)) {
    if (await catalog.evidence.isDamaged(set.id)) continue
    const head = await wholeHead(catalog.head, set.id)
    if (head) return setsUntil(head)
  }
  return []
}

/** The whole sets before a snapshot, by the newest head among them, oldest first; none where they cannot be read. */
export function setsBefore(storage: Storage, database: string, takenAt: Date): Promise<PastSet[]> {
  return orNone(async () => {
    const earlier = (await listSets(storage, database)).filter((set) => set.takenAt < takenAt)
    const { value: head } = await wholeHeads(storage, database, earlier).next()
    return head ? setsUntil(head) : []
  })
}

/** The restore tests that have passed, by the newest evidence that counts, oldest first; none where it cannot be read. */
export function rehearsalsBefore(evidence: EvidenceBook): Promise<PastRehearsal[]> {
  return orNone(async () => {
    const last = await evidence.readLastRehearsal()
    return last ? rehearsalsUntil(last) : []
  })
}

/** Keys that can only write are a good idea, and no reason to write less. */
async function orNone<T>(read: () => Promise<T[]>): Promise<T[]> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof LifeboatError) return []
    throw error
  }
}

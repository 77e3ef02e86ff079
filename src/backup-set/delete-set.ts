import { formatInstant } from '../base/units.ts'
import type { Lock, ObjectVersion, Storage } from '../storage/storage.ts'
import { layout } from './layout.ts'

export interface DeletionOptions {
  /** Nothing is deleted: what would be is told as if it had been. */
  isPlan: boolean
  /** Which evidence, by its key, outlives the set. */
  isHistory: (key: string) => boolean
  signal: AbortSignal
}

/** What the deletion of one set came to. `retained`: a lock keeps it. Unless it is `deleted`, the set is still there. */
export interface SetDeletion {
  outcome: 'deleted' | 'retained' | 'failed'
  /** What was freed, old versions included. */
  bytes: number
  /** Why not; of a deleted set, why something of it is left. */
  reason?: string
  remedy?: string
}

/** So many at once; between two batches a cancellation is heard. */
const BATCH = 1_000

/**
 * Deletes a set for good, every version of it: its head, from which moment on it does not exist, then the rest, last its
 * evidence but for what is history. What a lock keeps is left wholly alone: its head is not even hidden. What is interrupted
 * after the head is finished by the sweep of a later dump. Errors: those of the storage's listing; the signal's reason.
 */
export async function deleteSet(
  storage: Storage,
  database: string,
  id: string,
  { isPlan, isHistory, signal }: DeletionOptions,
): Promise<SetDeletion> {
  const headKey = layout.head(database, id)
  const heads = (await versionsBelow(storage, headKey, signal)).filter(({ key }) => key === headKey)
  // The head was written last, so a rule for the whole bucket has locked nothing for longer.
  const headLock = await longestLock(storage, heads, signal)
  if (headLock) return { outcome: 'retained', bytes: 0, reason: describeLock(headLock) }
  const parts = await versionsBelow(storage, layout.set(database, id), signal)
  const lock = await longestLock(storage, parts, signal)
  if (lock) return { outcome: 'retained', bytes: 0, reason: describeLock(lock) }
  const about = await versionsBelow(storage, layout.evidence(database, id), signal)
  const evidence = about.filter(({ key }) => !isHistory(key))
  if (isPlan) {
    return { outcome: 'deleted', bytes: [...heads, ...parts, ...evidence].reduce((sum, { bytes }) => sum + bytes, 0) }
  }
  // Without its markers a head that somebody had hidden would be there again.
  const steps = [heads.filter(isData), heads.filter((version) => !isData(version)), parts]
  let bytes = 0
  for (const [step, versions] of steps.entries()) {
    const { problem, ...done } = await deleteVersions(storage, versions, signal)
    bytes += done.bytes
    if (problem === undefined) continue
    // Credentials that may not see a lock meet it here, with the head still in its place.
    return { ...problem, outcome: step === 0 ? problem.outcome : 'deleted', bytes }
  }
  const { problem, bytes: last } = await deleteVersions(storage, evidence, signal)
  // Evidence may be locked for longer than what it speaks of, and means nothing without it.
  const left = problem?.outcome === 'failed' ? problem : undefined
  return { ...left, outcome: 'deleted', bytes: bytes + last }
}

/** All versions and markers of the objects whose key begins with `prefix`. */
export async function versionsBelow(storage: Storage, prefix: string, signal?: AbortSignal): Promise<ObjectVersion[]> {
  return await Array.fromAsync(storage.versions(prefix, signal === undefined ? {} : { signal }))
}

/** Whether a version has content, in contrast to a delete marker. */
export function isData({ isDeleteMarker }: ObjectVersion): boolean {
  return !isDeleteMarker
}

/** The lock on any of these versions that holds longest; a legal hold has no end. */
export async function longestLock(
  storage: Storage,
  versions: readonly ObjectVersion[],
  signal?: AbortSignal,
): Promise<Lock | undefined> {
  const locks = await storage.locks(versions.filter(isData), signal === undefined ? {} : { signal })
  return [...locks].sort((a, b) => endOf(b) - endOf(a))[0]
}

function endOf({ until }: Lock): number {
  return until?.getTime() ?? Number.POSITIVE_INFINITY
}

/** Deletes these versions, as far as it can; `problem` is the first that one of them met, a failure before a lock. */
export async function deleteVersions(
  storage: Storage,
  versions: readonly ObjectVersion[],
  signal?: AbortSignal,
): Promise<{ objects: number; bytes: number; problem?: { outcome: 'retained' | 'failed'; reason: string } }> {
  const sum = { objects: 0, bytes: 0 }
  let problem: { outcome: 'retained' | 'failed'; reason: string } | undefined
  for (let from = 0; from < versions.length; from += BATCH) {
    signal?.throwIfAborted()
    const batch = versions.slice(from, from + BATCH)
    const deletions = await storage.delete(
      batch.map(({ key, versionId }) => ({ key, ...(versionId !== undefined && { versionId }) })),
    )
    for (const [index, { key, outcome, reason }] of deletions.entries()) {
      if (outcome === 'deleted') {
        sum.objects += 1
        sum.bytes += batch[index]?.bytes ?? 0
      } else if (!problem || (problem.outcome === 'retained' && outcome === 'failed')) {
        problem = { outcome, reason: `${key}: ${reason ?? outcome}` }
      }
    }
  }
  return problem === undefined ? sum : { ...sum, problem }
}

/** `locked until 2026-12-22 02:17 UTC`. */
function describeLock({ until }: Lock): string {
  return until ? `locked until ${formatInstant(until)}` : 'under a legal hold'
}

import type { KeyObject } from 'node:crypto'
import { mapConcurrently } from '../base/concurrently.ts'
import { LifeboatError } from '../base/errors.ts'
import type { Finding } from '../base/findings.ts'
import type { Clock, Log } from '../base/ports.ts'
import type { Meter } from '../base/progress.ts'
import { formatBytes } from '../base/units.ts'
import type { Storage } from '../storage/storage.ts'
import { deleteSet, type SetDeletion } from './delete-set.ts'
import type { SetContent } from './documents.ts'
import type { SetState } from './evidence.ts'
import { newestFirst, type SetId } from './layout.ts'
import { type ConsideredSet, type ForeignSet, readRetainable, type StatesOf } from './retainable.ts'
import { type Decision, planRetention, type RetentionPolicy } from './retention.ts'
import {
  couldNotRead,
  deletionFailures,
  foreignFindings,
  proofFindings,
  retainedFindings,
} from './retention-findings.ts'

export interface RetireOptions {
  storage: Storage
  database: string
  /** Nothing is deleted. */
  isPlan: boolean
  policy: RetentionPolicy
  readSets: () => Promise<KnownSets>
  /** The set that this very run wrote, if it wrote one. */
  written?: string
  /** The set that this very run has looked at, if it looked at one: see planRetention. */
  examined?: Pick<SetId, 'id' | 'takenAt'>
  /** Where there are any, sets that none of them has signed are left alone. */
  verifyKeys: readonly KeyObject[]
  clock: Clock
  log: Log
  /** Is told of the bytes that are freed. */
  meter: Meter
  signal: AbortSignal
}

/** Every set that exists, and what the evidence says. */
export interface KnownSets {
  sets: readonly SetId[]
  statesOf: StatesOf
  /** Which evidence, by its key, outlives its set. */
  isHistory: (key: string) => boolean
}

/** What became of one set, and why. */
export interface RetiredSet {
  id: string
  takenAt: Date
  state: SetState
  /** Undefined where it is not known. */
  content?: SetContent
  /** Of its parts; 0 where that is not known. */
  bytes: number
  outcome: 'kept' | 'deleted' | 'would be deleted' | 'retained' | 'not deleted' | 'left alone'
  /** The most telling one first. */
  reasons: string[]
}

export interface Retirement {
  /** Newest first; empty where the sets could not be read. */
  sets: RetiredSet[]
  /** What the deletions freed, or would free. */
  freedBytes: number
  /** What kept retention from doing what it should. */
  failures: Finding[]
  findings: Finding[]
}

/** So many sets are deleted at the same time. */
const CONCURRENT_SETS = 4

/**
 * Retention: reads the sets, plans, deletes what may go, and tells of each set what became of it. What
 * cannot be read or deleted is a finding and ends no run; only the signal's reason is thrown. Two runs at once do no
 * harm: each deletes only what it would delete alone.
 */
export async function retireSets(options: RetireOptions): Promise<Retirement> {
  const read = await tried(() => readAll(options))
  options.signal.throwIfAborted()
  if (read instanceof LifeboatError) return { sets: [], freedBytes: 0, failures: [couldNotRead(read)], findings: [] }
  const { considered, foreign, isHistory } = read
  const { written, examined } = options
  const now = options.clock.now()
  const decisions = planRetention(considered, options.policy, {
    now,
    ...(written !== undefined && { written }),
    ...(examined && { examined }),
  })
  const doomed = decisions.filter(({ fate }) => fate === 'delete')
  announce(options, decisions.length, doomed)
  const deletions = await deleteAll(options, doomed, isHistory)
  const retired = decisions.map((decision) => describe(decision, deletions.get(decision.set.id), options.isPlan))
  const strangers = foreign.map(leftAlone)
  return {
    sets: [...retired, ...strangers].sort(newestFirst),
    freedBytes: deletions.values().reduce((sum, { bytes }) => sum + bytes, 0),
    failures: deletionFailures([...deletions.values()]),
    findings: [...retainedFindings(retired), ...foreignFindings(foreign), ...proofFindings(considered, now)],
  }
}

async function readAll({ storage, database, readSets, verifyKeys, signal }: RetireOptions) {
  const { sets, statesOf, isHistory } = await readSets()
  return { isHistory, ...(await readRetainable(storage, database, sets, { verifyKeys, statesOf, signal })) }
}

function announce({ log, isPlan }: RetireOptions, sets: number, doomed: readonly Decision<ConsideredSet>[]): void {
  const bytes = doomed.reduce((sum, { set }) => sum + set.bytes, 0)
  const would = isPlan ? 'would keep' : 'keeping'
  log.info(`${would} ${sets - doomed.length} of ${sets} sets; ${doomed.length} may go (${formatBytes(bytes)})`)
}

/** Deletes the sets, or plans to, the oldest first. What keeps these credentials from one of them keeps them from the others. */
async function deleteAll(
  { storage, database, isPlan, log, meter, signal }: RetireOptions,
  doomed: readonly Decision<ConsideredSet>[],
  isHistory: KnownSets['isHistory'],
): Promise<Map<string, SetDeletion>> {
  const deletions = new Map<string, SetDeletion>()
  let hasFailed = false
  meter.expect(
    doomed.reduce((sum, { set }) => sum + set.bytes, 0),
    'about',
  )
  await mapConcurrently(doomed.toReversed(), CONCURRENT_SETS, async ({ set: { id }, reasons }) => {
    signal.throwIfAborted()
    const work = () => deleteSet(storage, database, id, { isPlan, isHistory, signal })
    const deletion = hasFailed ? NOT_TRIED : await tryDeletion(work, signal)
    if (deletion.outcome !== 'retained' && deletion.reason !== undefined) hasFailed = true
    deletions.set(id, deletion)
    meter.add(deletion.bytes)
    const freed = `${isPlan ? 'would delete' : 'deleted'} ${id} (${formatBytes(deletion.bytes)})`
    log.info(`${deletion.outcome === 'deleted' ? freed : `left ${id}`}: ${deletion.reason ?? reasons.join('; ')}`)
  })
  return deletions
}

const NOT_TRIED: SetDeletion = { outcome: 'failed', bytes: 0, reason: 'not tried, since another could not be deleted' }

async function tryDeletion(work: () => Promise<SetDeletion>, signal: AbortSignal): Promise<SetDeletion> {
  const result = await tried(work)
  signal.throwIfAborted()
  if (!(result instanceof LifeboatError)) return result
  return { outcome: 'failed', bytes: 0, reason: result.message, remedy: result.remedy }
}

/** What `work` comes to, or the expected failure that it ends with. */
async function tried<T>(work: () => Promise<T>): Promise<T | LifeboatError> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof LifeboatError) return error
    throw error
  }
}

function describe(
  { set, fate, reasons }: Decision<ConsideredSet>,
  deletion: SetDeletion | undefined,
  isPlan: boolean,
): RetiredSet {
  const { id, takenAt, state, content, bytes } = set
  const facts = { id, takenAt, state, content, bytes }
  if (deletion === undefined) return { ...facts, outcome: fate === 'retained' ? 'retained' : 'kept', reasons }
  const outcomes = {
    deleted: isPlan ? 'would be deleted' : 'deleted',
    retained: 'retained',
    failed: 'not deleted',
  } as const
  const { outcome, reason } = deletion
  return { ...facts, outcome: outcomes[outcome], reasons: [...(reason === undefined ? [] : [reason]), ...reasons] }
}

function leftAlone({ set: { id, takenAt }, state, reason }: ForeignSet): RetiredSet {
  return { id, takenAt, state, bytes: 0, outcome: 'left alone', reasons: [reason] }
}

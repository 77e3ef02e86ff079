import type { KeyObject } from 'node:crypto'
import { mapConcurrently } from '../base/concurrently.ts'
import type { Storage } from '../storage/storage.ts'
import { isDamage } from './damage.ts'
import type { Head } from './documents.ts'
import type { SetState } from './evidence.ts'
import { readHead } from './find.ts'
import { layout, type SetId } from './layout.ts'
import { openSet } from './open-set.ts'
import type { RetainableSet } from './retention.ts'

/** A set that retention may decide about. */
export interface ConsideredSet extends RetainableSet {
  /** Of its parts, as its head says. */
  bytes: number
}

/** A set that is neither counted nor deleted, since it is not known whose it is. */
export interface ForeignSet {
  set: SetId
  state: SetState
  /** As a clause: `not signed`. */
  reason: string
}

/** What the evidence says of a set, with the failures and without them. */
export type StatesOf = (id: string) => Promise<{ state: SetState; stateIfHealthy: SetState }>

const CONCURRENT_READS = 8

/**
 * Reads the heads of the sets, and with `verifyKeys` the manifests and signatures, too. A set whose head cannot be read,
 * or which none of the keys has signed, is foreign. Errors: those of the storage; the signal's reason.
 */
export async function readRetainable(
  storage: Storage,
  database: string,
  sets: readonly SetId[],
  options: { verifyKeys: readonly KeyObject[]; statesOf: StatesOf; signal: AbortSignal },
): Promise<{ considered: ConsideredSet[]; foreign: ForeignSet[] }> {
  const considered: ConsideredSet[] = []
  const foreign: ForeignSet[] = []
  await mapConcurrently(sets, CONCURRENT_READS, async (set) => {
    options.signal.throwIfAborted()
    const states = await options.statesOf(set.id)
    try {
      const head = await readHead(storage, database, set.id)
      if (options.verifyKeys.length > 0) await openSet(storage, head, options.verifyKeys)
      considered.push({ ...factsOf(set, head), ...states })
    } catch (error) {
      const reason = reasonOf(error)
      if (reason === undefined) throw error
      // What another run is deleting looks damaged for a moment, and then is gone.
      if (await storage.head(layout.head(database, set.id))) foreign.push({ set, state: states.state, reason })
    }
  })
  return { considered, foreign }
}

/** The time is that of the id: it is what listings go by, and a signature binds it like the rest. */
function factsOf({ id, takenAt }: SetId, { content, totals, lockUntil }: Head) {
  const lock = lockUntil === undefined ? {} : { lockUntil: new Date(lockUntil) }
  return { id, takenAt, content, bytes: totals.storedBytes, ...lock }
}

/** Why a set is left alone, or undefined if the error tells of the storage and not of the set. */
function reasonOf(error: unknown): string | undefined {
  switch ((error as { code?: unknown } | null)?.code) {
    case 'unsigned-set':
      return 'not signed'
    case 'bad-signature':
      return 'not signed with this key'
    case 'unknown-format':
      return 'written by a newer version of pg-lifeboat'
    case 'object-archived':
      return 'in an archive storage class'
    default:
      return isDamage(error) ? 'without a head and manifest that agree' : undefined
  }
}

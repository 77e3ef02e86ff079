import { formatInstant } from '../base/units.ts'
import type { SetContent } from './documents.ts'
import type { SetState } from './evidence.ts'
import { newestFirst } from './layout.ts'

/** How many sets to keep of each kind. Days, weeks and months are those that have a set, in UTC. */
export interface RetentionPolicy {
  /** At least 1. */
  keepLast: number
  keepDaily: number
  keepWeekly: number
  keepMonthly: number
  /** Of the partial sets, which count for nothing else; at least 1. */
  keepPartial: number
}

/** What the plan has to know of one set. */
export interface RetainableSet {
  id: string
  takenAt: Date
  content: SetContent
  state: SetState
  /** What the state would be without the evidence of failures. */
  stateIfHealthy: SetState
  lockUntil?: Date
}

/** `retained`: it would go, but is locked. */
export type Fate = 'keep' | 'retained' | 'delete'

export interface Decision<S extends RetainableSet = RetainableSet> {
  set: S
  fate: Fate
  /** In words, the most telling one first: `newest 3`, `daily of 2026-11-22`. At least one. */
  reasons: string[]
}

/** A set from further ahead than clocks differ is from the future. */
export const FUTURE_SECONDS = 300

/**
 * What to do with each set, newest first. It depends on nothing but its arguments, and not on their order.
 *
 * - The newest proven set and the `keepLast` newest whole ones stay, whatever else is said; so do `written`, the set of
 *   this very run, and what a clock that was wrong put into the future, which counts for nothing.
 * - Where a run has `examined` one set, that one stays, and so does what is newer, which counts for nothing: nobody knows
 *   yet whether it is good, and what is known to be good must not go for it.
 * - Of a day, week or month the newest set stays, and the newest proven one with it: a restore test must not cost the
 *   other one its place. Only days, weeks and months that have a set are counted, so a pause of dumps deletes nothing.
 * - Damaged sets are not counted, so that others stay in their place; and they stay themselves for as long as they would
 *   if nothing had been found. So evidence, mistaken or forged, may lengthen a set's life but never shortens it, save
 *   that a newer proven set takes over from an older one.
 */
export function planRetention<S extends RetainableSet>(
  sets: readonly S[],
  policy: RetentionPolicy,
  { now, written, examined }: { now: Date; written?: string; examined?: Pick<RetainableSet, 'id' | 'takenAt'> },
): Decision<S>[] {
  const sorted = [...sets].sort(newestFirst)
  const latest = now.getTime() + FUTURE_SECONDS * 1_000
  const isNewer = (set: RetainableSet) => examined !== undefined && newestFirst(set, examined) < 0
  const present = sorted.filter((set) => set.takenAt.getTime() <= latest && !isNewer(set))
  const reasons = keepingReasons(
    present.filter(({ state }) => state !== 'damaged'),
    policy,
  )
  const ifHealthy = keepingReasons(
    present.map((set) => ({ ...set, state: set.stateIfHealthy })),
    policy,
  )
  const keptDays = new Set(
    present
      .filter((set) => isWhole(set) && (reasons.has(set.id) || ifHealthy.has(set.id)))
      .map(({ takenAt }) => dayOf(takenAt)),
  )
  return sorted.map((set) => {
    const kept = [
      ...(reasons.get(set.id) ?? []),
      ...(set.id === written ? ['written by this run'] : []),
      ...(set.id === examined?.id ? ['examined by this run'] : []),
      ...(isNewer(set) ? ['newer than what this run has examined'] : []),
      ...(set.takenAt.getTime() > latest ? ['from the future: some clock is wrong'] : []),
    ]
    if (kept.length > 0) return { set, fate: 'keep', reasons: kept }
    const [still] = ifHealthy.get(set.id) ?? []
    if (still !== undefined) return { set, fate: 'keep', reasons: [`damaged, and kept as if it were not: ${still}`] }
    const why = deletionReason(set, policy, keptDays)
    if (set.lockUntil === undefined || set.lockUntil <= now) return { set, fate: 'delete', reasons: [why] }
    return { set, fate: 'retained', reasons: [`locked until ${formatInstant(set.lockUntil)}`, why] }
  })
}

/** Why each set stays, by its id; what is not in the map may go. The sets are the newest first, and all of them count. */
function keepingReasons(sets: readonly RetainableSet[], policy: RetentionPolicy): Map<string, string[]> {
  const reasons = new Map<string, string[]>()
  const keep = (set: RetainableSet | undefined, reason: string) => {
    if (set) reasons.set(set.id, [...(reasons.get(set.id) ?? []), reason])
  }
  const whole = sets.filter(isWhole)
  keep(whole.find(isProven), 'the newest proven backup')
  for (const set of whole.slice(0, policy.keepLast)) keep(set, `newest ${policy.keepLast}`)
  for (const { name, count, periodOf } of periodsOf(policy)) {
    const periods = Map.groupBy(whole, ({ takenAt }) => periodOf(takenAt))
    for (const [period, members] of [...periods].slice(0, count)) {
      const proven = members.find(isProven)
      keep(members[0], `${name} of ${period}`)
      if (proven !== members[0]) keep(proven, `${name} of ${period}, proven`)
    }
  }
  for (const set of sets.filter((one) => !isWhole(one)).slice(0, policy.keepPartial)) {
    keep(set, `newest ${policy.keepPartial} partial`)
  }
  return reasons
}

function isWhole({ content }: RetainableSet): boolean {
  return content === 'whole'
}

function isProven({ state }: RetainableSet): boolean {
  return state === 'proven'
}

function periodsOf({ keepDaily, keepWeekly, keepMonthly }: RetentionPolicy) {
  return [
    { name: 'daily', count: keepDaily, periodOf: dayOf },
    { name: 'weekly', count: keepWeekly, periodOf: weekOf },
    { name: 'monthly', count: keepMonthly, periodOf: (date: Date) => dayOf(date).slice(0, 7) },
  ]
}

function deletionReason(set: RetainableSet, policy: RetentionPolicy, keptDays: ReadonlySet<string>): string {
  const damaged = set.state === 'damaged' ? 'damaged; ' : ''
  if (!isWhole(set)) return `${damaged}older than the newest ${policy.keepPartial} partial`
  const day = dayOf(set.takenAt)
  if (keptDays.has(day)) return `${damaged}another of ${day} is kept`
  const limits = periodsOf(policy).filter(({ count }) => count > 0)
  const reach = [`keep-last ${policy.keepLast}`, ...limits.map(({ name, count }) => `keep-${name} ${count}`)]
  return `${damaged}older than ${reach.join(', ')} reach`
}

/** `2026-11-22`, in UTC. */
function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10)
}

/** `2026-W47`: the week of ISO 8601 begins on Monday and belongs to the year of its Thursday. */
function weekOf(date: Date): string {
  const day = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate())
  const thursday = new Date(day + (4 - (date.getUTCDay() || 7)) * 86_400_000)
  const days = Math.floor((thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / 86_400_000)
  return `${thursday.getUTCFullYear()}-W${String(Math.floor(days / 7) + 1).padStart(2, '0')}`
}

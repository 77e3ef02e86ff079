import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { SetContent } from '../../src/backup-set/documents.ts'
import type { SetState } from '../../src/backup-set/evidence.ts'
import {
  type Decision,
  planRetention,
  type RetainableSet,
  type RetentionPolicy,
} from '../../src/backup-set/retention.ts'
import { NOW } from './support.ts'

const DEFAULTS: RetentionPolicy = { keepLast: 3, keepDaily: 30, keepWeekly: 0, keepMonthly: 0, keepPartial: 10 }
const LAST_ONLY: RetentionPolicy = { ...DEFAULTS, keepDaily: 0 }

function setAt(time: string, more: Partial<RetainableSet> = {}): RetainableSet {
  const state = more.state ?? 'written'
  const stateIfHealthy = state === 'damaged' ? 'written' : state
  return { id: time, takenAt: new Date(time), content: 'whole', state, stateIfHealthy, ...more }
}

/** `id: fate: reasons`, newest first. */
function told(sets: readonly RetainableSet[], policy: RetentionPolicy, now = NOW, written?: string): string[] {
  const decisions = planRetention(sets, policy, { now, ...(written !== undefined && { written }) })
  return decisions.map(({ set, fate, reasons }) => `${set.id}: ${fate}: ${reasons.join('; ')}`)
}

test('newest, daily, weekly, monthly: each kept set says for what it stands, the others why they may go', () => {
  const times = [
    '2026-11-22T02:00:00Z',
    '2026-11-21T14:00:00Z',
    '2026-11-21T02:00:00Z',
    '2026-11-19T02:00:00Z',
    '2026-11-15T02:00:00Z',
    '2026-11-09T02:00:00Z',
    '2026-10-31T02:00:00Z',
    '2026-10-30T02:00:00Z',
  ]
  const policy = { keepLast: 1, keepDaily: 3, keepWeekly: 2, keepMonthly: 2, keepPartial: 1 }
  expect(
    told(
      times.map((time) => setAt(time)),
      policy,
    ),
  ).toEqual([
    '2026-11-22T02:00:00Z: keep: newest 1; daily of 2026-11-22; weekly of 2026-W47; monthly of 2026-11',
    '2026-11-21T14:00:00Z: keep: daily of 2026-11-21',
    '2026-11-21T02:00:00Z: delete: another of 2026-11-21 is kept',
    '2026-11-19T02:00:00Z: keep: daily of 2026-11-19',
    '2026-11-15T02:00:00Z: keep: weekly of 2026-W46',
    '2026-11-09T02:00:00Z: delete: older than keep-last 1, keep-daily 3, keep-weekly 2, keep-monthly 2 reach',
    '2026-10-31T02:00:00Z: keep: monthly of 2026-10',
    '2026-10-30T02:00:00Z: delete: older than keep-last 1, keep-daily 3, keep-weekly 2, keep-monthly 2 reach',
  ])
})

test('weeks are those of ISO 8601, also around the new year', () => {
  const weekly = (time: string) =>
    told([setAt(time)], { ...LAST_ONLY, keepWeekly: 1 }, new Date('2030-01-01'))[0]?.replace(/.*weekly of /, '')
  expect(
    ['2026-12-31', '2027-01-03', '2027-01-04', '2024-12-30', '2026-01-01'].map((day) => weekly(`${day}T23:59:59Z`)),
  ).toEqual(['2026-W53', '2026-W53', '2027-W01', '2025-W01', '2026-W01'])
})

test('a pause of dumps deletes nothing: days are counted that have a set', () => {
  const sets = Array.from({ length: 30 }, (_, index) =>
    setAt(new Date(NOW.getTime() - index * 86_400_000).toISOString()),
  )
  const years = new Date('2036-11-22T12:00:00Z')
  expect(planRetention(sets, DEFAULTS, { now: years }).filter(({ fate }) => fate !== 'keep')).toEqual([])
})

test('a restore test costs no other set of its day its place', () => {
  const sets = [
    setAt('2026-11-22T02:00:00Z', { state: 'proven' }),
    setAt('2026-11-20T20:00:00Z'),
    setAt('2026-11-20T12:00:00Z', { state: 'proven' }),
    setAt('2026-11-20T02:00:00Z', { state: 'proven' }),
  ]
  expect(told(sets, { ...DEFAULTS, keepLast: 1 })).toEqual([
    '2026-11-22T02:00:00Z: keep: the newest proven backup; newest 1; daily of 2026-11-22',
    '2026-11-20T20:00:00Z: keep: daily of 2026-11-20',
    '2026-11-20T12:00:00Z: keep: daily of 2026-11-20, proven',
    '2026-11-20T02:00:00Z: delete: another of 2026-11-20 is kept',
  ])
})

test('partial sets have a count of their own and stand for nothing else', () => {
  const sets = [
    setAt('2026-11-22T03:00:00Z', { content: 'schema', state: 'proven' }),
    setAt('2026-11-22T02:00:00Z', { content: 'filtered' }),
    setAt('2026-11-22T01:00:00Z', { content: 'data' }),
    setAt('2026-11-21T02:00:00Z'),
  ]
  expect(told(sets, { ...LAST_ONLY, keepLast: 1, keepPartial: 2 })).toEqual([
    '2026-11-22T03:00:00Z: keep: newest 2 partial',
    '2026-11-22T02:00:00Z: keep: newest 2 partial',
    '2026-11-22T01:00:00Z: delete: older than the newest 2 partial',
    '2026-11-21T02:00:00Z: keep: newest 1',
  ])
})

test('what is newer than the set that was examined stays, and counts for nothing', () => {
  const times = ['2026-11-22T03:00:00Z', '2026-11-22T02:00:00Z', '2026-11-21T02:00:00Z', '2026-11-20T02:00:00Z']
  const sets = times.map((time) => setAt(time))
  const decisions = planRetention(
    sets,
    { ...LAST_ONLY, keepLast: 1 },
    { now: NOW, examined: setAt('2026-11-21T02:00:00Z') },
  )
  expect(decisions.map(({ set, fate, reasons }) => `${set.id}: ${fate}: ${reasons.join('; ')}`)).toEqual([
    '2026-11-22T03:00:00Z: keep: newer than what this run has examined',
    '2026-11-22T02:00:00Z: keep: newer than what this run has examined',
    '2026-11-21T02:00:00Z: keep: newest 1; examined by this run',
    '2026-11-20T02:00:00Z: delete: older than keep-last 1 reach',
  ])
})

test('a damaged set is not counted, and goes when it would have gone in good health', () => {
  const sets = [
    setAt('2026-11-22T02:00:00Z', { state: 'damaged' }),
    setAt('2026-11-21T02:00:00Z', { state: 'damaged', stateIfHealthy: 'proven' }),
    setAt('2026-11-20T02:00:00Z'),
    setAt('2026-11-19T02:00:00Z'),
    setAt('2026-11-18T02:00:00Z', { state: 'damaged' }),
    setAt('2026-11-17T02:00:00Z', { state: 'proven' }),
    setAt('2026-11-16T02:00:00Z'),
  ]
  expect(told(sets, { ...LAST_ONLY, keepLast: 1 })).toEqual([
    '2026-11-22T02:00:00Z: keep: damaged, and kept as if it were not: newest 1',
    '2026-11-21T02:00:00Z: keep: damaged, and kept as if it were not: the newest proven backup',
    '2026-11-20T02:00:00Z: keep: newest 1',
    '2026-11-19T02:00:00Z: delete: older than keep-last 1 reach',
    '2026-11-18T02:00:00Z: delete: damaged; older than keep-last 1 reach',
    '2026-11-17T02:00:00Z: keep: the newest proven backup',
    '2026-11-16T02:00:00Z: delete: older than keep-last 1 reach',
  ])
})

test('what is locked stays and says until when; the set of this run and what the future holds stay in any case', () => {
  const sets = [
    setAt('2036-01-01T00:00:00Z'),
    setAt('2026-11-22T12:04:00Z'),
    setAt('2026-11-21T02:00:00Z', { lockUntil: new Date('2026-12-21T02:00:30Z') }),
    setAt('2026-11-20T02:00:00Z', { lockUntil: NOW }),
    setAt('2020-01-01T00:00:00Z'),
  ]
  expect(told(sets, { ...LAST_ONLY, keepLast: 1 }, NOW, '2020-01-01T00:00:00Z')).toEqual([
    '2036-01-01T00:00:00Z: keep: from the future: some clock is wrong',
    '2026-11-22T12:04:00Z: keep: newest 1',
    '2026-11-21T02:00:00Z: retained: locked until 2026-12-21 02:00 UTC; older than keep-last 1 reach',
    '2026-11-20T02:00:00Z: delete: older than keep-last 1 reach',
    '2020-01-01T00:00:00Z: keep: written by this run',
  ])
})

const STATES: readonly SetState[] = ['written', 'intact', 'proven']
const CONTENTS: readonly SetContent[] = ['whole', 'whole', 'whole', 'schema', 'filtered']

const anySets = fc
  .array(
    fc.record({
      // Coarse, so that days and whole seconds are shared; some of it in the future.
      hours: fc.integer({ min: -2, max: 400 }),
      content: fc.constantFrom(...CONTENTS),
      stateIfHealthy: fc.constantFrom(...STATES),
      isDamaged: fc.boolean(),
      isLocked: fc.integer({ min: 0, max: 9 }).map((number) => number === 0),
    }),
    { maxLength: 40 },
  )
  .map((facts) =>
    facts.map(({ hours, content, stateIfHealthy, isDamaged, isLocked }, index): RetainableSet => {
      const takenAt = new Date(NOW.getTime() - hours * 5 * 3_600_000)
      const state = isDamaged ? 'damaged' : stateIfHealthy
      const lock = isLocked ? { lockUntil: new Date(NOW.getTime() + 86_400_000) } : {}
      return { id: String(index).padStart(2, '0'), takenAt, content, state, stateIfHealthy, ...lock }
    }),
  )

const anyPolicy: fc.Arbitrary<RetentionPolicy> = fc.record({
  keepLast: fc.integer({ min: 1, max: 6 }),
  keepDaily: fc.nat(12),
  keepWeekly: fc.nat(6),
  keepMonthly: fc.nat(4),
  keepPartial: fc.integer({ min: 1, max: 4 }),
})

function keptIds(decisions: readonly Decision[]): Set<string> {
  return new Set(decisions.filter(({ fate }) => fate !== 'delete').map(({ set }) => set.id))
}

function plan(sets: readonly RetainableSet[], policy: RetentionPolicy): Set<string> {
  return keptIds(planRetention(sets, policy, { now: NOW }))
}

function present(sets: readonly RetainableSet[]): RetainableSet[] {
  const newest = [...sets].sort((a, b) => b.takenAt.getTime() - a.takenAt.getTime() || (a.id < b.id ? 1 : -1))
  return newest.filter(({ takenAt }) => takenAt <= NOW)
}

/** Fails unless everything in `part` is in `all`. */
function expectWithin(part: Iterable<string>, all: ReadonlySet<string>): void {
  expect([...part].filter((id) => !all.has(id))).toEqual([])
}

test('the newest proven set, keep-last healthy ones, locked and future ones stay, whatever the rest', () => {
  fc.assert(
    fc.property(anySets, anyPolicy, (sets, policy) => {
      const kept = plan(sets, policy)
      const healthy = present(sets).filter(({ state, content }) => state !== 'damaged' && content === 'whole')
      const proven = healthy.find(({ state }) => state === 'proven')
      expectWithin(proven ? [proven.id] : [], kept)
      expectWithin(
        healthy.slice(0, policy.keepLast).map(({ id }) => id),
        kept,
      )
      expectWithin(
        sets.filter(({ lockUntil, takenAt }) => lockUntil || takenAt > NOW).map(({ id }) => id),
        kept,
      )
      const partial = present(sets).filter(({ state, content }) => state !== 'damaged' && content !== 'whole')
      expectWithin(
        partial.slice(0, policy.keepPartial).map(({ id }) => id),
        kept,
      )
    }),
  )
})

test('evidence never shortens a life: no failure deletes anything, and without any evidence no more would be kept', () => {
  fc.assert(
    fc.property(anySets, anyPolicy, (sets, policy) => {
      const kept = plan(sets, policy)
      expectWithin(
        plan(
          sets.map((set) => ({ ...set, state: set.stateIfHealthy })),
          policy,
        ),
        kept,
      )
      const untested = sets.map((set) => ({ ...set, state: 'written' as const, stateIfHealthy: 'written' as const }))
      expectWithin(plan(untested, policy), kept)
    }),
  )
})

test('storage is bounded: what is kept without locks is no more than the policy can name', () => {
  fc.assert(
    fc.property(anySets, anyPolicy, (sets, policy) => {
      const free = present(sets).map(({ lockUntil: _, ...set }) => set)
      const { keepLast, keepDaily, keepWeekly, keepMonthly, keepPartial } = policy
      // Twice: with and without the failures. Of a period two: the newest and the newest proven.
      const most = 2 * (1 + keepLast + 2 * (keepDaily + keepWeekly + keepMonthly) + keepPartial)
      expect(plan(free, policy).size).toBeLessThanOrEqual(most)
    }),
  )
})

test('a plan does not depend on the order of the sets, is through after one run, and keeps more when asked to', () => {
  const names = ['keepLast', 'keepDaily', 'keepWeekly', 'keepMonthly', 'keepPartial'] as const
  fc.assert(
    fc.property(anySets, anyPolicy, fc.constantFrom(...names), fc.nat(5), (sets, policy, name, more) => {
      const decisions = planRetention(sets, policy, { now: NOW })
      const shuffled = sets.toSorted((a, b) => a.id.charCodeAt(1) - b.id.charCodeAt(1))
      expect(planRetention(shuffled, policy, { now: NOW })).toEqual(decisions)
      const kept = keptIds(decisions)
      const left = sets.filter(({ id }) => kept.has(id))
      expect(plan(left, policy)).toEqual(kept)
      expectWithin(kept, plan(sets, { ...policy, [name]: policy[name] + more }))
    }),
  )
})

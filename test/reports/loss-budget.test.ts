import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { plainText } from '../../src/reports/escape.ts'
import { secondsUntilPassed } from '../../src/reports/forecast.ts'
import { lossSentence } from '../../src/reports/loss-budget.ts'
import type { BackupPoint, LossBudget, RehearsalPoint } from '../../src/reports/report.ts'

const TARGETS = { rtoTarget: 3_600, rpoTarget: 108_000 }
const DAY = 86_400
const NOW = new Date('2026-11-22T12:00:00Z')

const proven = { backupId: 'x', takenAt: '2026-11-22T02:17:04.000Z', lossSeconds: 35_000 }
const rehearsal = { testedAt: '2026-11-22T05:00:00.000Z', rtoSeconds: 245 }

function say(facts: Partial<LossBudget>): string {
  const opening = lossSentence({ database: 'shop', lossBudget: { backups: 3, everProven: true, ...TARGETS, ...facts } })
  return opening ? [opening.message, ...(opening.remedy ? [opening.remedy] : [])].map(plainText).join(' → ') : 'nothing'
}

test('one sentence says what would be lost and how long it would take, against the targets', () => {
  expect(say({ proven, rehearsal })).toBe(
    'If the database died now you would lose at most 9 h 43 min (newest proven set, taken 2026-11-22 02:17 UTC; within the target of 30 h) and, by the last rehearsal, be back in about 4 min 05 s (within the target of 1 h).',
  )
  const late = { proven: { ...proven, lossSeconds: 400_000 }, rehearsal: { ...rehearsal, rtoSeconds: 3_601 } }
  expect(say(late)).toMatch(/lose at most 4 d 15 h \(.*; above the target of 30 h\).* 1 h 0 min \(above the target/)
  expect(say({ proven })).toMatch(/\) and, in a time that nobody has measured, be back\.$/)
})

test('growth is told as no more exactly than it is known', () => {
  const tell = (days: number) =>
    say({ proven, rehearsal, rtoPassesTargetIn: days * DAY })
      .split('). ')
      .at(-1)
  const when = (text: string) => `At the present growth the recovery time passes the target of 1 h in about ${text}.`
  expect([0.2, 9.6, 14, 45, 122, 700].map(tell)).toEqual(
    ['a day', '10 days', '2 weeks', '6 weeks', '4 months', '23 months'].map(when),
  )
})

test('where nothing is proven it says so, and what to do; where nothing is known, nothing', () => {
  expect(say({ everProven: false })).toBe(
    'If the database died now nobody knows whether it would come back: no backup of shop has ever been restored and proven. → Run action-restore-test on this storage: it restores the newest backup into a throw-away server and proves it.',
  )
  expect(say({ rehearsal })).toContain('no backup of shop that is still there counts as proven.')
  expect(say({ backups: 0, everProven: false })).toMatch(
    /^If the database died now everything in it would be lost: .* → Run action-dump/,
  )
  expect(lossSentence({ database: 'shop' })).toBeUndefined()
})

const daysAgo = (days: number) => new Date(NOW.getTime() - days * DAY * 1_000).toISOString()
const tests = (points: [days: number, rto: number][]): RehearsalPoint[] =>
  points.map(([days, rtoSeconds]) => ({ testedAt: daysAgo(days), rtoSeconds, plainBytes: 1_000 }))
const sets = (points: [days: number, bytes: number][]): BackupPoint[] =>
  points.map(([days, plainBytes]) => ({ takenAt: daysAgo(days), plainBytes, storedBytes: 1, rows: 1, dumpSeconds: 1 }))
const daysLeft = (rehearsals: RehearsalPoint[], backups: BackupPoint[] = []) => {
  const seconds = secondsUntilPassed({ rehearsals, backups }, 3_600, NOW)
  return seconds === undefined ? undefined : Math.round(seconds / DAY)
}

test('the recovery time passes its target where a line through the rehearsals does', () => {
  expect(
    daysLeft(
      tests([
        [20, 1_000],
        [10, 1_100],
        [0, 1_200],
      ]),
    ),
  ).toBe(240)
  // Too few, too close, shrinking, level, passed already, further off than two years.
  expect(
    daysLeft(
      tests([
        [20, 1_000],
        [0, 1_200],
      ]),
    ),
  ).toBeUndefined()
  expect(
    daysLeft(
      tests([
        [13, 1_000],
        [5, 1_100],
        [0, 1_200],
      ]),
    ),
  ).toBeUndefined()
  expect(
    daysLeft(
      tests([
        [20, 1_200],
        [10, 1_100],
        [0, 1_000],
      ]),
    ),
  ).toBeUndefined()
  expect(
    daysLeft(
      tests([
        [20, 1_000],
        [10, 1_000],
        [0, 1_000],
      ]),
    ),
  ).toBeUndefined()
  expect(
    daysLeft(
      tests([
        [20, 3_000],
        [10, 3_400],
        [0, 3_700],
      ]),
    ),
  ).toBeUndefined()
  expect(
    daysLeft(
      tests([
        [20, 1_000],
        [10, 1_010],
        [0, 1_020],
      ]),
    ),
  ).toBeUndefined()
  expect(daysLeft([])).toBeUndefined()
})

test('with fewer than three rehearsals the last one grows as the dumps do', () => {
  const growing = sets([
    [30, 700],
    [15, 850],
    [0, 1_000],
  ])
  // 1,000 bytes took 1,800 s, so 2,000 bytes take an hour, and come in 100 days at 10 bytes a day.
  expect(daysLeft(tests([[0, 1_800]]), growing)).toBe(100)
  expect(daysLeft([{ testedAt: daysAgo(0), rtoSeconds: 1_800 }], growing)).toBeUndefined()
  expect(daysLeft(tests([[0, 1_800]]), growing.slice(1))).toBeUndefined()
  expect(daysLeft([], growing)).toBeUndefined()
})

test('whatever the points are, what is told lies within two years', () => {
  const point = fc.tuple(fc.integer({ min: 0, max: 1_000 }), fc.double({ min: 0, max: 5_000, noNaN: true }))
  fc.assert(
    fc.property(fc.array(point, { maxLength: 30 }), fc.array(point, { maxLength: 30 }), (rehearsals, backups) => {
      const days = daysLeft(tests(rehearsals), sets(backups))
      if (days !== undefined) expect(days).toBeLessThanOrEqual(730)
      if (days !== undefined) expect(days).toBeGreaterThanOrEqual(0)
    }),
  )
})

import { expect, test } from '@jest/globals'
import type { Outcome } from '../../src/reports/alert-ledger.ts'
import { parseSilence, silenced, silenceLeft } from '../../src/reports/silence.ts'

const NOON = new Date('2026-11-22T12:00:00Z')
const outcome = (key: string, status: Outcome['status']): Outcome => ({ key, title: key, status, message: key })

test('a check, a day that there is, and a reason', () => {
  const silence = { key: 'verify/rows/3of7', until: '2026-12-15', reason: 'known: #12' }
  expect(parseSilence('verify/rows/3of7 until 2026-12-15: known: #12')).toEqual(silence)
  const wrong = [
    'rows until 2026-12-15: no action',
    'verify/rows until 2026-02-30: no such day',
    'verify/rows until 15.12.2026: another calendar',
    'verify/rows until 2026-12-15:',
    'verify/rows until 2026-12-15',
    'verify/rows: no day',
    '',
  ]
  for (const line of wrong) expect([line, parseSilence(line)]).toEqual([line, undefined])
})

test('it lasts to the end of its last day, in UTC', () => {
  const silence = { key: 'verify/rows', until: '2026-11-22', reason: 'because' }
  expect(silenceLeft(silence, NOON)).toBe(12 * 3_600_000)
  expect(silenceLeft(silence, new Date('2026-11-23T00:00:00Z'))).toBe(0)
})

test('what does not pass is kept from the issue, what passes is told, and the report says which', () => {
  const silence = (key: string, until: string) => ({ key, until, reason: `${key} is known` })
  const silences = [
    silence('verify/rows', '2026-11-30'),
    silence('verify/parts', '2026-11-30'),
    silence('verify/backup-age', '2026-11-21'),
  ]
  const failing = ['rows', 'backup-age', 'contents'].map((id) => outcome(`verify/${id}`, 'failed'))
  const outcomes = [...failing, outcome('verify/parts', 'passed'), outcome('verify/run', 'unverified')]
  const { told, findings } = silenced(outcomes, silences, NOON)
  expect(told.map(({ key }) => key)).toEqual(['verify/backup-age', 'verify/contents', 'verify/parts', 'verify/run'])
  expect(findings).toEqual([
    { severity: 'note', message: 'The issue is not told of verify/rows until 2026-11-30: verify/rows is known' },
    {
      severity: 'note',
      message: 'The silence of verify/backup-age ended on 2026-11-21',
      remedy: 'Take the line out of `alert-silence`.',
    },
  ])
})

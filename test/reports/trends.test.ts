import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { plainText } from '../../src/reports/escape.ts'
import type { BackupPoint, Trends } from '../../src/reports/report.ts'
import { type Chart, mermaidChart, trendsOf } from '../../src/reports/trends.ts'
import { passedDump } from './examples.ts'

const trends = passedDump.trends as Trends
const LOOK =
  '%%{init: {"xyChart": {"height": 340}, "themeVariables": {"xyChart": {"plotColorPalette": "#0969da"}}}}%%\n'

test('the charts are the text that mermaid takes: quoted labels, plain numbers, one line each', () => {
  const charts = trendsOf(trends).flatMap((trend) => trend.charts.map(mermaidChart))
  const nights = Array.from({ length: 14 }, (_, index) => `"${index + 1}"`).join(', ')
  expect(charts).toEqual([
    `${LOOK}xychart-beta
  title "Dumped, GiB"
  x-axis "2026-11-09 to 2026-11-22" [${nights}]
  y-axis 0 --> 1.3
  line [1.118, 1.124, 1.131, 1.137, 1.144, 1.15, 1.157, 1.163, 1.17, 1.176, 1.183, 1.189, 1.196, 1.202]`,
    `${LOOK}xychart-beta
  title "Rows, millions"
  x-axis "2026-11-09 to 2026-11-22" [${nights}]
  y-axis 0 --> 1.3
  line [1.19, 1.191, 1.192, 1.193, 1.194, 1.196, 1.197, 1.198, 1.199, 1.2, 1.201, 1.202, 1.203, 1.204]`,
    `${LOOK}xychart-beta
  title "Time of the dump, min"
  x-axis "2026-11-09 to 2026-11-22" [${nights}]
  y-axis 0 --> 4.4
  line [4, 4.017, 4.033, 4, 4.017, 4.033, 4, 4.017, 4.033, 4, 4.017, 4.033, 4, 4.017]`,
    `${LOOK}xychart-beta
  title "Recovery time, min"
  x-axis "2026-11-08 to 2026-11-22" ["11-08", "11-15", "11-22"]
  y-axis 0 --> 4.5
  line [3.84, 3.933, 4.083]`,
  ])
})

test('two points are no trend; the table has all of them, newest first', () => {
  expect(trendsOf(undefined)).toEqual([])
  expect(trendsOf({ backups: trends.backups.slice(0, 2), rehearsals: [] })).toEqual([])
  const [backups, rehearsals] = trendsOf(trends)
  expect(backups?.title).toBe('Trend of the last 14 backups')
  expect(backups?.grid.rows.map(([when]) => plainText(when ?? []))[0]).toBe('2026-11-22 02:17 UTC')
  expect(rehearsals?.grid.rows.map((row) => row.map(plainText).join(' | '))).toEqual([
    '2026-11-22 05:17 UTC | 4 min 05 s | 3 min 00 s | 1.2 GiB',
    '2026-11-15 05:00 UTC | 3 min 56 s | — | —',
    '2026-11-08 05:00 UTC | 3 min 50 s | 2 min 50 s | 1.1 GiB',
  ])
})

test('two points of one day are told apart, and what is no plain number is not drawn', () => {
  const day: BackupPoint[] = ['01', '09', '17'].map((hour) => ({
    ...(trends.backups[0] as BackupPoint),
    takenAt: `2026-11-22T${hour}:00:00.000Z`,
  }))
  const [trend] = trendsOf({ backups: day, rehearsals: [] })
  expect(trend?.charts.map(({ labels }) => labels)).toEqual([
    ['1', '2', '3'],
    ['1', '2', '3'],
    ['1', '2', '3'],
  ])
  const chart: Chart = { title: 'Rows', axis: 'a to b', labels: ['1'], values: [1] }
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -1, 1e300, 1e-9]) {
    expect(mermaidChart({ ...chart, values: [value] })).toBeUndefined()
  }
})

test('whatever the numbers are, nothing but known words, dates and numbers is drawn', () => {
  const size = fc.nat({ max: Number.MAX_SAFE_INTEGER })
  const point = fc.record({
    takenAt: fc
      .date({ min: new Date('2000-01-01'), max: new Date('2199-12-31'), noInvalidDate: true })
      .map((date) => date.toISOString()),
    plainBytes: size,
    storedBytes: size,
    rows: size,
    dumpSeconds: fc.double(),
  })
  fc.assert(
    fc.property(fc.array(point, { minLength: 3, maxLength: 30 }), (backups) => {
      for (const text of trendsOf({ backups, rehearsals: [] }).flatMap(({ charts }) => charts.map(mermaidChart))) {
        if (text === undefined) continue
        expect(text.slice(LOOK.length)).toMatch(
          /^xychart-beta\n {2}title "[A-Z][A-Za-z ,]+"\n {2}x-axis "\d{4}-\d\d-\d\d to \d{4}-\d\d-\d\d" \[("\d+(-\d+)?"(, )?)+\]\n {2}y-axis 0 --> \d+(\.\d+)?\n {2}line \[(\d+(\.\d+)?(, )?)+\]$/,
        )
        const [labels = '', values = ''] = [...text.matchAll(/\[(.*)\]/g)].map(([, list]) => list)
        expect(labels.split(', ').length).toBe(values.split(', ').length)
        expect(new Set(labels.split(', ')).size).toBe(backups.length)
      }
    }),
  )
})

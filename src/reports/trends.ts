import { formatBytes, formatCount, formatDuration } from '../base/units.ts'
import { type Words, words } from './escape.ts'
import { count, formatMinute, type Grid } from './page.ts'
import type { BackupPoint, RehearsalPoint, Trends } from './report.ts'

/** One line over time. Its text is our own, and numbers and dates: a chart has no escaping that could be relied on. */
export interface Chart {
  /** Names the unit. */
  title: string
  /** From when to when. */
  axis: string
  /** One for each value, none twice: points with the same label would fall together. */
  labels: readonly string[]
  values: readonly number[]
}

/** How something has developed: the table says everything, the charts show it where they are shown. */
export interface Trend {
  title: string
  /** Newest first. */
  grid: Grid
  charts: Chart[]
}

/** Two points are no trend. */
const LEAST_POINTS = 3

/** Tables and charts of what has at least three points. */
export function trendsOf(trends: Trends | undefined): Trend[] {
  if (trends === undefined) return []
  return [backupTrend(trends.backups), rehearsalTrend(trends.rehearsals)].filter(
    ({ grid }) => grid.rows.length >= LEAST_POINTS,
  )
}

function backupTrend(points: readonly BackupPoint[]): Trend {
  const title = `Trend of the last ${count(points.length, 'backup')}`
  const rows = points.map(({ takenAt, plainBytes, storedBytes, rows, dumpSeconds }) =>
    cells(formatMinute(takenAt), [
      formatBytes(plainBytes),
      formatBytes(storedBytes),
      formatCount(rows),
      formatDuration(dumpSeconds),
    ]),
  )
  const axis = axisOf(points.map(({ takenAt }) => takenAt))
  const titles = ['Dumped', 'Stored', 'Rows', 'Time']
  return {
    title,
    grid: { title, folded: true, columns: columns('Backup', titles), rows: rows.reverse() },
    charts: [
      { ...axis, ...measure('Dumped', numbers(points, 'plainBytes'), BYTES) },
      { ...axis, ...measure('Rows', numbers(points, 'rows'), NUMBERS) },
      { ...axis, ...measure('Time of the dump', numbers(points, 'dumpSeconds'), TIMES) },
    ],
  }
}

function rehearsalTrend(points: readonly RehearsalPoint[]): Trend {
  const title = `Trend of the last ${count(points.length, 'restore test')} that passed`
  const rows = points.map(({ testedAt, rtoSeconds, restoreSeconds, plainBytes }) =>
    cells(formatMinute(testedAt), [
      formatDuration(rtoSeconds),
      restoreSeconds === undefined ? '—' : formatDuration(restoreSeconds),
      plainBytes === undefined ? '—' : formatBytes(plainBytes),
    ]),
  )
  const axis = axisOf(points.map(({ testedAt }) => testedAt))
  const titles = ['Recovery time', 'Restore alone', 'Dumped']
  return {
    title,
    grid: { title, folded: true, columns: columns('Restore test', titles), rows: rows.reverse() },
    charts: [{ ...axis, ...measure('Recovery time', numbers(points, 'rtoSeconds'), TIMES) }],
  }
}

function numbers<K extends string>(points: readonly Record<K, number>[], name: K): number[] {
  return points.map((point) => point[name])
}

function columns(first: string, others: readonly string[]): Grid['columns'] {
  return [{ title: first }, ...others.map((title) => ({ title, right: true }))]
}

function cells(first: string, others: readonly string[]): Words[] {
  return [words`${first}`, ...others.map((text) => words`${text}`)]
}

/** What fits below a chart without running into each other. */
const MOST_DAYS = 12

/** Days where there are few of them, each once; else the points are counted. */
function axisOf(times: readonly string[]): Pick<Chart, 'axis' | 'labels'> {
  const days = times.map((time) => new Date(time).toISOString().slice(0, 10))
  const short = days.map((day) => day.slice(5))
  const areTold = short.length <= MOST_DAYS && new Set(short).size === short.length
  return {
    axis: `${days[0]} to ${days.at(-1)}`,
    labels: areTold ? short : short.map((_, index) => String(index + 1)),
  }
}

type Measure = Pick<Chart, 'title' | 'values'>

interface Unit {
  name: string
  size: number
}

const BYTES: readonly Unit[] = ['B', 'KiB', 'MiB', 'GiB', 'TiB'].map((name, power) => ({ name, size: 1_024 ** power }))
const NUMBERS: readonly Unit[] = ['', 'thousands', 'millions', 'billions'].map((name, power) => ({
  name,
  size: 1e3 ** power,
}))
const TIMES: readonly Unit[] = ['s', 'min', 'h'].map((name, power) => ({ name, size: 60 ** power }))

/** In the largest unit in which the largest value is at least 1. */
function measure(what: string, numbers: readonly number[], units: readonly Unit[]): Measure {
  const largest = Math.max(...numbers)
  const { name, size } = units.findLast((unit) => largest >= unit.size) ?? { name: units[0]?.name ?? '', size: 1 }
  const values = numbers.map((number) => Number((number / size).toPrecision(4)))
  return { title: name === '' ? what : `${what}, ${name}`, values }
}

/** By default the line can hardly be seen, and a chart fills the screen. */
const LOOK = '%%{init: {"xyChart": {"height": 340}, "themeVariables": {"xyChart": {"plotColorPalette": "#0969da"}}}}%%'

/**
 * The chart as mermaid's `xychart-beta`, the name that every release since 10.6 knows; undefined where a value is not a
 * plain number, which its grammar does not take.
 */
export function mermaidChart({ title, axis, labels, values }: Chart): string | undefined {
  const numbers = values.map(String)
  if (numbers.some((number) => !/^\d+(\.\d+)?$/.test(number))) return undefined
  const top = Number((Math.max(...values) * 1.1).toPrecision(2)) || 1
  return [
    LOOK,
    'xychart-beta',
    `  title "${title}"`,
    `  x-axis "${axis}" [${labels.map((label) => `"${label}"`).join(', ')}]`,
    `  y-axis 0 --> ${top}`,
    `  line [${numbers.join(', ')}]`,
  ].join('\n')
}

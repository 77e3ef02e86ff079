import type { Trends } from './report.ts'

/** A value at a time, in seconds. */
interface Point {
  at: number
  value: number
}

const LEAST_POINTS = 3
const LEAST_SPAN_SECONDS = 14 * 86_400
/** What lies further off is no plan. */
const FURTHEST_SECONDS = 2 * 365 * 86_400

/**
 * In how many seconds from `now` the recovery time passes `target`, if all goes on as it does: by a straight line through
 * the recovery times of at least 3 rehearsals over at least 14 days, or, while there are fewer, through the sizes of the
 * dumps, to which the last recovery time is scaled. Undefined where nothing grows, where it lies more than two years off, or
 * where it has passed already.
 */
export function secondsUntilPassed({ backups, rehearsals }: Trends, target: number, now: Date): number | undefined {
  const last = rehearsals.at(-1)
  if (last === undefined || last.rtoSeconds > target) return undefined
  if (rehearsals.length >= LEAST_POINTS) {
    const times = rehearsals.map(({ testedAt, rtoSeconds }) => point(testedAt, rtoSeconds))
    return secondsUntil(target, times, now)
  }
  if (!last.plainBytes || last.rtoSeconds <= 0) return undefined
  const sizes = backups.map(({ takenAt, plainBytes }) => point(takenAt, plainBytes))
  return secondsUntil((last.plainBytes * target) / last.rtoSeconds, sizes, now)
}

function point(time: string, value: number): Point {
  return { at: new Date(time).getTime() / 1_000, value }
}

function secondsUntil(limit: number, points: readonly Point[], now: Date): number | undefined {
  const times = points.map(({ at }) => at)
  if (points.length < LEAST_POINTS || Math.max(...times) - Math.min(...times) < LEAST_SPAN_SECONDS) return undefined
  const { slope, mean } = fitLine(points)
  if (slope <= 0) return undefined
  const seconds = mean.at + (limit - mean.value) / slope - now.getTime() / 1_000
  return seconds > 0 && seconds <= FURTHEST_SECONDS ? seconds : undefined
}

/** Least squares: the line goes through the mean. */
function fitLine(points: readonly Point[]): { slope: number; mean: Point } {
  const sum = (of: (point: Point) => number) => points.reduce((total, one) => total + of(one), 0)
  const mean = { at: sum(({ at }) => at) / points.length, value: sum(({ value }) => value) / points.length }
  const covariance = sum(({ at, value }) => (at - mean.at) * (value - mean.value))
  return { slope: covariance / sum(({ at }) => (at - mean.at) ** 2), mean }
}

import type { Finding } from '../base/findings.ts'
import type { CheckOutcome } from './check.ts'
import type { Limits } from './context.ts'

type Bands = Pick<Limits, 'sizeChangeWarn' | 'sizeChangeFail'>

/** Of a run that was narrowed to named tables. */
export const ABOUT_ALL_TABLES: CheckOutcome = { status: 'not run', summary: 'it is about all tables', findings: [] }

/** The change from `before` to `now` as a fraction; what came from nothing has changed by all of it. */
export function changeBetween(before: number, now: number): number {
  return before === 0 ? (now === 0 ? 0 : 1) : now / before - 1
}

/** `+12.3 %`, `−40.0 %`. */
export function formatChange(change: number): string {
  return `${change < 0 ? '−' : '+'}${(Math.abs(change) * 100).toFixed(1)} %`
}

/** How bad such a change is; undefined: it is within the bands. */
export function severityOf(change: number, bands: Bands): Finding['severity'] | undefined {
  const size = Math.abs(change)
  if (size <= bands.sizeChangeWarn) return undefined
  return size <= bands.sizeChangeFail ? 'warning' : 'failure'
}

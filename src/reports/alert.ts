import type { CheckResult, Finding } from '../base/findings.ts'
import { EMPTY_LEDGER, type Ledger, type Outcome, type RunFacts, record } from './alert-ledger.ts'
import type { Report } from './report.ts'

/** An issue that was closed longer ago is history: what fails then gets a new one. */
export const REOPEN_DAYS = 14
const DAY = 86_400_000

const RUN_TITLES: Record<Report['kind'], string> = {
  dump: 'The dump gets through',
  verify: 'The verification gets through',
  'restore-test': 'The restore test gets through',
}

/** What a run says of the checks that it carried out, and of itself. `not run` says nothing. */
export function outcomesOf(report: Report): Outcome[] {
  const { suffix, title } = narrowed(report)
  const outcomes = [runOutcome(report), ...report.checks.flatMap((check) => checkOutcome(report.kind, check))]
  return outcomes.map((outcome) => ({ ...outcome, key: outcome.key + suffix, title: outcome.title + title }))
}

/** One that was narrowed to a slice, or to some tables, says nothing of the rest: it has keys of its own. */
function narrowed(report: Report): { suffix: string; title: string } {
  if (report.kind !== 'verify') return { suffix: '', title: '' }
  const { slice, tables } = report
  if (slice) return { suffix: `/${slice.number}of${slice.of}`, title: ` (slice ${slice.number} of ${slice.of})` }
  return tables ? { suffix: '/tables', title: ' (of some tables)' } : { suffix: '', title: '' }
}

/** What a run says of itself, as far as it did not get to know its database. */
export function jobOutcome(report: Report): Outcome {
  return { ...runOutcome(report), key: `${report.kind}/run` }
}

/** An hourly glance that gets through says nothing of the nightly run that did not: each has a key of its own. */
function runKey(report: Report): string {
  if (report.kind === 'dump' && report.partial !== undefined) return 'dump/partial-run'
  if (report.kind === 'verify' && report.mode !== 'smoke') return `verify/${report.mode}-run`
  return `${report.kind}/run`
}

function runOutcome(report: Report): Outcome {
  const { kind, verdict, error, checks, findings } = report
  const run = { key: runKey(report), title: RUN_TITLES[kind] }
  const status = verdict === 'unverified' ? 'unverified' : 'failed'
  if (error !== undefined) {
    const { code, message, remedy } = error
    const { message: more = '', remedy: way = '' } = findings.find(({ severity }) => severity === 'failure') ?? {}
    const first = (text: string, of: string) => (of === '' ? text : `${text.replace(/\.$/, '')}; first of all: ${of}`)
    return { ...run, status, code, message: first(message, more), remedy: first(remedy, way) }
  }
  const isExplained = checks.some((check) => check.status === 'failed' || check.status === 'unverified')
  if (verdict === 'passed' || isExplained) return { ...run, status: 'passed', message: '' }
  return { ...run, status, ...evidenceOf(findings, 'The run did not pass, and names no check that failed') }
}

function checkOutcome(kind: Report['kind'], { id, title, status, summary, findings }: CheckResult): Outcome[] {
  if (status === 'not run') return []
  const outcome = { key: `${kind}/${id}`, title, status }
  return [status === 'passed' ? { ...outcome, message: '' } : { ...outcome, ...evidenceOf(findings, summary) }]
}

/** The first failure stands for all, and says how many more there are. */
function evidenceOf(findings: readonly Finding[], otherwise: string): Pick<Outcome, 'message' | 'remedy'> {
  const failures = findings.filter(({ severity }) => severity === 'failure')
  const [first] = failures
  if (first === undefined) return { message: otherwise }
  const more = failures.length > 1 ? ` (and ${failures.length - 1} more)` : ''
  return { message: `${first.message}${more}`, ...(first.remedy !== undefined && { remedy: first.remedy }) }
}

/** The issue that there is, as far as it matters here. */
export interface KnownAlert {
  state: 'open' | 'closed'
  closedAt?: Date
  /** Undefined: it cannot be read, for somebody has edited it. */
  ledger: Ledger | undefined
}

/** What is to be done with the issue, and what it says from then on. */
export type AlertPlan =
  | { step: 'nothing' }
  | { step: 'open'; ledger: Ledger }
  | { step: 'update' | 'close' | 'reopen'; ledger: Ledger; comment?: AlertChange }

/** What changed since the readers were last told; keys. */
export interface AlertChange {
  /** Not told of before. */
  added: string[]
  /** Told of before, and passed since. */
  recovered: string[]
  /** Told of before. */
  remaining: string[]
}

/**
 * What a run makes of the alert. The set of checks that fail decides: an issue is opened for the first, closed after the
 * last, opened again within two weeks. A comment only tells that the set has changed, and comes at most once a day; what
 * changed in the meantime is told by the next one. Whoever closes the issue by hand takes everything off the list: it
 * comes back with what fails then.
 */
export function planAlert(known: KnownAlert | undefined, outcomes: readonly Outcome[], run: RunFacts): AlertPlan {
  const failed = new Set(outcomes.filter(({ status }) => status !== 'passed').map(({ key }) => key))
  if (known?.state === 'open') return planOpen(known.ledger, outcomes, run, failed.size > 0)
  if (failed.size === 0) return { step: 'nothing' }
  const isRecent = known?.closedAt !== undefined && run.at.getTime() - known.closedAt.getTime() < REOPEN_DAYS * DAY
  if (!isRecent) {
    const ledger = record(EMPTY_LEDGER, outcomes, run)
    return { step: 'open', ledger: { ...ledger, told: keysOf(ledger) } }
  }
  const before = known.ledger ?? EMPTY_LEDGER
  const listed = { ...before, checks: before.checks.filter(({ key }) => failed.has(key)), told: [] }
  return { step: 'reopen', ...telling(record(listed, outcomes, run), run) }
}

function planOpen(
  before: Ledger | undefined,
  outcomes: readonly Outcome[],
  run: RunFacts,
  hasFailed: boolean,
): AlertPlan {
  if (before === undefined) {
    // Who knows what else is failing: only what is failing now is a reason to write there.
    return hasFailed ? { step: 'update', ...telling(record(EMPTY_LEDGER, outcomes, run), run) } : { step: 'nothing' }
  }
  const after = record(before, outcomes, run)
  const hasRecovered = after.checks.length < before.checks.length
  if (!hasFailed && !hasRecovered) return { step: 'nothing' }
  return { step: after.checks.length === 0 ? 'close' : 'update', ...telling(after, run) }
}

/** The ledger with what is told by a comment now, if there is something to tell and a day has passed. */
function telling(ledger: Ledger, { at }: RunFacts): { ledger: Ledger; comment?: AlertChange } {
  const now = keysOf(ledger)
  const change: AlertChange = {
    added: now.filter((key) => !ledger.told.includes(key)),
    recovered: ledger.told.filter((key) => !now.includes(key)),
    remaining: now.filter((key) => ledger.told.includes(key)),
  }
  const since = ledger.toldAt === undefined ? DAY : at.getTime() - new Date(ledger.toldAt).getTime()
  const isDue = since < 0 || since >= DAY
  if (!isDue || change.added.length + change.recovered.length === 0) return { ledger }
  return { ledger: { ...ledger, told: now, toldAt: at.toISOString() }, comment: change }
}

function keysOf({ checks }: Ledger): string[] {
  return checks.map(({ key }) => key)
}

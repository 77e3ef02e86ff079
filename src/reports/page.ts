import type { CheckResult, Finding, Severity, Verdict } from '../base/findings.ts'
import { formatBytes, formatCount } from '../base/units.ts'
import { code, prose, type Word, type Words, words } from './escape.ts'
import type { Opening } from './loss-budget.ts'
import type { ReportBase, ReportError, StageTime } from './report.ts'
import type { Trend } from './trends.ts'

/** What a report says, in the order in which it matters, before it is written for a medium. */
export interface Page {
  verdict: Verdict
  /** One sentence, and perhaps a second one that limits it. */
  headline: Words
  /** What a loss of the database would cost now. */
  opening?: Opening | undefined
  /** What made the run red, the most important first. */
  problems: Item[]
  warnings: Item[]
  notes: Item[]
  facts: Fact[]
  checks: readonly CheckResult[]
  grids: Grid[]
  trends?: readonly Trend[]
  startedAt: string
  seconds: number
  runUrl?: string
}

/** One finding, with the check that it belongs to. */
export interface Item {
  subject?: string
  verdict: Verdict
  message: Words
  remedy?: Words
}

export type Fact = readonly [label: string, value: Words]

/** A table of the report. A folded one is a click away in the summary. */
export interface Grid {
  title: string
  folded: boolean
  columns: { title: string; right?: boolean }[]
  rows: Words[][]
}

/** What is the same on every page. */
export function basePage(report: ReportBase): Omit<Page, 'headline' | 'facts' | 'grids'> {
  return {
    verdict: report.verdict,
    problems: problemsOf(report),
    warnings: itemsOf(report, 'warning'),
    notes: itemsOf(report, 'note'),
    checks: report.checks,
    startedAt: report.startedAt,
    seconds: report.seconds,
    ...(report.runUrl !== undefined && { runUrl: report.runUrl }),
  }
}

/** What ended the run, then what failed, then what could not be checked; nothing twice. */
function problemsOf({ error, checks, findings }: ReportBase): Item[] {
  const failed = checks.filter((check) => check.status === 'failed')
  const unverified = checks.filter((check) => check.status === 'unverified')
  const items = [
    ...(error ? errorItems(error) : []),
    ...failed.flatMap((check) => checkItems(check, (finding) => finding.severity === 'failure')),
    ...findings.filter((finding) => finding.severity === 'failure').map((finding) => itemOf(finding)),
    ...unverified.flatMap((check) => checkItems(check, () => true)),
  ]
  const seen = new Set<string>()
  return items.filter((item) => {
    const key = JSON.stringify(item.message)
    return seen.has(key) ? false : seen.add(key)
  })
}

/** Wrong inputs are many problems in one error, one a line; what mends them all comes last. */
function errorItems({ code, message, remedy }: ReportError): Item[] {
  const lines = code === 'invalid-input' ? message.split('\n') : [message]
  return lines.map((line, index) =>
    itemOf({ severity: 'failure', message: line, ...(index === lines.length - 1 && { remedy }) }),
  )
}

/** The findings of a check that explain its status; its summary where there are none. */
function checkItems(check: CheckResult, explains: (finding: Finding) => boolean): Item[] {
  const findings = check.findings.filter(explains)
  const shown = findings.length > 0 ? findings : [{ severity: 'failure' as const, message: check.summary }]
  return shown.map((finding) => itemOf(finding, check))
}

function itemsOf({ checks, findings }: ReportBase, severity: Severity): Item[] {
  const ofChecks = checks
    // What an unverified check found stands among the problems.
    .filter((check) => check.status !== 'unverified')
    .flatMap((check) => check.findings.filter((found) => found.severity === severity).map((f) => itemOf(f, check)))
  return [...ofChecks, ...findings.filter((found) => found.severity === severity).map((found) => itemOf(found))]
}

function itemOf(finding: Finding, check?: CheckResult): Item {
  return {
    ...(check && { subject: check.title }),
    verdict: check?.status === 'unverified' ? 'unverified' : 'failed',
    message: prose(finding.message),
    ...(finding.remedy !== undefined && { remedy: prose(finding.remedy) }),
  }
}

/** The titles of the checks with that status, for a headline: at most three of them. */
export function checkTitles(checks: readonly CheckResult[], status: CheckResult['status']): string {
  const titles = checks.filter((check) => check.status === status).map((check) => check.title)
  return titles.length > 3 ? `${titles.slice(0, 3).join(', ')} and ${titles.length - 3} more` : titles.join(', ')
}

/** How many checks ran or should have: `not run` does not count. */
export function countChecks(checks: readonly CheckResult[], status?: CheckResult['status']): number {
  return checks.filter((check) => (status === undefined ? check.status !== 'not run' : check.status === status)).length
}

/** `1 table`, `2,034 tables`. */
export function count(number: number, singular: string, plural = `${singular}s`): string {
  return `${formatCount(number)} ${number === 1 ? singular : plural}`
}

/** `2026-11-22 02:17:04 UTC` of an ISO time; the text itself where it is none. */
export function formatTime(iso: string): string {
  const date = new Date(iso)
  return Number.isNaN(date.getTime()) ? iso : `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** `2026-11-22 02:17 UTC`, for headlines. */
export function formatMinute(iso: string): string {
  return formatTime(iso).replace(/:\d\d UTC$/, ' UTC')
}

/** `1.2 GiB dumped, 312.0 MiB stored (26 %)`. */
export function formatSizes(plainBytes: number, storedBytes: number): string {
  const share = plainBytes > 0 ? ` (${Math.round((100 * storedBytes) / plainBytes)} %)` : ''
  return `${formatBytes(plainBytes)} dumped, ${formatBytes(storedBytes)} stored${share}`
}

/** `database` in `storage`, and the set's id. */
export function whereFacts({ backupId, database, storage }: ReportBase): Fact[] {
  const id: Word = backupId === undefined ? 'none' : code(backupId)
  return [
    ['Backup', [id]],
    ['Database', [code(database)]],
    ['Storage', [code(storage)]],
  ]
}

const BAR = 10

/** The stages with their times and, as a bar, their share of the whole: renders everywhere, unlike a chart. */
export function stageGrid(stages: readonly StageTime[], formatSeconds: (seconds: number) => string): Grid[] {
  if (stages.length === 0) return []
  const total = stages.reduce((sum, stage) => sum + stage.seconds, 0)
  const rows = stages.map(({ title, seconds }) => {
    const share = total > 0 ? seconds / total : 0
    const filled = Math.round(share * BAR)
    return [
      words`${title}`,
      words`${formatSeconds(seconds)}`,
      words`${'█'.repeat(filled)}${'░'.repeat(BAR - filled)} ${Math.round(share * 100)} %`,
    ]
  })
  const columns = [{ title: 'Stage' }, { title: 'Time', right: true }, { title: 'Share' }]
  return [{ title: 'Where the time went', folded: false, columns, rows }]
}

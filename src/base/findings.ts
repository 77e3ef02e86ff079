/** How bad a finding is. Only `failure` makes a run red. */
export type Severity = 'note' | 'warning' | 'failure'

/** `unverified`: a check that was required could not be carried out. Only `passed` is green. */
export type Verdict = 'passed' | 'failed' | 'unverified'

/** `not run`: does not apply, was not asked for, or is blocked by an earlier failure. Never a tick, never red. */
export type CheckStatus = Verdict | 'not run'

/** One fact that somebody should know. Texts are plain: escaping is the business of whoever renders them. */
export interface Finding {
  severity: Severity
  /** One line; names the thing it is about. No secret, no row content. */
  message: string
  /** What to do next, in one line: the command or the setting. */
  remedy?: string
}

/** A table that says more than the findings have room for. Texts are plain. */
export interface Details {
  title: string
  /** `code`: identifiers; `right`: numbers. */
  columns: { title: string; code?: boolean; right?: boolean }[]
  rows: string[][]
}

/** What one check, or one stage of a restore test, came to. */
export interface CheckResult {
  /** Stable kebab-case id, e.g. `backup-age`. */
  id: string
  title: string
  status: CheckStatus
  /** The fact in one line, also when it passed: `37 of 37 parts present at their sizes`. */
  summary: string
  findings: Finding[]
  /** Not carried out, since what an earlier check met stands in its way: as to what it is about, nothing is known. */
  blocked?: true
  details?: Details
  seconds: number
}

/** The verdict over checks: any failure is `failed`; else any required check that could not run is `unverified`. */
export function verdictOf(checks: readonly Pick<CheckResult, 'status'>[]): Verdict {
  if (checks.some((check) => check.status === 'failed')) return 'failed'
  if (checks.some((check) => check.status === 'unverified')) return 'unverified'
  // A run that carried out nothing has proven nothing.
  return checks.some((check) => check.status === 'passed') ? 'passed' : 'unverified'
}

/** The status of a check that ran to its end, by its findings. */
export function statusOf(findings: readonly Finding[]): CheckStatus {
  return findings.some((finding) => finding.severity === 'failure') ? 'failed' : 'passed'
}

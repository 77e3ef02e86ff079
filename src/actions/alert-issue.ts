import { LifeboatError } from '../base/errors.ts'
import type { Finding } from '../base/findings.ts'
import type { Issue, IssueTracker } from '../github/issue-tracker.ts'
import { type AlertPlan, planAlert, REOPEN_DAYS } from '../reports/alert.ts'
import { type FailingCheck, type Outcome, type RunFacts, readLedger } from '../reports/alert-ledger.ts'
import {
  type AlertSubject,
  alertBody,
  alertTitle,
  changeComment,
  isAlertOf,
  recoveryComment,
} from '../reports/alert-page.ts'
import { ALERT_LABEL } from './reporting-inputs.ts'

export interface AlertOptions {
  tracker: IssueTracker
  run: RunFacts
  /** Besides the one by which the issue is found. */
  labels: readonly string[]
  assignees: readonly string[]
  /** Takes out secrets. */
  redact: <T>(value: T) => T
}

/** What was done to the issue. */
export interface AlertDone {
  step: Exclude<AlertPlan['step'], 'nothing'>
  issue: Issue
}

const DAY = 86_400_000

/**
 * Brings the issue of one subject up to date with a run. Two runs that do so at the same time leave one issue: each looks
 * again after it has opened one, and the younger goes. What the later of two updates overwrites comes back with the next
 * run that finds it. `warnings` gets what did not go as asked for, and hinders nothing.
 */
export class AlertIssue {
  readonly warnings: Finding[] = []
  readonly #options: AlertOptions
  readonly #subject: AlertSubject

  constructor(subject: AlertSubject, options: AlertOptions) {
    this.#subject = subject
    this.#options = options
  }

  /** `open` are the open issues with the label. Rejects as the tracker does. */
  async bringUpToDate(outcomes: readonly Outcome[], open: readonly Issue[]): Promise<AlertDone | undefined> {
    const { run } = this.#options
    const [issue, ...doubles] = this.#mine(open)
    if (issue !== undefined) {
      await this.#closeDoubles(doubles, issue)
      return this.#carryOut(issue, outcomes)
    }
    if (outcomes.every(({ status }) => status === 'passed')) return undefined
    const since = new Date(run.at.getTime() - REOPEN_DAYS * DAY)
    const closed = this.#mine(await this.#options.tracker.list(ALERT_LABEL, { closedSince: since }))
    const last = closed
      .filter(({ isDuplicate }) => !isDuplicate)
      .toSorted((a, b) => (b.closedAt?.getTime() ?? 0) - (a.closedAt?.getTime() ?? 0))
      .at(0)
    return this.#carryOut(last, outcomes)
  }

  /** This subject's, by those who may be believed, the oldest first. */
  #mine(issues: readonly Issue[]): Issue[] {
    return issues
      .filter(({ isTrusted, body }) => isTrusted && isAlertOf(this.#subject, body))
      .toSorted((a, b) => a.number - b.number)
  }

  async #carryOut(issue: Issue | undefined, outcomes: readonly Outcome[]): Promise<AlertDone | undefined> {
    const { run, redact } = this.#options
    const ledger = redact(readLedger(issue?.body ?? ''))
    const known = issue && {
      state: issue.state,
      ledger,
      ...(issue.closedAt !== undefined && { closedAt: issue.closedAt }),
    }
    const plan = planAlert(known, outcomes, run)
    if (plan.step === 'nothing') {
      if (issue?.state === 'open' && ledger === undefined) this.#warnOfEdited(issue)
      return undefined
    }
    if (plan.step === 'open' || issue === undefined) return this.#open(plan, outcomes)
    if (plan.step === 'close') await this.#close(issue, plan, ledger?.checks ?? [])
    else await this.#write(issue, plan)
    return { step: plan.step, issue }
  }

  async #open(
    { ledger }: Exclude<AlertPlan, { step: 'nothing' }>,
    outcomes: readonly Outcome[],
  ): Promise<AlertDone | undefined> {
    const { tracker, run, assignees } = this.#options
    const title = alertTitle(this.#subject, ledger, run)
    const labels = await this.#labels()
    const issue = await tracker.create({ title, body: alertBody(this.#subject, ledger, run), labels })
    const [first = issue, ...doubles] = this.#mine(await tracker.list(ALERT_LABEL, 'open'))
    if (first.number < issue.number) {
      await tracker.closeAsDuplicate(issue.number, first)
      return this.#carryOut(first, outcomes)
    }
    await this.#closeDoubles(doubles, first)
    if (!hasLabel(issue, ALERT_LABEL)) this.#warnOfLabel(issue)
    await this.#trying(async () => {
      const others = await tracker.assign(issue.number, assignees)
      if (others.length > 0) this.#warnOfAssignees(issue, others)
    })
    return { step: 'open', issue }
  }

  async #write(issue: Issue, plan: Extract<AlertPlan, { step: 'update' | 'close' | 'reopen' }>): Promise<void> {
    const { tracker, run } = this.#options
    const { ledger, comment } = plan
    const text = { title: alertTitle(this.#subject, ledger, run), body: alertBody(this.#subject, ledger, run) }
    if (plan.step === 'reopen') {
      await tracker.update(issue.number, { ...text, state: 'open', reason: 'reopened' })
      const missing = (await this.#labels()).filter((label) => !hasLabel(issue, label))
      if (missing.length > 0) await this.#trying(() => tracker.addLabels(issue.number, missing))
    } else {
      // Another run, to which everything is well, may have closed it a moment ago.
      await tracker.update(issue.number, { ...text, state: 'open' })
    }
    if (comment !== undefined) await tracker.comment(issue.number, changeComment(comment, ledger, run))
  }

  /** The title stays: it says what it was about. */
  async #close(
    { number }: Issue,
    { ledger, comment }: Extract<AlertPlan, { step: 'update' | 'close' | 'reopen' }>,
    before: readonly FailingCheck[],
  ): Promise<void> {
    const { tracker, run } = this.#options
    if (comment !== undefined) await tracker.comment(number, recoveryComment(before, run))
    const body = alertBody(this.#subject, ledger, run)
    await tracker.update(number, { state: 'closed', reason: 'completed', body })
  }

  async #closeDoubles(doubles: readonly Issue[], original: Issue): Promise<void> {
    const { tracker } = this.#options
    for (const { number } of doubles) await this.#trying(() => tracker.closeAsDuplicate(number, original))
  }

  /** Made where they are missing: GitHub drops labels that it does not know, for those who may not make any. */
  async #labels(): Promise<string[]> {
    const labels = [ALERT_LABEL, ...this.#options.labels]
    for (const label of labels) await this.#trying(() => this.#options.tracker.ensureLabel(label))
    return labels
  }

  /** What is nice to have: without it there is an alert all the same. */
  async #trying(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof LifeboatError) || error.code === 'cancelled') throw error
      this.warnings.push({ severity: 'warning', message: error.message, remedy: error.remedy })
    }
  }

  #warnOfEdited({ number, url }: Issue): void {
    this.warnings.push({
      severity: 'warning',
      message: `Issue ${number} (${url}) was edited, so what fails according to it cannot be read any more`,
      remedy: 'Close it by hand if everything is well.',
    })
  }

  #warnOfLabel({ number, url }: Issue): void {
    this.warnings.push({
      severity: 'warning',
      message: `Issue ${number} (${url}) did not get the label ${ALERT_LABEL}, by which it is found again`,
      remedy: 'Add the label by hand, and give `github-token` the permission to write issues.',
    })
  }

  #warnOfAssignees({ number }: Issue, users: readonly string[]): void {
    this.warnings.push({
      severity: 'warning',
      message: `Issue ${number} could not be assigned to ${users.join(', ')}`,
      remedy: 'Name users with access to the repository in `alert-assignees`.',
    })
  }
}

/** To GitHub `Backup` and `backup` are the same label. */
function hasLabel({ labels }: Issue, name: string): boolean {
  return labels.some((label) => label.toLowerCase() === name.toLowerCase())
}

import { LifeboatError, messageOf } from '../base/errors.ts'
import type { Finding } from '../base/findings.ts'
import { systemClock } from '../base/ports.ts'
import { pingHeartbeat } from '../github/heartbeat.ts'
import type { IssueTracker } from '../github/issue-tracker.ts'
import type { RunContext, Runner } from '../github/runner.ts'
import { jobOutcome, outcomesOf } from '../reports/alert.ts'
import type { Outcome, RunFacts } from '../reports/alert-ledger.ts'
import type { AlertSubject } from '../reports/alert-page.ts'
import type { Report } from '../reports/report.ts'
import { type Silence, silenced } from '../reports/silence.ts'
import { type AlertDone, AlertIssue, type AlertOptions } from './alert-issue.ts'
import { endpointShown } from './common-inputs.ts'
import { gitHubAccess } from './github-access.ts'
import { ALERT_LABEL, type ReportingInputs } from './reporting-inputs.ts'

/** Events at which, as a rule, nobody watches. A called workflow has the event of its caller. */
const UNWATCHED = ['schedule', 'workflow_dispatch', 'repository_dispatch']

/**
 * Tells the issue and the heartbeat how the run ended. Returns what the report is to say of that; whatever goes wrong is a
 * warning, which changes no verdict. Nothing is told of a cancelled run, nor of one that looked at a set chosen by id
 * or time: neither says how the backups are now.
 */
export async function tellOthers(runner: Runner, report: Report, inputs: ReportingInputs): Promise<Finding[]> {
  const isChosen = !['', 'latest', 'proven'].includes(runner.input('backup'))
  if (runner.cancelled.aborted || isChosen) return []
  const told = await Promise.all([
    trying(runner, 'The alert is not up to date', () => alert(runner, report, inputs)),
    trying(runner, 'No heartbeat', () => beat(runner, report, inputs)),
  ])
  return told.flat()
}

async function trying(runner: Runner, title: string, work: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await work()
  } catch (error) {
    if (runner.cancelled.aborted) return []
    if (error instanceof LifeboatError) {
      const { message, remedy } = error
      return [{ severity: 'warning', message: `${title}: ${message}`, remedy }]
    }
    runner.log.debug(error instanceof Error ? (error.stack ?? '') : String(error))
    const remedy = 'This is a defect in pg-lifeboat: please report it with the log.'
    return [{ severity: 'warning', message: `${title}: ${messageOf(error)}`, remedy }]
  }
}

/** A pull request says nothing of whether the schedule lives, which is what a heartbeat is for. */
async function beat(runner: Runner, { verdict }: Report, { heartbeatUrl }: ReportingInputs): Promise<Finding[]> {
  if (heartbeatUrl === undefined || runner.context.isPullRequest) return []
  const options = { env: process.env, clock: systemClock, signal: runner.cancelled }
  await pingHeartbeat(heartbeatUrl, verdict === 'passed', options)
  return []
}

async function alert(runner: Runner, report: Report, inputs: ReportingInputs): Promise<Finding[]> {
  if (!isWanted(inputs.alert, runner.context)) return []
  const tracker = await openTracker(runner, inputs)
  const { alertLabels: labels, alertAssignees: assignees } = inputs
  const run = runFacts(runner, report)
  return keepAlerts(runner, report, { tracker, run, labels, assignees, redact: runner.redact }, inputs.alertSilences)
}

/** Whether an alert is wanted of such a run. */
export function isWanted(
  alert: ReportingInputs['alert'],
  { origin, repository, isFromFork }: Pick<RunContext, 'origin' | 'repository' | 'isFromFork'>,
): boolean {
  if (alert === 'off' || repository === '' || isFromFork) return false
  return alert === 'issue' || UNWATCHED.includes(origin)
}

async function openTracker(runner: Runner, inputs: ReportingInputs): Promise<IssueTracker> {
  const access = gitHubAccess(runner, inputs, { signal: runner.cancelled, otherwise: 'set `alert: off`' })
  // It takes a while to load, and most runs of most people need no alert.
  const { openGitHubIssues } = await import('../github/github-issues.ts')
  return openGitHubIssues(access)
}

function runFacts(runner: Runner, report: Report): RunFacts {
  const { redact } = runner
  const { runUrl, storage } = report
  const endpoint = storage.startsWith('s3:') ? endpointShown(runner, process.env) : undefined
  const workflow = workflowOf(runner, report)
  return {
    at: systemClock.now(),
    storage: redact(storage),
    ...(endpoint !== undefined && { endpoint: redact(endpoint) }),
    ...(workflow !== undefined && { workflow: redact(workflow) }),
    ...(runUrl !== undefined && { url: runUrl }),
  }
}

/** The run's own workflow, if another run of it would be a new backup, or prove one: a part of either is neither. */
export function workflowOf(
  { context: { workflowFile: file }, input }: Pick<Runner, 'input'> & { context: Pick<RunContext, 'workflowFile'> },
  report: Pick<Report, 'kind'> & { partial?: string },
): RunFacts['workflow'] {
  const { kind } = report
  if (file === undefined || kind === 'verify') return undefined
  const isPart = kind === 'dump' ? report.partial !== undefined : input('tables') !== ''
  return isPart ? undefined : { kind, file }
}

/**
 * The issue of the database; where the run ended before it knew which one that is, the issue of the job, which the next
 * run of that job that knows it settles.
 */
async function keepAlerts(
  runner: Runner,
  report: Report,
  options: AlertOptions,
  silences: readonly Silence[],
): Promise<Finding[]> {
  const { workflow, job } = runner.context
  const ofJob = new AlertIssue({ kind: 'job', workflow, job }, options)
  const redacted = runner.redact(report)
  const open = await options.tracker.list(ALERT_LABEL, 'open')
  const { at } = options.run
  if (report.database === 'unknown') {
    const quiet = silenced([jobOutcome(redacted)], silences, at)
    return [...quiet.findings, ...told(runner, ofJob, await ofJob.bringUpToDate(quiet.told, open))]
  }
  const subject: AlertSubject = { kind: 'database', database: report.database }
  const ofDatabase = new AlertIssue(subject, options)
  const quiet = silenced(outcomesOf(redacted), silences, at)
  const findings = told(runner, ofDatabase, await ofDatabase.bringUpToDate(quiet.told, open))
  const gotAsFar: Outcome = { ...jobOutcome(redacted), status: 'passed' }
  return [...quiet.findings, ...findings, ...told(runner, ofJob, await ofJob.bringUpToDate([gotAsFar], open))]
}

const STEPS: Record<AlertDone['step'], string> = {
  open: 'was opened for this',
  update: 'tells of this',
  close: 'was closed: everything has passed again',
  reopen: 'was opened again for this',
}

function told({ log }: Runner, { warnings }: AlertIssue, done: AlertDone | undefined): Finding[] {
  if (done === undefined) return warnings
  const message = `Issue ${done.issue.number} (${done.issue.url}) ${STEPS[done.step]}`
  log.info(message)
  return [...warnings, { severity: 'note', message }]
}

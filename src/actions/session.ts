import { codeOf, LifeboatError } from '../base/errors.ts'
import type { Finding, Verdict } from '../base/findings.ts'
import { type Clock, systemClock } from '../base/ports.ts'
import type { Meter } from '../base/progress.ts'
import { formatDuration } from '../base/units.ts'
import type { Runner, WaitsFor } from '../github/runner.ts'
import { renderLogLines, renderSummary } from '../reports/render.ts'
import type { Report, ReportBase, StageTime } from '../reports/report.ts'
import { openStorage } from '../storage/open.ts'
import type { Storage } from '../storage/storage.ts'
import { databaseInput, type StorageInputs } from './common-inputs.ts'
import { outputsOf } from './outputs.ts'
import { reportingInputsOf } from './reporting-inputs.ts'
import { tellOthers } from './tell.ts'

/** Runs one stage in a group of the log, shows how far it is, and notes how long it took. */
export type RunStage = <T>(
  id: string,
  title: string,
  work: (meter: Meter) => Promise<T>,
  waitsFor?: WaitsFor,
) => Promise<T>

/** What every report begins with; a run that ends early leaves the rest as it is here. */
export function startReport(runner: Runner): ReportBase {
  const { runUrl } = runner.context
  return {
    format: 1,
    verdict: 'unverified',
    database: databaseInput(runner) ?? 'unknown',
    storage: '',
    startedAt: systemClock.now().toISOString(),
    seconds: 0,
    checks: [],
    findings: [],
    ...(runUrl !== undefined && { runUrl }),
  }
}

/** How long the work may take to notice that it has stalled. */
const STOP_MILLISECONDS = 20_000

/** Times stages into `stages`, in the order in which they ended. */
export function stageRunner(runner: Runner, stages: StageTime[], clock: Clock): RunStage {
  const { stallTimeout } = reportingInputsOf(runner)
  return async (id, title, work, waitsFor) => {
    runner.signal.throwIfAborted()
    const began = clock.now().getTime()
    return runner.log.group(title, async () => {
      const value = await runner.progress(title, work, stallTimeout, waitsFor)
      const seconds = (clock.now().getTime() - began) / 1_000
      stages.push({ id, title, seconds })
      runner.log.info(`${title}: ${formatDuration(seconds)}`)
      return value
    })
  }
}

/**
 * Runs the body of an action and, however it ends, tells what the report then says: alert, heartbeat, outputs, summary,
 * JSON, log. An expected failure becomes part of the report first; `verdictOn` says what it makes of the verdict. Rethrows.
 */
export async function reporting<R extends Report>(
  runner: Runner,
  report: R,
  body: (report: R) => Promise<void>,
  verdictOn: (error: unknown) => Verdict = () => 'failed',
): Promise<Verdict> {
  const began = systemClock.now().getTime()
  // Whatever becomes of the other inputs: the token and the address are secrets from now on.
  const inputs = reportingInputsOf(runner)
  try {
    await untilStopped(body(report), runner.signal)
  } catch (thrown) {
    // Whatever a cancelled run ends with is a consequence of that.
    const error: unknown = runner.signal.aborted ? runner.signal.reason : asFullDisk(thrown)
    report.verdict = verdictOn(error)
    if (error instanceof LifeboatError) {
      report.error = { code: error.code, message: error.message, remedy: error.remedy }
    } else {
      const remedy = 'This is a defect in pg-lifeboat: please report it with the log.'
      report.error = { code: 'defect', message: 'The run ended with an unexpected error', remedy }
    }
    throw error
  } finally {
    report.seconds = (systemClock.now().getTime() - began) / 1_000
    report.findings.push(...(await tellOthers(runner, report, inputs)))
    publishReport(runner, report)
  }
  return report.verdict
}

/** The work; some time after the signal its reason, should the work not notice that it is to stop. */
async function untilStopped(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const stopped = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => setTimeout(reject, STOP_MILLISECONDS, signal.reason), { once: true })
  })
  await Promise.race([work, stopped])
}

/** The storage explains its own errors; what else a run writes lies in RUNNER_TEMP. */
function asFullDisk(error: unknown): unknown {
  const code = error instanceof LifeboatError ? undefined : codeOf(error)
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  return new LifeboatError(
    'runner-full',
    `No space is left in RUNNER_TEMP, where this action keeps what it works on (${code})`,
    'Free disk space on the runner, or let the job run on one with a larger disk.',
    { cause: error },
  )
}

function publishReport(runner: Runner, report: Report): void {
  const redacted = runner.redact(report)
  for (const line of renderLogLines(redacted)) runner.log.info(line)
  runner.writeSummary(renderSummary(redacted))
  for (const [name, value] of Object.entries(outputsOf(report, runner.writeReport(report)))) {
    runner.setOutput(name, value)
  }
  for (const check of redacted.checks) {
    if (check.status !== 'failed' && check.status !== 'unverified') continue
    const [worst] = check.findings.filter(({ severity }) => severity === 'failure')
    runner.annotate('error', check.title, annotationOf(worst ?? { message: check.summary }))
  }
  for (const finding of [...redacted.findings, ...redacted.checks.flatMap(({ findings }) => findings)]) {
    if (finding.severity === 'warning') runner.annotate('warning', `action-${report.kind}`, annotationOf(finding))
  }
}

function annotationOf({ message, remedy }: Pick<Finding, 'message' | 'remedy'>): string {
  return remedy === undefined ? message : `${message}\n→ ${remedy}`
}

/** Opens the storage of the inputs; warns where what is written would not outlive the job. */
export async function openStorageOf(runner: Runner, inputs: StorageInputs, report: Report): Promise<Storage> {
  const storage = await openStorage(inputs.storage, {
    env: process.env,
    log: runner.log,
    clock: systemClock,
    ...(inputs.s3Endpoint !== undefined && { endpoint: inputs.s3Endpoint }),
  })
  report.storage = storage.url
  if (runner.context.isHosted && storage.url.startsWith('file:')) {
    report.findings.push({
      severity: 'warning',
      message: `${storage.url} lies on the runner’s own disk, which vanishes with the job`,
      remedy: 'Use an s3:// storage; a file:// storage is for self-hosted runners and for trying things out.',
    })
  }
  return storage
}

import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as core from '@actions/core'
import { LifeboatError, messageOf } from '../base/errors.ts'
import { type Log, systemClock } from '../base/ports.ts'
import { progressLines, type Standing, systemTicker, withProgress } from '../base/progress.ts'
import { formatBytes, formatDuration } from '../base/units.ts'
import { safeLines } from './log-lines.ts'
import { isTerminal, progressBar, StatusLine } from './progress-bar.ts'
import { createRedaction, type Redaction, SHORTEST_SECRET } from './redaction.ts'
import { readContext } from './run-context.ts'
import type { AnnotationLevel, Runner, WaitsFor } from './runner.ts'
import { appendSummary } from './summary-file.ts'

/** The runner keeps 10 annotations of a level and cuts a message at 4,096 characters (actions/runner, ExecutionContext.cs). */
const MOST_ANNOTATIONS = 10
const LONGEST_MESSAGE = 4_096

const ANNOTATE = { error: core.error, warning: core.warning, notice: core.notice }

/** Text as safe lines without secrets. */
type Clean = (text: string) => string[]

const TEMP_STATE = 'temp'
const POST_STATE = 'is-post'

/**
 * The GitHub Actions runner. `env` is the process's own environment: @actions/core reads and writes that one. Outside a
 * workflow the commands that nobody would obey, and that would show a secret on the terminal, are left out.
 */
export function actionsRunner(env: NodeJS.ProcessEnv = process.env): Runner {
  const redaction = createRedaction()
  // Redacted before the lines are cut, for secrets that span some; and after, for what the cleaning put together.
  const clean: Clean = (text) => safeLines(redaction.redact(text)).map(redaction.redact)
  const status = isTerminal(process.stdout, env) ? new StatusLine(process.stdout) : undefined
  const log = actionsLog(clean, status)
  const isPost = env[`STATE_${POST_STATE}`] === 'true'
  const saveState = (name: string, value: string) => {
    if (env.GITHUB_STATE) core.saveState(name, value)
  }
  const temp = once(() => stepTemp(env, saveState))
  const cancelled = once(cancellation)
  const stall = new AbortController()
  const signal = once(() => AbortSignal.any([cancelled(), stall.signal]))

  if (!isPost) saveState(POST_STATE, 'true')

  return {
    input: (name) => core.getInput(name),
    setOutput: (name, value) => {
      if (env.GITHUB_OUTPUT) core.setOutput(name, value)
    },
    mask: (secret) => maskSecret(secret, redaction, log, env.GITHUB_ACTIONS === 'true'),
    redact: redaction.redact,
    annotate: annotator(clean, log, status),
    writeSummary: (markdown) => {
      try {
        appendSummary(env.GITHUB_STEP_SUMMARY, redaction.redact(markdown))
      } catch (error) {
        log.warning(`The job summary could not be written: ${messageOf(error)}`)
      }
    },
    writeReport: (report) => {
      try {
        const path = join(makeTemp(env, 'pg-lifeboat-report-'), 'report.json')
        writeFileSync(path, `${JSON.stringify(redaction.redact(report), null, 2)}\n`, { mode: 0o600 })
        return path
      } catch (error) {
        log.warning(`The report could not be written: ${messageOf(error)}`)
        return ''
      }
    },
    log,
    progress: (title, work, stallSeconds = 0, waitsFor = 'database') => {
      const view = status === undefined ? progressLines(log) : progressBar(status)
      const onStall = (standing: Standing) => stall.abort(stalled(title, standing, waitsFor))
      const guard = { afterSeconds: stallSeconds, onStall }
      return withProgress({ clock: systemClock, ticker: systemTicker, view, guard }, work)
    },
    saveState,
    state: (name) => core.getState(name),
    get temp() {
      return temp()
    },
    get signal() {
      return signal()
    },
    get cancelled() {
      return cancelled()
    },
    context: readContext(env),
    isPost,
  }
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

function maskSecret(secret: string, redaction: Redaction, log: Log, isObeyed: boolean): void {
  const text = secret.trim()
  if (text === '') return
  const lines = redaction.add(text)
  if (isObeyed) for (const line of lines) core.setSecret(line)
  if (text.length < SHORTEST_SECRET) {
    log.warning(`A secret of fewer than ${SHORTEST_SECRET} characters is not masked: it would hide unrelated text.`)
  }
}

function annotator(clean: Clean, log: Log, status: StatusLine | undefined): Runner['annotate'] {
  const made: Record<AnnotationLevel, number> = { error: 0, warning: 0, notice: 0 }
  return (level, title, message) => {
    const text = clean(message).join('\n').slice(0, LONGEST_MESSAGE)
    const heading = clean(title).join(' ')
    made[level] += 1
    status?.clear()
    if (made[level] > MOST_ANNOTATIONS) log.info(`${level}: ${heading}: ${text}`)
    else ANNOTATE[level](text, { title: heading })
  }
}

function stepTemp(env: NodeJS.ProcessEnv, saveState: Runner['saveState']): string {
  const temp = core.getState(TEMP_STATE) || makeTemp(env, 'pg-lifeboat-')
  mkdirSync(temp, { recursive: true, mode: 0o700 })
  saveState(TEMP_STATE, temp)
  return temp
}

/** `status`: what every line has to clear away first. */
function actionsLog(clean: Clean, status: StatusLine | undefined): Log {
  let open = 0
  const print = (prefix: string) => (text: string) => {
    status?.clear()
    for (const line of clean(text)) core.info(prefix + line)
  }
  return {
    info: print(''),
    warning: print('Warning: '),
    debug: (text) => {
      status?.clear()
      core.debug(clean(text).join('\n'))
    },
    group: async (title, work) => {
      const heading = clean(title).join(' ')
      status?.clear()
      // Groups do not nest in the runner: the first end would close them all.
      if (open === 0) core.startGroup(heading)
      else core.info(heading)
      open += 1
      try {
        return await work()
      } finally {
        open -= 1
        status?.clear()
        if (open === 0) core.endGroup()
      }
    },
  }
}

function makeTemp(env: NodeJS.ProcessEnv, prefix: string): string {
  return mkdtempSync(join(env.RUNNER_TEMP || tmpdir(), prefix))
}

/** The runner sends SIGINT when a run is cancelled or times out, SIGTERM 7.5 s later, and kills the tree after 10 s. */
function cancellation(): AbortSignal {
  const controller = new AbortController()
  const cancel = (name: NodeJS.Signals) =>
    controller.abort(
      new LifeboatError(
        'cancelled',
        `The run was cancelled (${name}).`,
        'Start it again; if nobody cancelled it, raise `timeout-minutes` of the job.',
      ),
    )
  process.on('SIGINT', cancel)
  process.on('SIGTERM', cancel)
  return controller.signal
}

/** What a phase that came to a halt ends with. */
function stalled(title: string, { bytes, total, idleSeconds }: Standing, waitsFor: WaitsFor): LifeboatError {
  const of = total === undefined ? '' : ` of ${total.isEstimate ? 'about ' : ''}${formatBytes(total.bytes)}`
  const message = `${title}: no byte has moved for ${formatDuration(idleSeconds)}, after ${formatBytes(bytes)}${of}`
  const again = 'then run it again. Where such a pause is usual, raise `stall-timeout`.'
  if (waitsFor === 'storage') {
    const remedy = `See the status of the storage, and the network on the way to it; ${again}`
    return new LifeboatError('storage-stalled', message, remedy)
  }
  const query = 'SELECT pid, state, wait_event_type, wait_event, query FROM pg_stat_activity'
  const remedy = `See what the database waits for (\`${query}\`), the status of the storage, and the network in between; ${again}`
  return new LifeboatError('stalled', message, remedy)
}

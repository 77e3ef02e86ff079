/**
 * Shows the whole of it on this machine; `npm run demo`. A PostgreSQL server with the example database (or, with
 * DATABASE_URL, a database of your own, which is only read), and the three bundled actions, run as a runner runs them:
 * dump to a directory below .demo/, verify, restore test. Stops what it started, also after Ctrl-C.
 */
import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import { LifeboatError, messageOf } from '../src/base/errors.ts'
import { formatDuration } from '../src/base/units.ts'
import { type DemoSource, openDemoSource } from './lib/demo-source.ts'
import { type Job, type StepResult, startJob } from './lib/local-runner.ts'
import { ROOT } from './lib/run.ts'

const FOLDER = path.join(ROOT, '.demo')
const STEP_TIMEOUT_SECONDS = 600

interface Step {
  action: string
  title: string
  inputs: Record<string, string>
}

interface Outcome {
  step: Step
  result: StepResult
  files: string[]
}

async function main(): Promise<number> {
  prepare()
  await rm(FOLDER, { recursive: true, force: true })
  await mkdir(FOLDER, { recursive: true })
  const signal = abortOnSignals()
  say('Starting the database')
  const started = performance.now()
  const source = await openDemoSource({ parent: FOLDER, env: process.env, signal })
  try {
    say(`  ${source.description}, ready after ${formatDuration((performance.now() - started) / 1_000)}`)
    const outcomes = await runSteps(await planSteps(source), source, signal)
    return report(outcomes)
  } finally {
    await source.stop()
  }
}

function prepare(): void {
  if (process.env.DATABASE_URL) return
  const script = path.join(ROOT, 'scripts/prepare.sh')
  const { status } = spawnSync(script, ['--for', 'demo', ...process.argv.slice(2)], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

/** Aborts at the first SIGINT or SIGTERM; those that follow find the clean-up under way. */
function abortOnSignals(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) return
      say('Stopping')
      controller.abort()
    })
  }
  return controller.signal
}

/** The three steps; the backup is encrypted to a key that is made for this run. */
async function planSteps(source: DemoSource): Promise<Step[]> {
  const identity = await generateIdentity()
  await writeFile(path.join(FOLDER, 'identity.txt'), `${identity}\n`, { mode: 0o600 })
  const storage = `file://${path.join(FOLDER, 'storage')}`
  const recipients = await identityToRecipient(identity)
  return [
    {
      action: 'action-dump',
      title: 'Dump',
      inputs: { storage, 'database-url': source.url, label: 'demo', recipients },
    },
    { action: 'action-verify', title: 'Verify', inputs: { storage, mode: 'integrity', identity } },
    { action: 'action-restore-test', title: 'Restore test', inputs: { storage, identity, ...source.restoreInputs } },
  ]
}

/** Runs one step after the other in one job, until one is not green. */
async function runSteps(steps: readonly Step[], source: DemoSource, signal: AbortSignal): Promise<Outcome[]> {
  const job = await startJob({ temp: path.join(FOLDER, 'job'), env: source.env })
  const outcomes: Outcome[] = []
  try {
    for (const step of steps) {
      if (signal.aborted) break
      say(`\n${step.title}`)
      const outcome = await runStep(job, step, signal)
      outcomes.push(outcome)
      if (outcome.result.outputs.verdict !== 'passed') break
    }
  } finally {
    const { posts, orphans } = await job.finish()
    for (const post of posts.filter(({ conclusion }) => conclusion !== 'success')) say(post.log.join('\n'))
    for (const { pid, command } of orphans) say(`Process ${pid} was left running, and is stopped now: ${command}`)
  }
  return outcomes
}

async function runStep(job: Job, step: Step, signal: AbortSignal): Promise<Outcome> {
  const { action, inputs } = step
  const timeoutSeconds = STEP_TIMEOUT_SECONDS
  const result = await job.run({ action, inputs, signal, timeoutSeconds, onLine: (line, phase) => show(line, phase) })
  const name = action.replace('action-', '')
  const files: string[] = []
  if (result.summary !== '') {
    files.push(path.join(FOLDER, `summary-${name}.md`))
    await writeFile(files.at(-1) ?? '', result.summary)
  }
  if (result.outputs.report) {
    files.push(path.join(FOLDER, `report-${name}.json`))
    await copyFile(result.outputs.report, files.at(-1) ?? '')
  }
  return { step, result, files }
}

/** A line of an action's log, as a terminal can show it. */
function show(line: string, phase: 'main' | 'post'): void {
  if (phase === 'post' || line.startsWith('##[endgroup]') || line.startsWith('##[debug]')) return
  const marks: Record<string, string> = { group: '', error: 'error: ', warning: 'warning: ', notice: 'notice: ' }
  say(`  ${line.replace(/^##\[(\w+)\]/, (_, command: string) => marks[command] ?? '')}`)
}

/** Prints the verdicts; returns the exit code. */
function report(outcomes: readonly Outcome[]): number {
  say('')
  for (const { step, result, files } of outcomes) {
    const verdict = result.outputs.verdict ?? result.conclusion
    const shown = files.map((file) => path.relative(process.cwd(), file)).join('  ')
    say(`${step.title.padEnd(14)}${verdict.padEnd(12)}${formatDuration(result.seconds).padStart(8)}  ${shown}`)
  }
  const passed = outcomes.filter(({ result }) => result.conclusion === 'success' && result.outputs.verdict === 'passed')
  if (passed.length === 3) {
    const shown = (name: string) => path.relative(process.cwd(), path.join(FOLDER, name))
    say(`\nThe backup set is in ${shown('storage')}, the key that opens it in ${shown('identity.txt')}.`)
    return 0
  }
  say(`\n${passed.length} of 3 steps passed.`)
  return 1
}

function say(text: string): void {
  console.log(text)
}

try {
  process.exitCode = await main()
} catch (error) {
  const interrupted = error instanceof Error && error.name === 'AbortError'
  const text = error instanceof LifeboatError ? `${error.message}\n${error.remedy}` : messageOf(error)
  console.error(interrupted ? 'The demo was interrupted.' : text)
  process.exitCode = 1
}

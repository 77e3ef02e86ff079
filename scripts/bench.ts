/**
 * Measures the actions against plain tools on this machine; `npm run bench`. Builds databases on a server of its own,
 * runs the bundled actions and their baselines in turn, proves what was timed by restoring it, and prints a table.
 * `npm run bench -- --help` has the options. Stops what it started, also after Ctrl-C.
 */
import { spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { LifeboatError, messageOf } from '../src/base/errors.ts'
import { formatDuration } from '../src/base/units.ts'
import { type Outcome, writeDocument } from './bench/document.ts'
import { chooseExperiments, EXPERIMENTS } from './bench/experiments.ts'
import { describeMachine, machineSentence } from './bench/machine.ts'
import { type BenchOptions, readOptions, USAGE } from './bench/options.ts'
import { renderProfiles } from './bench/profile.ts'
import { renderProcessorTime, renderText } from './bench/table.ts'
import type { Experiment } from './bench/types.ts'
import { openWorkbench, type Workbench } from './bench/workbench.ts'
import { ROOT } from './lib/run.ts'

async function main(options: BenchOptions, experiments: readonly Experiment[]): Promise<number> {
  const { status } = spawnSync(path.join(ROOT, 'scripts/prepare.sh'), ['--for', 'test'], { stdio: 'inherit' })
  if (status !== 0) return status ?? 1
  const signal = abortOnSignals()
  const bench = await openWorkbench(options, signal)
  const began = performance.now()
  const { scale, rounds, major } = options
  const startedAt = new Date().toISOString()
  const machine = describeMachine(bench)
  const outcome: Outcome = { startedAt, seconds: 0, machine, options: { scale, rounds, major }, lines: [], samples: {} }
  try {
    console.log(`${machineSentence(machine)} Scale ${scale}, ${rounds} rounds.`)
    await runAll(bench, experiments, outcome)
  } finally {
    await bench.close()
    outcome.seconds = (performance.now() - began) / 1_000
    await report(outcome, options)
  }
  if (options.writeDocs) await writeDocument(outcome)
  return 0
}

/** Aborts at the first signal; those that follow find the clean-up under way. */
function abortOnSignals(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) return
      console.log('Stopping')
      controller.abort()
    })
  }
  return controller.signal
}

async function runAll(bench: Workbench, experiments: readonly Experiment[], outcome: Outcome): Promise<void> {
  for (const [index, experiment] of experiments.entries()) {
    console.log(`\n${experiment.title} (${index + 1}/${experiments.length})`)
    for (const name of experiment.databases) await bench.prepare(name)
    const { lines, samples } = await experiment.run(bench)
    outcome.lines.push(...lines)
    outcome.samples[experiment.id] = samples
    for (const { id, result, target, verdict } of lines) console.log(`  ${id}: ${result} (${target}): ${verdict}`)
    const later = new Set(experiments.slice(index + 1).flatMap(({ databases }) => databases))
    for (const name of experiment.databases) if (!later.has(name)) await bench.forget(name)
  }
}

/** Prints what there is and keeps it, also of a run that ended early. */
async function report(outcome: Outcome, options: BenchOptions): Promise<void> {
  if (outcome.lines.length === 0) return
  for (const [id, samples] of Object.entries(outcome.samples)) {
    if (Object.keys(samples).length > 0) console.log(`\n${id}, medians in seconds\n${renderProcessorTime(samples)}`)
  }
  console.log(`\n${renderText(outcome.lines)}`)
  if (options.profile !== undefined) console.log(`\n${await renderProfiles(options.profile)}`)
  await mkdir(path.dirname(options.json), { recursive: true })
  await writeFile(options.json, `${JSON.stringify(outcome, null, 2)}\n`)
  console.log(`\n${formatDuration(outcome.seconds)}; figures in ${path.relative(process.cwd(), options.json)}`)
}

function readArguments(args: readonly string[]): { options: BenchOptions; experiments: Experiment[] } | undefined {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(USAGE)
    return undefined
  }
  const options = readOptions(args)
  const experiments = chooseExperiments(EXPERIMENTS, options.only)
  if (!options.list) return { options, experiments }
  for (const { id, lines, title } of experiments) {
    console.log(`${id.padEnd(22)}${title}${lines.length > 0 ? ` (${lines.join(', ')})` : ''}`)
  }
  return undefined
}

try {
  const read = readArguments(process.argv.slice(2))
  if (read) process.exitCode = await main(read.options, read.experiments)
} catch (error) {
  const interrupted = error instanceof Error && error.name === 'AbortError'
  const usage = error instanceof TypeError ? `${error.message}\n\n${USAGE}` : undefined
  const text = error instanceof LifeboatError ? `${error.message}\n${error.remedy}` : (usage ?? messageOf(error))
  console.error(interrupted ? 'The benchmark was interrupted.' : text)
  process.exitCode = 1
}

import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { SCRATCH_PREFIX } from '../../src/postgres/scratch-directory.ts'
import { startJob } from '../lib/local-runner.ts'
import { type MeterOptions, measure, perTime } from './measure.ts'
import { profilingEnvironment } from './profile.ts'
import type { Sample } from './types.ts'
import type { Workbench } from './workbench.ts'

export interface ActionRun {
  action: 'action-dump' | 'action-verify' | 'action-restore-test'
  inputs: Record<string, string>
  env?: Record<string, string>
  /** What is watched besides time. `disk`: the allocated bytes of RUNNER_TEMP, without scratch clusters. */
  watch?: { memory?: boolean; disk?: boolean }
  /** The source server's processor time is noted, too. */
  readsSource?: boolean
}

/** What an action's report JSON holds, as far as it is looked at here. */
export interface Report {
  verdict: string
  seconds: number
  snapshotHeldSeconds?: number
  pausedSeconds?: number
  stages?: { id: string; seconds: number }[]
  totals?: { rows: number; parts: number; largeObjects: number; storedBytes: number; plainBytes: number }
  rowsProven?: number
}

export type Action = Sample & { report: Report; outputs: Record<string, string> }

/**
 * Runs one action as a runner does: its bundle, in a process of its own, in a job of its own. `seconds` is the main step,
 * from its process's start to its end. Rejects unless the verdict is `passed` and nothing was left running.
 */
export async function runAction(bench: Workbench, run: ActionRun): Promise<Action> {
  const { signal, options, toolEnvironment, source } = bench
  const directory = await bench.directory('job')
  const profiling = options.profile === undefined ? {} : profilingEnvironment(path.join(options.profile, run.action))
  const job = await startJob({ temp: directory, env: { ...toolEnvironment, ...run.env, ...profiling } })
  const temp = job.environment().RUNNER_TEMP ?? ''
  const meter: MeterOptions = {
    ...(run.readsSource && { serverPid: source.pid }),
    ...(run.watch?.memory && { memory: true }),
    ...(run.watch?.disk && { disk: { directory: temp, except: SCRATCH_PREFIX } }),
  }
  const action = path.join(options.actions, run.action)
  const step = { action, inputs: run.inputs, signal, timeoutSeconds: 3_600 }
  try {
    const { value: result, ...sample } = await measure(meter, () => job.run(step))
    signal.throwIfAborted()
    const report = await readReport(result.outputs.report)
    if (report?.verdict !== 'passed') {
      throw new Error(`${run.action} was to pass, and ${result.conclusion}:\n${result.log.slice(-30).join('\n')}`)
    }
    return { ...sample, extra: { ...sample.extra, ...figuresOf(report) }, report, outputs: result.outputs }
  } finally {
    const { orphans } = await job.finish()
    await rm(directory, { recursive: true, force: true })
    for (const { command } of orphans) bench.say(`  left running, and stopped now: ${command}`)
  }
}

/** What lines look at besides the time of the whole: seconds, by the report. */
function figuresOf({ snapshotHeldSeconds, pausedSeconds, stages = [] }: Report): Record<string, number> {
  return {
    ...(snapshotHeldSeconds !== undefined && { snapshotHeld: snapshotHeldSeconds }),
    ...(pausedSeconds !== undefined && { paused: pausedSeconds }),
    ...Object.fromEntries(stages.map(({ id, seconds }) => [`stage ${id}`, seconds])),
  }
}

async function readReport(file: string | undefined): Promise<Report | undefined> {
  return file ? (JSON.parse(await readFile(file, 'utf8')) as Report) : undefined
}

/** The processor time of an action that is told nothing, and so ends at its first input error. */
export async function runUntilInputError(
  bench: Workbench,
  action: ActionRun['action'],
  times: number,
): Promise<Sample> {
  const directory = await bench.directory('job')
  const job = await startJob({ temp: directory, env: bench.toolEnvironment })
  const once = () => job.run({ action: path.join(bench.options.actions, action), signal: bench.signal })
  try {
    const { value: _, ...sample } = await measure({}, async () => {
      let seconds = 0
      for (let time = 0; time < times; time += 1) {
        const result = await once()
        bench.signal.throwIfAborted()
        if (result.exitCode !== 1) throw new Error(`${action} without inputs ended with ${result.exitCode}`)
        seconds += result.seconds
      }
      return { seconds: seconds / times }
    })
    return perTime(sample, times)
  } finally {
    await job.finish()
    await rm(directory, { recursive: true, force: true })
  }
}

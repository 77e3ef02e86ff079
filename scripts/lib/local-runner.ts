import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type ActionFile, inputEnvironment, readActionFile } from './action-file.ts'
import {
  createCommandFiles,
  type FileCommand,
  readCommandFiles,
  takeCommandFiles,
  type Written,
} from './file-commands.ts'
import { jobEnvironment, nodeFor, postApplies } from './job-environment.ts'
import { findLasting, killOrphans, type Orphan } from './orphans.ts'
import { type Interruption, superviseStep } from './step-process.ts'
import { type Annotation, CommandReader, Masks, type WorkflowCommand } from './workflow-commands.ts'

export type Conclusion = 'success' | 'failure' | 'cancelled'

/** What one step (an action's main or its post) came to, as the runner sees it once the step has ended. */
export interface StepResult extends Omit<Written, 'unreadable'> {
  conclusion: Conclusion
  /** Null where a signal ended the process. */
  exitCode: number | null
  signal: NodeJS.Signals | null
  timedOut: boolean
  /** Exactly what was written, unmasked: for tests that look for secrets. */
  stdout: string
  stderr: string
  files: Record<FileCommand, string>
  /** The lines of the job's log: commands obeyed, secrets masked. */
  log: string[]
  annotations: Annotation[]
  /** Every workflow command that the runner would have obeyed, wherever it came from. */
  commands: WorkflowCommand[]
  masks: string[]
  seconds: number
}

/** The main step's result, with its post step's and with the processes that outlived the job (killed by then). */
export interface ActionResult extends StepResult {
  post?: StepResult
  orphans: Orphan[]
}

export interface StepOptions {
  /** The folder that holds `action.yml`: `action-dump`, or an absolute path. */
  action: string
  inputs?: Record<string, string>
  /** Variables for this step alone. */
  env?: Record<string, string>
  /** After which a step is cancelled, as by `timeout-minutes`; default 600. */
  timeoutSeconds?: number
  /** Sends something to the main step once a line of its log matches, or once the promise settles. */
  interrupt?: Interruption
  /** Cancels the main step, as a user who cancels the run. */
  signal?: AbortSignal
  /** Every line that the log shows, while it runs. */
  onLine?: (line: string, phase: 'main' | 'post') => void
}

export interface JobOptions {
  /** Everything that the job writes is below: RUNNER_TEMP, the tool cache, the command files, the workspace. */
  temp: string
  /** Variables for all its steps. */
  env?: Record<string, string>
  /** `token` and whatever else of `${{ github.… }}` the defaults in action.yml look up. */
  github?: Record<string, string>
  /** Default: `push` with an empty payload, an event of which nobody is alerted. */
  event?: { name: string; payload?: unknown }
  workspace?: string
}

/** A job whose steps share RUNNER_TEMP, masks, and what they set for each other. */
export interface Job {
  /** The environment of the next step, without inputs: what a `run:` step would see. */
  environment(): Record<string, string>
  run(options: StepOptions): Promise<StepResult>
  /** Runs the post steps, last first, then looks for processes that were left behind, and kills them. */
  finish(): Promise<{ posts: StepResult[]; orphans: Orphan[] }>
}

interface JobState {
  directory: string
  workspace: string
  variables: Record<string, string>
  paths: string[]
  github: Record<string, string>
  masks: Masks
  status: Conclusion
  posts: { action: ActionFile; env: Record<string, string>; main: StepResult; options: StepOptions }[]
}

/**
 * Runs one JavaScript action as a job of its own: main, post, and a look for what it left running.
 * Emulates what an action can notice of GitHub's runner (github.com/actions/runner): inputs from action.yml, the file
 * commands and their limits, commands on stdout and stderr, masks, the signals of a cancellation, the post step with its
 * state. A step that fails is a result; only a misuse of this function rejects (an unknown input, no action.yml).
 */
export async function runAction(options: StepOptions & JobOptions): Promise<ActionResult> {
  const { env, ...step } = options
  const job = await startJob({ ...options, env: env ?? {} })
  const main = await job.run(step)
  const { posts, orphans } = await job.finish()
  return { ...main, ...(posts[0] ? { post: posts[0] } : {}), orphans }
}

/** Starts a job: several steps, then `finish()`. */
export async function startJob(options: JobOptions): Promise<Job> {
  const directory = path.resolve(options.temp)
  const workspace = path.resolve(options.workspace ?? path.join(directory, 'workspace'))
  const event = options.event ?? { name: 'push' }
  const job: JobState = {
    directory,
    workspace,
    variables: { ...jobEnvironment(directory, workspace, event.name), ...options.env },
    paths: [],
    github: options.github ?? {},
    masks: new Masks(),
    status: 'success',
    posts: [],
  }
  if (job.github.token) job.masks.add(job.github.token)
  for (const folder of [workspace, ...['temp', 'tools', 'commands'].map((name) => path.join(directory, name))]) {
    await mkdir(folder, { recursive: true })
  }
  await writeFile(path.join(directory, 'event.json'), JSON.stringify(event.payload ?? {}))
  return { environment: () => environmentOf(job), run: (step) => runMain(job, step), finish: () => finishJob(job) }
}

function environmentOf(job: JobState): Record<string, string> {
  return { ...job.variables, PATH: [...job.paths, job.variables.PATH ?? ''].join(':') }
}

async function runMain(job: JobState, options: StepOptions): Promise<StepResult> {
  const action = await readActionFile(options.action)
  const { RUNNER_TEMP: temp = '', RUNNER_TOOL_CACHE: toolCache = '' } = job.variables
  const inputs = inputEnvironment(action, options.inputs ?? {}, {
    github: job.github,
    runner: { temp, tool_cache: toolCache, os: 'Linux' },
    job: { status: job.status },
  })
  const env = { ...options.env, ...inputs }
  const main = await runStep(job, { action, script: action.runs.main, env, phase: 'main', options })
  Object.assign(job.variables, main.env)
  job.paths.unshift(...main.path.toReversed())
  if (job.status === 'success') job.status = main.conclusion
  if (action.runs.post !== undefined) job.posts.push({ action, env, main, options })
  return main
}

async function finishJob(job: JobState): Promise<{ posts: StepResult[]; orphans: Orphan[] }> {
  const posts: StepResult[] = []
  for (const { action, env, main, options } of job.posts.splice(0).reverse()) {
    const { post: script, postIf } = action.runs
    if (script === undefined || !postApplies(postIf, job.status)) continue
    const state = Object.entries(main.state).map(([name, value]) => [`STATE_${name}`, value])
    const { interrupt: _, signal: __, ...rest } = options
    const postEnv = { ...env, ...Object.fromEntries(state) }
    posts.push(await runStep(job, { action, script, env: postEnv, phase: 'post', options: rest }))
  }
  const trackingId = job.variables.RUNNER_TRACKING_ID ?? ''
  const orphans = await findLasting(trackingId)
  await killOrphans(trackingId, orphans)
  return { posts, orphans }
}

interface StepPlan {
  action: ActionFile
  script: string
  env: Record<string, string>
  phase: 'main' | 'post'
  options: StepOptions
}

async function runStep(job: JobState, { action, script, env, phase, options }: StepPlan): Promise<StepResult> {
  const commandFiles = await createCommandFiles(path.join(job.directory, 'commands'))
  const reader = new CommandReader(job.masks)
  const log: string[] = []
  const started = performance.now()
  const ending = await superviseStep({
    command: nodeFor(action.runs.using),
    args: [path.join(action.folder, script)],
    cwd: job.workspace,
    env: { ...environmentOf(job), ...env, ...commandFiles, GITHUB_ACTION_PATH: action.folder },
    timeoutSeconds: options.timeoutSeconds ?? 600,
    ...(options.interrupt ? { interrupt: options.interrupt } : {}),
    ...(options.signal ? { signal: options.signal } : {}),
    readLine: (line) => {
      const shown = reader.read(line)
      if (shown === undefined) return undefined
      log.push(shown)
      options.onLine?.(shown, phase)
      return shown
    },
  })
  const seconds = (performance.now() - started) / 1_000
  const files = await readCommandFiles(commandFiles)
  const { unreadable, ...written } = takeCommandFiles(files, reader, job.masks)
  const { cancelled, ...end } = ending
  const failed = end.exitCode !== 0 || end.timedOut || unreadable
  const conclusion: Conclusion = cancelled ? 'cancelled' : failed ? 'failure' : 'success'
  const { annotations, commands } = reader
  const masks = [...job.masks.values]
  return { conclusion, ...end, ...written, files, log, annotations, commands, masks, seconds }
}

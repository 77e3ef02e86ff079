import type { Log } from '../base/ports.ts'
import type { Meter } from '../base/progress.ts'

export type AnnotationLevel = 'error' | 'warning' | 'notice'

/** Where and why the step runs. */
export interface RunContext {
  /** `schedule`, `workflow_dispatch`, `pull_request`, …; `local` outside a workflow. */
  event: string
  /** The event that it goes back to: of a `workflow_run` that of the run before, if it is told; else `event`. */
  origin: string
  /** `owner/name`, or '' outside a workflow. */
  repository: string
  runId?: string
  /** The page of this run attempt, if there is one. */
  runUrl?: string
  actor?: string
  ref: string
  /** Where schedules run; undefined: the event does not tell. */
  defaultBranch?: string
  /** Whether a pull request, from this repository or a fork, started the run, or the one that it follows. */
  isPullRequest: boolean
  /** Whether that pull request is a stranger's: it comes from another repository, or from Dependabot, whom GitHub treats alike. */
  isFromFork: boolean
  /** Whether the machine is GitHub's and vanishes with the job. */
  isHosted: boolean
  workflow: string
  /** The name of the file in .github/workflows that this run is of; of a called workflow, the caller's. */
  workflowFile?: string
  job: string
}

/** What a phase cannot go on without; `database`: the storage too. */
export type WaitsFor = 'database' | 'storage'

/** Everything that an action says to, or learns from, whatever runs it. */
export interface Runner {
  /** The input's value, trimmed; '' when it is missing. */
  input(name: string): string
  /** Sets an output of the step. The value is passed on as it is: later steps need `database-url` unredacted. */
  setOutput(name: string, value: string | number): void
  /** Keeps a secret, and each of its lines, out of everything that leaves. Fewer than 4 characters: warned about, not masked. */
  mask(secret: string): void
  /** The value with every masked secret replaced by `***`, in every string that it holds (property names are left alone). */
  redact<T>(value: T): T
  /** An annotation of the run; beyond 10 of a level only a log line. */
  annotate(level: AnnotationLevel, title: string, message: string): void
  /** Adds Markdown to the job summary. Never throws: a summary that cannot be written is a warning in the log. */
  writeSummary(markdown: string): void
  /** Writes a redacted report as JSON to a file that outlives the step's `temp`; its path. Never throws: '' and a warning in the log. */
  writeReport(report: object): string
  readonly log: Log
  /**
   * Runs one phase of work and shows how far it is: as log lines, rarer and rarer; in a terminal, as a bar. A phase whose
   * bytes do not move for `stallSeconds` (0: however long) aborts `signal`, for a reason that names what it `waitsFor`.
   */
  progress<T>(title: string, work: (meter: Meter) => Promise<T>, stallSeconds?: number, waitsFor?: WaitsFor): Promise<T>
  /** Keeps a value for the post step. Call it before the side effect that the post step is to undo. */
  saveState(name: string, value: string): void
  /** What main saved under that name; '' when there is nothing. */
  state(name: string): string
  /** A directory (0700) of this step alone; its post step gets the same one. Whoever fills it empties it. */
  readonly temp: string
  /** Aborted when the work is to stop; the reason is a LifeboatError with the code `cancelled`, `stalled` or `storage-stalled`. */
  readonly signal: AbortSignal
  /** Aborted on SIGINT and SIGTERM alone: for what is still to be told after a stall. */
  readonly cancelled: AbortSignal
  readonly context: RunContext
  /** Whether this process is the step's post step. */
  readonly isPost: boolean
}

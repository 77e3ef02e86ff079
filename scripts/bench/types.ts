import type { DatabaseName } from './databases.ts'
import type { Workbench } from './workbench.ts'

/** What one run of one subject came to. */
export interface Sample {
  seconds: number
  /** User and system time of all processes that the run started, without the source server's. */
  cpuSeconds: number
  /** The same by program, sampled: the last moments of a process may be missing. */
  cpuByProgram: Record<string, number>
  /** User and system time that the source server spent meanwhile; absent where it was not asked. */
  serverCpuSeconds?: number
  /** Whatever else a line looks at, in seconds or bytes. */
  extra: Record<string, number>
}

/** One of the things that are compared: our action, or a baseline. */
export interface Subject {
  name: string
  /** At most that many rounds: for what takes long. */
  rounds?: number
  run(): Promise<Sample>
}

export type Samples = Record<string, Sample[]>

/** `not there yet`: no action has the feature. */
export type LineVerdict = 'met' | 'missed' | 'not there yet'

/** A line of the table. */
export interface LineResult {
  id: string
  what: string
  against: string
  target: string
  ours: string
  baseline: string
  result: string
  /** The smallest and the largest result of a round. */
  spread: string
  /** The ratio of the processor time, the source server's included: what is left of the result on a quiet machine. */
  cpu: string
  verdict: LineVerdict
  /** What the texts were made of: seconds, bytes, ratios, counts. */
  values: Record<string, number>
}

export interface ExperimentResult {
  lines: LineResult[]
  samples: Samples
}

/** Runs that are made together, on one database, and the lines that they give. */
export interface Experiment {
  id: string
  title: string
  /** Words by which `--only` finds it, besides its id. */
  lines: readonly string[]
  databases: readonly DatabaseName[]
  run(bench: Workbench): Promise<ExperimentResult>
}

export type { Workbench }

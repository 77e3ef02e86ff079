import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'

/** The runner's patience with a cancelled step: SIGINT, then SIGTERM, then SIGKILL. */
const CANCEL_GRACE = { sigtermAfterMs: 7_500, sigkillAfterMs: 2_500 }

/** How long the output of a process that has ended may stay open, held by a process that it left behind. */
const DRAIN_MS = 5_000

/** `cancel`: what the runner does when a run is cancelled; a signal is sent as it is, once. */
export interface Interruption {
  when: RegExp | (() => Promise<unknown>)
  with: 'cancel' | NodeJS.Signals
}

export interface StepCall {
  command: string
  args: readonly string[]
  cwd: string
  env: Record<string, string>
  timeoutSeconds: number
  interrupt?: Interruption
  /** Cancels. */
  signal?: AbortSignal
  /** Takes every line of stdout and stderr; returns it as the log shows it, undefined where it shows nothing. */
  readLine: (line: string) => string | undefined
}

export interface Ending {
  exitCode: number | null
  signal: NodeJS.Signals | null
  timedOut: boolean
  cancelled: boolean
  stdout: string
  stderr: string
}

/**
 * Runs one step to its end, whichever comes first: its own, a timeout, a cancellation, an interruption.
 * It leads its own process group, so that a Ctrl-C in the terminal reaches the runner alone, which then cancels.
 * Rejects only when the program cannot be started.
 */
export async function superviseStep(call: StepCall): Promise<Ending> {
  const { command, args, cwd, env } = call
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const stopper = stopperOf(child)
  const cancel = () => stopper.stop('cancelled')
  const interrupt = interrupter(call.interrupt, child, cancel)
  const onLine = (line: string) => {
    const shown = call.readLine(line)
    if (shown !== undefined) interrupt.see(shown)
  }
  const stdout = readLines(child.stdout, onLine)
  const stderr = readLines(child.stderr, onLine)
  const timeout = setTimeout(() => stopper.stop('timed out'), call.timeoutSeconds * 1_000)
  if (call.signal?.aborted) cancel()
  call.signal?.addEventListener('abort', cancel)
  try {
    const { exitCode, signal } = await waitForEnd(child)
    const cancelled = stopper.reason() === 'cancelled'
    const timedOut = stopper.reason() === 'timed out'
    return { exitCode, signal, cancelled, timedOut, stdout: stdout(), stderr: stderr() }
  } finally {
    clearTimeout(timeout)
    stopper.dispose()
    call.signal?.removeEventListener('abort', cancel)
  }
}

type StopReason = 'cancelled' | 'timed out'

/** Ends a process with growing insistence, once; remembers why. */
function stopperOf(child: ChildProcess) {
  const timers: NodeJS.Timeout[] = []
  let reason: StopReason | undefined
  let disposed = false
  const { sigtermAfterMs, sigkillAfterMs } = CANCEL_GRACE
  return {
    reason: () => reason,
    stop: (why: StopReason) => {
      if (reason !== undefined || disposed) return
      reason = why
      child.kill('SIGINT')
      timers.push(setTimeout(() => child.kill('SIGTERM'), sigtermAfterMs))
      timers.push(setTimeout(() => child.kill('SIGKILL'), sigtermAfterMs + sigkillAfterMs))
    },
    dispose: () => {
      disposed = true
      for (const timer of timers) clearTimeout(timer)
    },
  }
}

/** Watches for the moment of an interruption, and carries it out once. */
function interrupter(interruption: Interruption | undefined, child: ChildProcess, cancel: () => void) {
  let done = interruption === undefined
  const act = () => {
    if (done || !interruption) return
    done = true
    if (interruption.with === 'cancel') cancel()
    else child.kill(interruption.with)
  }
  const when = interruption?.when
  if (typeof when === 'function') when().then(act, act)
  return { see: (line: string) => void (when instanceof RegExp && when.test(line) && act()) }
}

/** Hands on whole lines; the function that it returns gives everything that was read. */
function readLines(stream: Readable, onLine: (line: string) => void): () => string {
  const chunks: string[] = []
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => {
    chunks.push(chunk)
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line.replace(/\r$/, ''))
  })
  stream.on('end', () => {
    if (rest !== '') onLine(rest)
  })
  return () => chunks.join('')
}

function waitForEnd(child: ChildProcess): Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    let drain: NodeJS.Timeout | undefined
    child.once('error', reject)
    child.once('exit', () => {
      drain = setTimeout(() => {
        child.stdout?.destroy()
        child.stderr?.destroy()
      }, DRAIN_MS)
    })
    child.once('close', (exitCode, signal) => {
      clearTimeout(drain)
      resolve({ exitCode, signal })
    })
  })
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, constants } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { codeOf, LifeboatError } from '../base/errors.ts'
import type { ProcessOwner } from './commands.ts'
import { START_WHEN_TOLD, tellToStart } from './start-when-told.ts'

export interface GroupOptions {
  env: Record<string, string>
  /** Ends the group: SIGTERM, and SIGKILL 3 s later. */
  signal?: AbortSignal | undefined
  /** Removed by the watchdog if this process dies before the group does. */
  removeOnDeath?: string
  /** Default: whoever this process is. */
  owner?: ProcessOwner
  cwd?: string
  /** Gets both, and has to read standard output, which is discarded otherwise. */
  onOutput?: (stdout: Readable, stderr: Readable) => void
}

/** What a tool came to. `stderr` is as the tool wrote it: scrub it before anyone sees it. */
export interface ToolEnd {
  /** null if a signal ended it. */
  code: number | null
  signal: NodeJS.Signals | null
  /** At most the last MAX_STDERR bytes. */
  stderr: string
}

const MAX_STDERR = 4 << 20
const KILL_AFTER_MS = 3_000

/**
 * A tool, or a command of the user, in a process group of its own: pg_dump and pg_restore fork workers, and a signal must
 * reach them all. A watchdog outside the group ends it, paused or not, if this process dies without a chance to: a stopped
 * pg_dump would otherwise hold its locks on production for as long as the machine lives.
 */
export class ProcessGroup {
  readonly pid: number
  /** Resolves when the tool has ended and its output has been read; never rejects. */
  readonly ended: Promise<ToolEnd>
  #over = false

  private constructor(child: ChildProcess, pid: number, options: GroupOptions) {
    this.pid = pid
    const watchdog = startWatchdog(pid, options)
    const abort = () => void this.stop()
    // Workers outlive a leader that was killed; nobody is left to end them.
    child.once('exit', abort)
    this.ended = collect(child).finally(() => {
      // Who closed the output that it was given, and stays.
      this.#send('SIGKILL')
      this.#over = true
      options.signal?.removeEventListener('abort', abort)
      watchdog.stdin?.end('over\n')
    })
    if (options.signal?.aborted) abort()
    else options.signal?.addEventListener('abort', abort, { once: true })
  }

  /** Starts the tool. Error: `tool-failed` if it cannot be started. */
  static async start(command: string, args: readonly string[], options: GroupOptions): Promise<ProcessGroup> {
    try {
      await access(command, constants.X_OK)
    } catch (error) {
      throw cannotStart(command, codeOf(error))
    }
    const { env, owner, cwd, onOutput } = options
    const child = spawn('/bin/sh', ['-c', START_WHEN_TOLD, 'pg-lifeboat-start', command, ...args], {
      ...owner,
      ...(cwd === undefined ? {} : { cwd }),
      detached: true,
      env,
      stdio: ['pipe', onOutput ? 'pipe' : 'ignore', 'pipe'],
    })
    if (child.stdout && child.stderr) onOutput?.(child.stdout, child.stderr)
    try {
      await once(child, 'spawn')
    } catch (error) {
      throw cannotStart('/bin/sh', codeOf(error))
    }
    if (child.pid === undefined) throw new Error('a started process has no id')
    const group = new ProcessGroup(child, child.pid, options)
    // Only now, with its watchdog at its side.
    tellToStart(child)
    return group
  }

  pause(): void {
    this.#send('SIGSTOP')
  }

  resume(): void {
    this.#send('SIGCONT')
  }

  /** Ends the whole group, paused or not, within 3 s, and waits for it. */
  async stop(): Promise<ToolEnd> {
    this.#send('SIGTERM')
    this.#send('SIGCONT')
    const kill = setTimeout(() => this.#send('SIGKILL'), KILL_AFTER_MS)
    const end = await this.ended
    clearTimeout(kill)
    return end
  }

  #send(signal: NodeJS.Signals): void {
    // Also after the leader's end: as long as its output is open, a worker of it lives and has to be reached.
    if (this.#over) return
    try {
      process.kill(-this.pid, signal)
    } catch (error) {
      // Nobody is left, or none but who became another user (a command with sudo).
      if (codeOf(error) !== 'ESRCH' && codeOf(error) !== 'EPERM') throw error
    }
  }
}

function cannotStart(command: string, why: string | undefined): LifeboatError {
  return new LifeboatError('tool-failed', `${command} cannot be started (${why})`, 'Reinstall the PostgreSQL packages.')
}

async function collect(child: ChildProcess): Promise<ToolEnd> {
  let chunks: Buffer[] = []
  let bytes = 0
  child.stderr?.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes <= 2 * MAX_STDERR) return
    const tail = Buffer.concat(chunks).subarray(-MAX_STDERR)
    chunks = [tail]
    bytes = tail.length
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { code, signal, stderr: Buffer.concat(chunks).subarray(-MAX_STDERR).toString('utf8') }
}

/**
 * Waits on a pipe that only this process holds open. A line on it means that all is over; its end without one means that
 * this process died.
 */
function startWatchdog(group: number, options: GroupOptions): ChildProcess {
  const script = `read -r word && exit 0
kill -TERM "-$1" 2>/dev/null; kill -CONT "-$1" 2>/dev/null
sleep 3
kill -KILL "-$1" 2>/dev/null
[ -z "$2" ] || rm -rf -- "$2"`
  const watchdog = spawn(
    '/bin/sh',
    ['-c', script, 'pg-lifeboat-watchdog', String(group), options.removeOnDeath ?? ''],
    {
      detached: true,
      env: { PATH: options.env.PATH ?? '/usr/bin:/bin' },
      stdio: ['pipe', 'ignore', 'ignore'],
    },
  )
  watchdog.on('error', () => undefined)
  watchdog.stdin?.on('error', () => undefined)
  watchdog.unref()
  return watchdog
}

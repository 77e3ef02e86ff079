import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile, realpath } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { codeOf } from '../base/errors.ts'
import type { ProcessOwner } from './commands.ts'
import { START_WHEN_TOLD, tellToStart } from './start-when-told.ts'

const POLL_MS = 25
const QUIT_MS = 5_000
const KILL_MS = 3_000

export interface ServerSpec {
  /** The `postgres` program. */
  program: string
  /** Holds `data` (an initialised cluster) and `log`; removed by the guard. */
  directory: string
  port: number
  owner: ProcessOwner
  env: Record<string, string>
}

export interface ServerProcess {
  readonly pid: number
  readonly child: ChildProcess
  /** Lets the server live on without this process: the guard goes home. */
  release(): void
}

/**
 * Starts `postgres` itself (no daemon) in its own process group with its output in `<directory>/log`, and a guard that
 * ends it and removes the directory if this process dies without a chance to.
 */
export async function spawnServer({ program, directory, port, owner, env }: ServerSpec): Promise<ServerProcess> {
  const log = await open(join(directory, 'log'), 'w', 0o600)
  const args = ['-D', join(directory, 'data'), '-p', String(port)]
  const child = spawn('/bin/sh', ['-c', START_WHEN_TOLD, 'pg-lifeboat-start', program, ...args], {
    ...owner,
    cwd: directory,
    env,
    detached: true,
    stdio: ['pipe', log.fd, log.fd],
  })
  try {
    await once(child, 'spawn')
  } finally {
    await log.close()
  }
  child.on('error', () => undefined)
  child.unref()
  if (child.pid === undefined) throw new Error('a started process has no id')
  const release = startGuard(child.pid, directory, env)
  tellToStart(child)
  return { pid: child.pid, child, release }
}

/**
 * Waits on a pipe that only this process holds open: a line on it means that all is well, its end without one that this
 * process is gone. The command line tells the server from a later process with the same id.
 */
function startGuard(pid: number, directory: string, env: Record<string, string>): () => void {
  const script = `read -r word && exit 0
ours() {
  if [ -r "/proc/$1/cmdline" ]; then grep -qaF "$2/data" "/proc/$1/cmdline"
  else [ "$(head -n 1 "$2/data/postmaster.pid" 2>/dev/null)" = "$1" ] && kill -0 "$1" 2>/dev/null; fi
}
ours "$1" "$2" && kill -QUIT "$1"
for turn in 1 2 3 4 5; do ours "$1" "$2" || break; sleep 1; done
ours "$1" "$2" && kill -KILL "$1"
rm -rf -- "$2" || { sleep 1; rm -rf -- "$2"; }`
  const guard = spawn('/bin/sh', ['-c', script, 'pg-lifeboat-guard', String(pid), directory], {
    cwd: '/',
    detached: true,
    env: { PATH: env.PATH ?? '/usr/bin:/bin' },
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guard.on('error', () => undefined)
  guard.stdin.on('error', () => undefined)
  guard.unref()
  ;(guard.stdin as unknown as { unref(): void }).unref()
  return () => void guard.stdin.end('over\n')
}

/**
 * Waits until the server accepts connections, by its own word in postmaster.pid; resolves to `ready`, `ended` (its log
 * says why) or `late`. Rejects with the signal's reason.
 */
export async function waitForServer(
  server: ServerProcess,
  directory: string,
  { seconds, signal }: { seconds: number; signal?: AbortSignal | undefined },
): Promise<'ready' | 'ended' | 'late'> {
  const deadline = Date.now() + seconds * 1_000
  while (Date.now() < deadline) {
    if (server.child.exitCode !== null || server.child.signalCode !== null) return 'ended'
    const lines = await readFile(join(directory, 'data', 'postmaster.pid'), 'utf8').catch(() => '')
    const [pid, , , , , , , status] = lines.split('\n')
    if (pid === String(server.pid) && status?.trim() === 'ready') return 'ready'
    await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal })
  }
  return 'late'
}

/**
 * Ends a server whose data are of no further use: at once (SIGQUIT: no shutdown checkpoint, which would write a gigabyte
 * of buffers only to be deleted), and with SIGKILL 5 s later.
 */
export async function stopServer(pid: number): Promise<void> {
  if (await signalAndWait(pid, 'SIGQUIT', QUIT_MS)) return
  await signalAndWait(pid, 'SIGKILL', KILL_MS)
}

async function signalAndWait(pid: number, signal: NodeJS.Signals, milliseconds: number): Promise<boolean> {
  try {
    process.kill(pid, signal)
  } catch (error) {
    return codeOf(error) === 'ESRCH'
  }
  const deadline = Date.now() + milliseconds
  while (Date.now() < deadline) {
    if (!(await isRunning(pid))) return true
    await sleep(POLL_MS)
  }
  return false
}

/** Whether a process lives; one that ended and that nobody has waited for does not. */
export async function isRunning(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return !/\) [ZX] /.test(stat)
}

/** The id of the server that runs on `<directory>/data`, proven by its pid file and its command line; else undefined. */
export async function findServer(directory: string): Promise<number | undefined> {
  const data = join(directory, 'data')
  const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
  const pid = Number(lines[0])
  if (!Number.isInteger(pid) || pid < 2 || !(await isRunning(pid))) return undefined
  const places = [data, await realpath(data).catch(() => data)]
  if (!places.includes(lines[1] ?? '')) return undefined
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined)
  if (commandLine !== undefined && !places.some((place) => commandLine.includes(place))) return undefined
  return pid
}

/** A port of 127.0.0.1 that is free now; somebody else may be faster. */
export async function findFreePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no free port on 127.0.0.1')
  return address.port
}

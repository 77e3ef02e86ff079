import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** One living process, as /proc shows it. */
export interface LiveProcess {
  pid: number
  parent: number
  /** `node`, `pg_dump`, `postgres`, …: what it runs, also under a loader or a shell that became it. */
  program: string
  commandLine: string
  cpuSeconds: number
  /** Of a Node process: seconds by kind of thread, of those that live. */
  threads?: Record<string, number>
}

/** What Linux counts /proc's times in: USER_HZ, the same on all its platforms that Node runs on. */
const TICKS_PER_SECOND = 100

const PROGRAMS = /(?:^|[/ ])(pg_dumpall|pg_dump|pg_restore|initdb|psql|postgres|age|zstd|sha256sum|node)(?=[: ]|$)/

/** PostgreSQL's own: what the memory of the action does not hold. */
export const POSTGRES_PROGRAMS: ReadonlySet<string> = new Set([
  ...['pg_dump', 'pg_dumpall', 'pg_restore', 'initdb', 'psql', 'postgres'],
])

/** The program in a command line. */
export function programOf(commandLine: string): string {
  return PROGRAMS.exec(commandLine)?.[1] ?? path.basename(commandLine.split(' ', 1)[0] ?? '')
}

/** The processes that descend from `pid`, without those in `except` and below them. Linux only. */
export function descendants(pid: number, except: ReadonlySet<number> = new Set()): LiveProcess[] {
  return childrenOf(pid).flatMap((child) => {
    if (except.has(child)) return []
    const found = readProcess(child, pid)
    return [...(found ? [found] : []), ...descendants(child)]
  })
}

/** The ids of the processes that `pid` started and that it has not waited for, by whichever thread. */
export function childrenOf(pid: number): number[] {
  return readThreads(pid).flatMap((thread) =>
    (readText(`/proc/${pid}/task/${thread}/children`) ?? '').split(' ').filter(Boolean).map(Number),
  )
}

function readThreads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}

function readProcess(pid: number, parent: number): LiveProcess | undefined {
  const fields = statFields(pid)
  const commandLine = readText(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').trim()
  if (fields === undefined || commandLine === undefined) return undefined
  const program = programOf(commandLine)
  const found = { pid, parent, program, commandLine, cpuSeconds: ownSeconds(fields) }
  return program === 'node' ? { ...found, threads: threadSeconds(pid) } : found
}

/** `node pool` is where zlib, crypto and the file system work; `node V8` compiles and collects garbage. */
const THREADS: Record<string, string> = {
  MainThread: 'node main',
  node: 'node main',
  'libuv-worker': 'node pool',
  WorkerThread: 'node workers',
}

function threadSeconds(pid: number): Record<string, number> {
  const seconds: Record<string, number> = {}
  for (const thread of readThreads(pid)) {
    const fields = statFields(`${pid}/task/${thread}`)
    const kind = THREADS[readText(`/proc/${pid}/task/${thread}/comm`)?.trim() ?? ''] ?? 'node V8'
    if (fields) seconds[kind] = (seconds[kind] ?? 0) + ownSeconds(fields)
  }
  return seconds
}

function ownSeconds(fields: readonly string[]): number {
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Of /proc/…/stat what follows the name: index 0 is the state, 11 to 14 are the times (proc(5)). */
function statFields(place: number | string): string[] | undefined {
  const text = readText(`/proc/${place}/stat`)
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')
}

/** User and system seconds of the processes that `pid` has waited for, and theirs; `own`: its own as well. */
export function waitedCpuSeconds(pid: number | 'self', { own = false } = {}): number {
  const fields = statFields(pid) ?? []
  const ticks = [...(own ? [fields[11], fields[12]] : []), fields[13], fields[14]]
  return ticks.reduce((sum, text) => sum + Number(text ?? 0), 0) / TICKS_PER_SECOND
}

/** Resident memory in bytes (VmRSS: what files it shares with others counts in full); 0 of a process that has ended. */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(readText(`/proc/${pid}/status`) ?? '')
  return Number(match?.[1] ?? 0) * 1_024
}

/** Resident bytes of these processes less PostgreSQL's. A fork that has not yet become its program is its parent's. */
export function memoryOf(processes: readonly LiveProcess[]): number {
  const lines = new Map(processes.map(({ pid, commandLine }) => [pid, commandLine]))
  return processes
    .filter(({ program }) => !POSTGRES_PROGRAMS.has(program))
    .filter(({ parent, commandLine }) => lines.get(parent) !== commandLine)
    .reduce((sum, { pid }) => sum + residentBytes(pid), 0)
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return undefined
  }
}

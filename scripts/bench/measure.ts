import { lstat, readdir } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { childrenOf, descendants, type LiveProcess, memoryOf, waitedCpuSeconds } from './process-tree.ts'
import type { Sample } from './types.ts'

export interface MeterOptions {
  /** A server that is not started by the work: its processor time is noted apart. */
  serverPid?: number
  /** Samples memory every 50 ms as `peakMemory`; without it processes are looked at every 200 ms. */
  memory?: boolean
  /** Samples the allocated bytes below `directory` as `peakDisk`, without folders whose name begins with `except`. */
  disk?: { directory: string; except?: string }
}

const MEMORY_MS = 50
const PROCESS_MS = 200
const DISK_MS = 100
/** Backends are waited for by their server a moment after the client has gone. */
const SERVER_SETTLE_MS = 150

/** Does the work, which starts processes; `seconds` is measured by the work itself where that is more exact. */
export async function measure<T extends { seconds: number }>(
  options: MeterOptions,
  work: () => Promise<T>,
): Promise<Sample & { value: T }> {
  const { serverPid, memory, disk } = options
  const serverCpu = () => (serverPid === undefined ? 0 : waitedCpuSeconds(serverPid, { own: true }))
  const before = { cpu: waitedCpuSeconds('self'), server: serverCpu() }
  const processes = watchProcesses(memory ? MEMORY_MS : PROCESS_MS, memory === true)
  const space = disk && watchDisk(disk.directory, disk.except)
  try {
    const value = await work()
    const cpuSeconds = waitedCpuSeconds('self') - before.cpu
    if (serverPid !== undefined) await sleep(SERVER_SETTLE_MS)
    return {
      value,
      seconds: value.seconds,
      cpuSeconds,
      cpuByProgram: processes.cpuByProgram(),
      ...(serverPid !== undefined && { serverCpuSeconds: serverCpu() - before.server }),
      extra: {
        ...(memory && { peakMemory: processes.peakMemory() }),
        ...(space && { peakDisk: await space.peak() }),
      },
    }
  } finally {
    processes.stop()
    space?.stop()
  }
}

/** Follows what this process starts from now on. */
function watchProcesses(everyMs: number, memory: boolean) {
  const others = new Set(childrenOf(process.pid))
  const last = new Map<number, LiveProcess>()
  let peak = 0
  const look = () => {
    const processes = descendants(process.pid, others)
    for (const found of processes) {
      // One that has ended, and that nobody has waited for, still knows its time, but no longer what it ran.
      const known = last.get(found.pid)
      const program = found.program || known?.program || 'other'
      const threads = found.threads ?? known?.threads
      last.set(found.pid, { ...found, program, ...(threads && { threads }) })
    }
    if (memory) peak = Math.max(peak, memoryOf(processes))
  }
  const timer = setInterval(look, everyMs)
  return {
    stop: () => clearInterval(timer),
    peakMemory: () => peak,
    cpuByProgram: () => sumByProgram([...last.values()]),
  }
}

function sumByProgram(processes: readonly LiveProcess[]): Record<string, number> {
  const sums: Record<string, number> = {}
  const add = (name: string, seconds: number) => {
    sums[name] = (sums[name] ?? 0) + seconds
  }
  for (const { program, cpuSeconds, threads = {} } of processes) {
    for (const [name, seconds] of Object.entries(threads)) add(name, seconds)
    // Of Node the rest: threads that ended before it, and what it did since it was last looked at.
    const rest = cpuSeconds - Object.values(threads).reduce((sum, seconds) => sum + seconds, 0)
    add(program === 'node' ? 'node other' : program, Math.max(0, rest))
  }
  return sums
}

function watchDisk(directory: string, except?: string) {
  let peak = 0
  let over = false
  const watching = (async () => {
    while (!over) {
      peak = Math.max(peak, await allocatedBytes(directory, except))
      await sleep(DISK_MS)
    }
  })()
  return {
    stop: () => {
      over = true
    },
    peak: async () => {
      over = true
      await watching
      return peak
    },
  }
}

/** One sample of work that was done several times over. */
export function perTime(sample: Sample, times: number): Sample {
  const byProgram = Object.entries(sample.cpuByProgram).map(([program, seconds]) => [program, seconds / times])
  return { ...sample, cpuSeconds: sample.cpuSeconds / times, cpuByProgram: Object.fromEntries(byProgram) }
}

/** What `du` would say of a directory: allocated blocks, so that punched holes do not count. */
export async function allocatedBytes(directory: string, except?: string): Promise<number> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => [])
  let sum = 0
  for (const entry of entries) {
    if (except !== undefined && entry.name.startsWith(except)) continue
    const file = path.join(directory, entry.name)
    if (entry.isDirectory()) sum += await allocatedBytes(file, except)
    else sum += ((await lstat(file).catch(() => undefined))?.blocks ?? 0) * 512
  }
  return sum
}

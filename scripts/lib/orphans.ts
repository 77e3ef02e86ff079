import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

/** A process that outlived the job that started it. */
export interface Orphan {
  pid: number
  command: string
}

/**
 * The processes that a job left behind: those that still carry its `RUNNER_TRACKING_ID`, the way the real runner finds
 * what it terminates at the end of a job. Linux only (reads /proc); finds nothing elsewhere.
 */
export async function findOrphans(trackingId: string): Promise<Orphan[]> {
  const entries = await readdir('/proc').catch(() => [])
  const found = await Promise.all(entries.filter((entry) => /^\d+$/.test(entry)).map((pid) => inspect(pid, trackingId)))
  return found.filter((orphan) => orphan !== undefined)
}

async function inspect(pid: string, trackingId: string): Promise<Orphan | undefined> {
  const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')
  if (!environment.split('\0').includes(`RUNNER_TRACKING_ID=${trackingId}`)) return undefined
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  // An empty command line is a zombie: it has ended, and holds nothing.
  return commandLine === '' ? undefined : { pid: Number(pid), command: commandLine.replaceAll('\0', ' ').trim() }
}

/** The same, but what goes by itself within 2 s was only on its way out. */
export async function findLasting(trackingId: string): Promise<Orphan[]> {
  const deadline = performance.now() + 2_000
  let left = await findOrphans(trackingId)
  while (left.length > 0 && performance.now() < deadline) {
    await delay(20)
    left = await findOrphans(trackingId)
  }
  return left
}

/** Kills what was found, by pid, and waits until it is gone (20 s at most). */
export async function killOrphans(trackingId: string, orphans: readonly Orphan[]): Promise<void> {
  for (const { pid } of orphans) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // already gone
    }
  }
  const deadline = performance.now() + 20_000
  let left = orphans.length
  while (left > 0 && performance.now() < deadline) {
    await delay(20)
    left = (await findOrphans(trackingId)).length
  }
}

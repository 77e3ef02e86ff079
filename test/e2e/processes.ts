import { readdirSync, readFileSync } from 'node:fs'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { startClock } from '../until.ts'

export interface RunningProcess {
  pid: number
  command: string
}

/**
 * The processes that have to do with a job: one of the marks (its directory, its tracking id, its scratch cluster's
 * directory) stands in their environment, command line or working directory. What has ended and waits for its parent
 * does not count.
 */
export async function processesOf(marks: readonly string[]): Promise<RunningProcess[]> {
  const found = await Promise.all(
    (await processIds()).map(async (pid): Promise<RunningProcess[]> => {
      const command = await commandLine(pid)
      if (command === '' || pid === process.pid) return []
      const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')
      const directory = await readlink(`/proc/${pid}/cwd`).catch(() => '')
      const known = [command, environment, directory].join('\0')
      return marks.some((mark) => known.includes(mark)) ? [{ pid, command }] : []
    }),
  )
  return found.flat()
}

/** Waits until `look` finds nothing; fails with what it still finds after so many seconds of a machine that does its work. */
export async function untilNone(look: () => Promise<readonly unknown[]>, seconds = 10): Promise<void> {
  const clock = startClock()
  for (;;) {
    const left = await look()
    if (left.length === 0) return
    if (clock.seconds() > seconds) throw new Error(`after ${seconds} s there still is ${JSON.stringify(left)}`)
    // To look at all processes takes work, of which the machine has enough.
    await sleep(250)
  }
}

/** Collects the command lines of all processes of the machine until it is ended. */
export function watchCommandLines(): { end(): Promise<string[]> } {
  const seen = new Set<string>()
  let watching = true
  const work = (async () => {
    while (watching) {
      // In one go: many of these processes live for some hundredths of a second.
      for (const pid of readdirSync('/proc').filter(isProcess)) seen.add(commandLineNow(pid))
      await sleep(2)
    }
  })()
  return {
    end: async () => {
      watching = false
      await work
      return [...seen]
    },
  }
}

async function processIds(): Promise<number[]> {
  return (await readdir('/proc')).filter(isProcess).map(Number)
}

function isProcess(name: string): boolean {
  return /^\d+$/.test(name)
}

function commandLineNow(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return ''
  }
}

async function commandLine(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return text.replaceAll('\0', ' ').trim()
}

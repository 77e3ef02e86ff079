import { setTimeout as sleep } from 'node:timers/promises'

/** Waits for a fact. How long that takes says something about the machine only: the limit is there to end a hopeless wait. */
export async function until(condition: () => boolean | Promise<boolean>, seconds = 60): Promise<void> {
  const deadline = performance.now() + seconds * 1_000
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`still not so after ${seconds} s: ${condition}`)
    await sleep(20)
  }
}

const TICK_MS = 20

/**
 * A clock for promises about time: it counts the seconds in which this process was let run. A machine that stands still,
 * or gives its cores to others, takes none of them.
 */
export function startClock(): { seconds(): number } {
  let ticks = 0
  const timer = setInterval(() => {
    ticks += 1
  }, TICK_MS)
  timer.unref()
  return { seconds: () => (ticks * TICK_MS) / 1_000 }
}

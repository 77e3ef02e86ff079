import type { Clock, Log } from './ports.ts'
import { formatBytes, formatDuration } from './units.ts'

/** What one phase of work tells of its bytes. Telling costs an addition: do it for every chunk. */
export interface Meter {
  /** How many bytes there will be. `about`: by an estimate, which the bytes may pass. */
  expect(bytes: number, precision: 'exactly' | 'about'): void
  add(bytes: number): void
}

/** Where nobody wants to know. */
export const silentMeter: Meter = { expect: () => undefined, add: () => undefined }

/** The same chunks, told to the meter as they pass; what is lent until the next one stays so. */
export async function* metered(chunks: AsyncIterable<Buffer>, meter: Meter): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    meter.add(chunk.length)
    yield chunk
  }
}

/** How far a phase is. */
export interface Standing {
  /** Since the phase began. */
  seconds: number
  bytes: number
  /** Undefined while nobody knows, and once an estimate has been passed. */
  total?: { bytes: number; isEstimate: boolean }
  /** In whole percent, rounded down, at most 100; there if `total` is. */
  share?: number
  /** Of the last half minute. */
  bytesPerSecond?: number
  /** Undefined until it means something. */
  secondsLeft?: number
  /** Since the last look that found a byte more. */
  idleSeconds: number
}

/** The rate is of this long: a mean since the beginning would go on hoping for an hour after a link has slowed down. */
const WINDOW_SECONDS = 30
/** Before this, and below one percent, what is left is a guess. */
const FORECAST_SECONDS = 10
/** What has not moved for this long goes at no rate that one could reckon with. */
const HESITATION_SECONDS = 10
const STALL_SECONDS = 60

/** Counts the bytes of one phase; whoever wants to know how far it is looks, about once a second. */
export class Gauge implements Meter {
  #bytes = 0
  #total: { bytes: number; isEstimate: boolean } | undefined
  #share = 0
  #at: number
  /** Milliseconds since the beginning: the sum of the steps, so that a clock that is set back costs one of them. */
  #elapsed = 0
  #moved = { seconds: 0, bytes: 0 }
  /** From the last look before the window on. */
  #looks = [{ seconds: 0, bytes: 0 }]

  constructor(now: Date) {
    this.#at = now.getTime()
  }

  expect(bytes: number, precision: 'exactly' | 'about'): void {
    this.#total = bytes > 0 ? { bytes, isEstimate: precision === 'about' } : undefined
  }

  add(bytes: number): void {
    this.#bytes += bytes
  }

  look(now: Date): Standing {
    this.#elapsed += Math.max(0, now.getTime() - this.#at)
    this.#at = now.getTime()
    const seconds = this.#elapsed / 1_000
    const bytes = this.#bytes
    if (bytes !== this.#moved.bytes) this.#moved = { seconds, bytes }
    const idleSeconds = seconds - this.#moved.seconds
    const bytesPerSecond = this.#rate(seconds, bytes)
    const isPassed = this.#total?.isEstimate === true && bytes >= this.#total.bytes
    const total = isPassed ? undefined : this.#total
    const common = { seconds, bytes, idleSeconds, ...(bytesPerSecond !== undefined && { bytesPerSecond }) }
    if (total === undefined) return common
    this.#share = Math.max(this.#share, Math.min(100, Math.floor((bytes / total.bytes) * 100)))
    const share = this.#share
    const means = seconds >= FORECAST_SECONDS && share >= 1 && idleSeconds < HESITATION_SECONDS
    if (!means || !bytesPerSecond || bytes >= total.bytes) return { ...common, total, share }
    return { ...common, total, share, secondsLeft: (total.bytes - bytes) / bytesPerSecond }
  }

  #rate(seconds: number, bytes: number): number | undefined {
    const looks = this.#looks
    looks.push({ seconds, bytes })
    while ((looks[1]?.seconds ?? seconds) <= seconds - WINDOW_SECONDS) looks.shift()
    const [first] = looks
    return first === undefined || first.seconds === seconds
      ? undefined
      : (bytes - first.bytes) / (seconds - first.seconds)
  }
}

/** `12.3 GiB of about 40.0 GiB (31 %), 210.0 MiB/s, about 2 min 10 s left`; where no bytes are told of, the time so far. */
export function describeStanding(standing: Standing): string {
  const { seconds, bytes, total, share = 0, bytesPerSecond, secondsLeft, idleSeconds } = standing
  if (bytes === 0 && total === undefined) return `${formatDuration(seconds)} so far`
  const about = total?.isEstimate ? 'about ' : ''
  const amount =
    formatBytes(bytes) + (total === undefined ? '' : ` of ${about}${formatBytes(total.bytes)} (${share} %)`)
  if (total !== undefined && bytes >= total.bytes) return `${amount}, finishing`
  if (idleSeconds >= STALL_SECONDS) return `${amount}, no byte for ${formatDuration(idleSeconds)}`
  const rate = bytesPerSecond === undefined ? '' : `, ${formatBytes(Math.round(bytesPerSecond))}/s`
  return `${amount}${rate}${secondsLeft === undefined ? '' : `, ${describeLeft(secondsLeft)}`}`
}

/** No more exactly than such a thing can be known. */
function describeLeft(seconds: number): string {
  if (seconds < 10) return 'less than 10 s left'
  const step = seconds < 300 ? 5 : 60
  return `about ${formatDuration(Math.round(seconds / step) * step)} left`
}

/** Where somebody sees how far a phase is. One view a phase. */
export interface ProgressView {
  /** How often it wants to know. */
  readonly everyMilliseconds: number
  show(standing: Standing): void
  /** The phase is over, in whatever way. */
  end(): void
}

/** Calls `tick` until the function that it returns is called. Keeps no process alive. */
export type Ticker = (milliseconds: number, tick: () => void) => () => void

export const systemTicker: Ticker = (milliseconds, tick) => {
  const timer = setInterval(tick, milliseconds)
  // A phase whose work has silently stopped must still let the event loop run empty, which is noticed.
  timer.unref()
  return () => clearInterval(timer)
}

/** What becomes of a phase whose bytes have stopped moving. */
export interface StallGuard {
  /** For how long no byte may move; 0: for ever. */
  afterSeconds: number
  /** Told once, of the first stall. */
  onStall(standing: Standing): void
}

/**
 * Whether a phase that moves bytes of ours has moved none for so long. One that has told of no byte and of no total is no
 * such phase (schema, indexes), nor is one that waits for its first byte of an estimate (pg_dump reads the catalog first:
 * minutes, with many tables), nor one that has moved all there is and finishes.
 */
export function isStalled({ bytes, total, idleSeconds }: Standing, afterSeconds: number): boolean {
  if (afterSeconds <= 0 || idleSeconds < afterSeconds) return false
  return total === undefined || total.isEstimate ? bytes > 0 : bytes < total.bytes
}

export interface Watching {
  clock: Pick<Clock, 'now'>
  ticker: Ticker
  view: ProgressView
  guard?: StallGuard
}

/** Runs one phase of work with a meter that `view` shows; stops looking at it when the work ends, however it ends. */
export async function withProgress<T>(
  { clock, ticker, view, guard }: Watching,
  work: (meter: Meter) => Promise<T>,
): Promise<T> {
  const gauge = new Gauge(clock.now())
  let waiting = guard
  const stop = ticker(view.everyMilliseconds, () => {
    const standing = gauge.look(clock.now())
    view.show(standing)
    if (waiting === undefined || !isStalled(standing, waiting.afterSeconds)) return
    waiting.onStall(standing)
    waiting = undefined
  })
  try {
    return await work(gauge)
  } finally {
    stop()
    view.end()
  }
}

const PACES: readonly { untilSeconds: number; everySeconds: number }[] = [
  { untilSeconds: 60, everySeconds: 5 },
  { untilSeconds: 600, everySeconds: 15 },
  { untilSeconds: Number.POSITIVE_INFINITY, everySeconds: 60 },
]

/**
 * Plain log lines: every 5 s in the first minute, when somebody is likely to watch; every 15 s up to the tenth; then
 * every minute, so that an hour is about a hundred lines and a run of six is still read. None before the fifth second.
 */
export function progressLines(log: Pick<Log, 'info'>): ProgressView {
  let due = nextLine(0)
  return {
    everyMilliseconds: 1_000,
    show(standing) {
      if (standing.seconds < due) return
      while (due <= standing.seconds) due = nextLine(due)
      log.info(describeStanding(standing))
    },
    end: () => undefined,
  }
}

function nextLine(seconds: number): number {
  return seconds + (PACES.find(({ untilSeconds }) => seconds < untilSeconds)?.everySeconds ?? 60)
}

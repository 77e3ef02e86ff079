import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { memoryLog } from '../../src/base/ports.ts'
import {
  describeStanding,
  Gauge,
  isStalled,
  type Meter,
  metered,
  type ProgressView,
  progressLines,
  type Standing,
  systemTicker,
  type Ticker,
  withProgress,
} from '../../src/base/progress.ts'

const BEGAN = Date.UTC(2026, 10, 23)
const MB = 2 ** 20
const GB = 2 ** 30

/** A clock that stands still, and a ticker that ticks while it is moved on. */
function fakeTime() {
  let milliseconds = 0
  let ticking: { every: number; tick: () => void } | undefined
  const ticker: Ticker = (every, tick) => {
    ticking = { every, tick }
    return () => {
      ticking = undefined
    }
  }
  return {
    ticker,
    clock: { now: () => new Date(BEGAN + milliseconds) },
    isTicking: () => ticking !== undefined,
    /** Moves on second by second; `work` is done at the beginning of each. */
    pass(seconds: number, work: () => void = () => undefined) {
      for (let second = 0; second < seconds; second += 1) {
        work()
        for (let passed = 0; passed < 1_000; passed += ticking?.every ?? 1_000) {
          milliseconds += ticking?.every ?? 1_000
          ticking?.tick()
        }
      }
    },
  }
}

/** The lines of a phase, each with the second in which it came. */
async function linesOf(
  work: (meter: Meter, pass: (seconds: number, work?: () => void) => void) => void,
): Promise<string[]> {
  const time = fakeTime()
  const lines: string[] = []
  const view = progressLines({
    info: (line) => lines.push(`${(time.clock.now().getTime() - BEGAN) / 1_000}: ${line}`),
  })
  await withProgress({ ...time, view }, async (meter) => work(meter, time.pass))
  expect(time.isTicking()).toBe(false)
  return lines
}

const secondsOf = (lines: readonly string[]) => lines.map((line) => Number(line.split(':')[0]))

test('a line says bytes, share, rate and time left', async () => {
  const lines = await linesOf((meter, pass) => {
    meter.expect(40 * GB, 'about')
    pass(60, () => meter.add(210 * MB))
  })
  expect(lines.slice(0, 2)).toEqual([
    '5: 1.0 GiB of about 40.0 GiB (2 %), 210.0 MiB/s',
    '10: 2.1 GiB of about 40.0 GiB (5 %), 210.0 MiB/s, about 3 min 05 s left',
  ])
  expect(lines.at(-1)).toBe('60: 12.3 GiB of about 40.0 GiB (30 %), 210.0 MiB/s, about 2 min 15 s left')
})

test('lines come every 5 s, then every 15 s, then every minute; a short phase has none', async () => {
  expect(await linesOf((meter, pass) => pass(4, () => meter.add(GB)))).toEqual([])
  const lines = await linesOf((meter, pass) => pass(3_600, () => meter.add(1)))
  const seconds = secondsOf(lines)
  expect(seconds.slice(0, 14)).toEqual([5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 75, 90])
  expect(seconds.slice(46, 50)).toEqual([585, 600, 660, 720])
  expect(lines).toHaveLength(12 + 36 + 50)
})

test('an estimate that is passed is dropped, with the share and the time left; a total that is known is not', async () => {
  const about = await linesOf((meter, pass) => {
    meter.expect(1_000 * MB, 'about')
    pass(20, () => meter.add(66 * MB))
  })
  expect(about).toEqual([
    '5: 330.0 MiB of about 1000.0 MiB (33 %), 66.0 MiB/s',
    '10: 660.0 MiB of about 1000.0 MiB (66 %), 66.0 MiB/s, less than 10 s left',
    '15: 990.0 MiB of about 1000.0 MiB (99 %), 66.0 MiB/s, less than 10 s left',
    '20: 1.3 GiB, 66.0 MiB/s',
  ])
  const exactly = await linesOf((meter, pass) => {
    meter.expect(500 * MB, 'exactly')
    pass(5, () => meter.add(100 * MB))
    pass(120)
    meter.add(MB)
    pass(15)
  })
  expect(exactly[0]).toBe('5: 500.0 MiB of 500.0 MiB (100 %), finishing')
  expect(exactly.at(-1)).toBe('135: 501.0 MiB of 500.0 MiB (100 %), finishing')
})

test('the rate is the rate of late, and what stands still is said to', async () => {
  const lines = await linesOf((meter, pass) => {
    meter.expect(10 * GB, 'exactly')
    pass(60, () => meter.add(100 * MB))
    pass(30, () => meter.add(10 * MB))
    pass(75)
    pass(15, () => meter.add(20 * MB))
  })
  expect(lines.slice(11)).toEqual([
    '60: 5.9 GiB of 10.0 GiB (58 %), 100.0 MiB/s, about 40 s left',
    '75: 6.0 GiB of 10.0 GiB (60 %), 55.0 MiB/s, about 1 min 15 s left',
    '90: 6.2 GiB of 10.0 GiB (61 %), 10.0 MiB/s, about 7 min 00 s left',
    '105: 6.2 GiB of 10.0 GiB (61 %), 5.0 MiB/s',
    '120: 6.2 GiB of 10.0 GiB (61 %), 0 B/s',
    '135: 6.2 GiB of 10.0 GiB (61 %), 0 B/s',
    '150: 6.2 GiB of 10.0 GiB (61 %), no byte for 1 min 00 s',
    '165: 6.2 GiB of 10.0 GiB (61 %), no byte for 1 min 15 s',
    '180: 6.4 GiB of 10.0 GiB (64 %), 10.0 MiB/s, about 6 min 00 s left',
  ])
})

test('without a byte yet, without a total, without bytes at all', async () => {
  const waiting = await linesOf((meter, pass) => {
    meter.expect(GB, 'about')
    pass(75)
  })
  expect(waiting[0]).toBe('5: 0 B of about 1.0 GiB (0 %), 0 B/s')
  expect(waiting.at(-1)).toBe('75: 0 B of about 1.0 GiB (0 %), no byte for 1 min 15 s')
  expect((await linesOf((meter, pass) => pass(5, () => meter.add(3 * MB)))).at(-1)).toBe('5: 15.0 MiB, 3.0 MiB/s')
  const unmetered = await linesOf((meter, pass) => {
    meter.expect(0, 'exactly')
    pass(75)
  })
  expect([unmetered[0], unmetered.at(-1)]).toEqual(['5: 5.0 s so far', '75: 1 min 15 s so far'])
})

test('the lines end with the phase, also when that fails; nothing is said of one that is over', async () => {
  const time = fakeTime()
  const log = memoryLog()
  const failed = withProgress({ ...time, view: progressLines(log) }, async () => {
    time.pass(5)
    throw new Error('cancelled')
  })
  await expect(failed).rejects.toThrow('cancelled')
  time.pass(60)
  expect(log.lines).toEqual(['5.0 s so far'])
})

test('the system ticker ticks until it is stopped', async () => {
  let ticks = 0
  // The ticker keeps nothing alive: what waits for it has to.
  const alive = setInterval(() => undefined, 1_000)
  await new Promise<void>((resolve) => {
    const stop = systemTicker(1, () => {
      ticks += 1
      if (ticks < 3) return
      stop()
      resolve()
    })
  })
  clearInterval(alive)
  expect(ticks).toBe(3)
})

test('chunks pass as they are, told before they are handed on, and no sooner asked for', async () => {
  const asked: number[] = []
  async function* source() {
    for (const size of [3, 5]) {
      asked.push(size)
      yield Buffer.alloc(size)
    }
  }
  const told: number[] = []
  const meter: Meter = { expect: () => undefined, add: (bytes) => told.push(bytes) }
  const seen: unknown[] = []
  for await (const chunk of metered(source(), meter)) seen.push([chunk.length, [...asked], [...told]])
  expect(seen).toEqual([
    [3, [3], [3]],
    [5, [3, 5], [3, 5]],
  ])
})

/** After how many seconds a phase of that work counts as stalled, within two hours; undefined: never. */
async function stallOf(work: (meter: Meter, pass: (seconds: number, work?: () => void) => void) => void) {
  const time = fakeTime()
  const stalls: string[] = []
  const guard = {
    afterSeconds: 600,
    onStall: (standing: Standing) => stalls.push(`${standing.seconds} s, after ${standing.bytes}`),
  }
  await withProgress({ ...time, view: progressLines(memoryLog()), guard }, async (meter) => {
    work(meter, time.pass)
    time.pass(7_200)
  })
  expect(stalls.length).toBeLessThanOrEqual(1)
  return stalls[0]
}

test('a phase whose bytes stand still for ten minutes has stalled, and is told of once', async () => {
  const flowing = await stallOf((meter, pass) => {
    meter.expect(10 * GB, 'exactly')
    pass(1_000, () => meter.add(MB))
    pass(599)
    meter.add(1)
    pass(2)
  })
  expect(flowing).toBe(`2200 s, after ${1_000 * MB + 1}`)
  expect(await stallOf((meter) => meter.expect(GB, 'exactly'))).toBe('600 s, after 0')
  // An estimate that is passed has no end that could be reached.
  const passed = await stallOf((meter, pass) => {
    meter.expect(MB, 'about')
    pass(10, () => meter.add(MB))
  })
  expect(passed).toBe(`610 s, after ${10 * MB}`)
})

test('a phase that moves no bytes of ours never stalls, nor one before its first byte of an estimate or after its last', async () => {
  expect(await stallOf(() => undefined)).toBeUndefined()
  expect(await stallOf((meter) => meter.expect(0, 'about'))).toBeUndefined()
  expect(await stallOf((meter) => meter.expect(GB, 'about'))).toBeUndefined()
  const through = await stallOf((meter, pass) => {
    meter.expect(10 * MB, 'exactly')
    pass(10, () => meter.add(MB))
  })
  expect(through).toBeUndefined()
  const standing = { seconds: 1e6, bytes: 5, idleSeconds: 1e6 }
  expect([isStalled(standing, 600), isStalled(standing, 0)]).toEqual([true, false])
})

/** What happens between two looks, which come when they come. */
const step = fc.record({
  milliseconds: fc.oneof(fc.integer({ min: 1, max: 3_000 }), fc.integer({ min: -60_000, max: 600_000 })),
  bytes: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 1_000 }), fc.integer({ min: 0, max: 2 ** 40 })),
})
const phase = fc.record({
  total: fc.option(fc.integer({ min: 0, max: 2 ** 41 })),
  precision: fc.constantFrom('exactly', 'about'),
  steps: fc.array(step, { maxLength: 60 }),
})

test('whatever the bytes and the clock do: no share falls or passes 100 %, and every line is well-formed', () => {
  const amount = '\\d+(\\.\\d)? ([KMGT]i)?B'
  const time = '\\d[\\d.]*( (s|min|h|d))( \\d+ (s|min|h))?'
  const rest = `(, finishing|, no byte for ${time}|(, ${amount}/s)?(, (about ${time}|less than 10 s) left)?)`
  const line = new RegExp(`^(${time} so far|${amount}( of (about )?${amount} \\(\\d+ %\\))?${rest})$`)
  fc.assert(
    fc.property(phase, ({ total, precision, steps }) => {
      let now = BEGAN
      const gauge = new Gauge(new Date(now))
      if (total !== null) gauge.expect(total, precision)
      let before: Standing = gauge.look(new Date(now))
      for (const { milliseconds, bytes } of steps) {
        now += milliseconds
        gauge.add(bytes)
        const standing = gauge.look(new Date(now))
        expect(describeStanding(standing)).toMatch(line)
        expect(standing.seconds).toBeGreaterThanOrEqual(before.seconds)
        if (standing.share === undefined) expect(precision === 'about' || !total).toBe(true)
        else {
          expect(standing.share).toBeGreaterThanOrEqual(before.share ?? 0)
          expect(standing.share).toBeLessThanOrEqual(100)
        }
        if (before.total === undefined) expect(standing.total).toBeUndefined()
        if (standing.secondsLeft !== undefined) expect(Number.isFinite(standing.secondsLeft)).toBe(true)
        before = standing
      }
    }),
  )
})

test('however often it is asked, an hour has no more than a hundred lines', () => {
  const gaps = fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 50 })
  fc.assert(
    fc.property(gaps, (milliseconds) => {
      const log = memoryLog()
      const view: ProgressView = progressLines(log)
      let now = 0
      for (let index = 0; now < 3_600_000; index += 1) {
        view.show({ seconds: now / 1_000, bytes: 0, idleSeconds: 0 })
        now += milliseconds[index % milliseconds.length] ?? 1_000
      }
      expect(log.lines.length).toBeLessThanOrEqual(100)
    }),
    { numRuns: 20 },
  )
})

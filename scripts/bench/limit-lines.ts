import { parseSize } from '../../src/base/units.ts'
import { runAction, runUntilInputError } from './action.ts'
import { runScript } from './commands.ts'
import { withGateway } from './gateway.ts'
import { boundLine, formatMebibytes } from './line.ts'
import { measure, perTime } from './measure.ts'
import { startProxy } from './proxy.ts'
import { plainSample, runRounds } from './rounds.ts'
import { dumpSet, NewestSet, proveSet, type StoredSet } from './sets.ts'
import { median, summarize } from './statistics.ts'
import type { Experiment, LineResult, Sample, Samples, Subject, Workbench } from './types.ts'

const MEBIBYTE = 2 ** 20
const MEMORY_LIMIT = 300 * MEBIBYTE
const APART_LIMIT = 0.15
const SLOW_BYTES_PER_SECOND = 20e6
const STARTS_PER_ROUND = 5
const SIZES = { small: 'hundred_megabytes', big: 'four_gigabytes' } as const

/** Peak memory of each action with a small and a big database; the last sets are proven by the restore tests. */
const MEMORY: Experiment = {
  id: 'memory',
  title: 'Peak memory',
  lines: ['memory-dump', 'memory-verify', 'memory-restore'],
  databases: [SIZES.small, SIZES.big],
  run: async (bench) => {
    const sets = { small: new NewestSet(), big: new NewestSet() }
    const watch = { memory: true }
    const dumps = (['small', 'big'] as const).map(
      (size): Subject => ({
        name: `dump, ${size}`,
        run: async () => sets[size].replace(await dumpSet(bench, SIZES[size], { watch })),
      }),
    )
    const readers = (['small', 'big'] as const).flatMap((size): Subject[] => [
      { name: `verify, ${size}`, run: () => verifySet(bench, sets[size].set) },
      {
        name: `restore, ${size}`,
        run: async () => {
          const { set } = sets[size]
          const action = await runAction(bench, { action: 'action-restore-test', inputs: set.inputs, watch })
          await proveSet(bench, set, action)
          return action
        },
      },
    ])
    const options = { rounds: bench.options.slowRounds, warmUp: false }
    const samples = {
      ...(await runRounds(bench, 'memory', dumps, options)),
      ...(await runRounds(bench, 'memory', readers, options)),
    }
    await Promise.all([sets.small.remove(), sets.big.remove()])
    return { lines: ['dump', 'verify', 'restore'].map((action) => memoryLine(action, samples, bench)), samples }
  },
}

function verifySet(bench: Workbench, { inputs }: StoredSet): Promise<Sample> {
  const mode = { mode: 'integrity' }
  return runAction(bench, { action: 'action-verify', inputs: { ...inputs, ...mode }, watch: { memory: true } })
}

function memoryLine(action: string, samples: Samples, bench: Workbench): LineResult {
  const peaks = (size: string) =>
    (samples[`${action}, ${size}`] ?? []).map(({ extra }) => extra.peakMemory ?? Number.NaN)
  const [small, big] = [summarize(peaks('small')), summarize(peaks('big'))]
  const apart = Math.abs(big.median - small.median) / small.median
  const peak = Math.max(small.max, big.max)
  const { scale } = bench.options
  return {
    id: `memory-${action}`,
    what: `peak memory of action-${action === 'restore' ? 'restore-test' : action}, ${4_000 * scale} MB in one table`,
    against: `the same of ${100 * scale} MB`,
    target: '≤ 300 MiB, < 15 % apart',
    ours: formatMebibytes(big.median),
    baseline: formatMebibytes(small.median),
    result: `${formatMebibytes(peak)}, ${(apart * 100).toFixed(0)} % apart`,
    spread: `${formatMebibytes(Math.min(small.min, big.min))}–${formatMebibytes(peak)}`,
    cpu: '–',
    verdict: peak <= MEMORY_LIMIT && apart < APART_LIMIT ? 'met' : 'missed',
    values: { small: small.median, big: big.median, peak, apart },
  }
}

/** The limit shrinks with the table, so that it is reached at every scale; the 64 MiB do not. */
const SPOOL: Experiment = {
  id: 'spool',
  title: 'Spool before a slow storage',
  lines: [],
  databases: [SIZES.big],
  run: (bench) =>
    withGateway(bench, async (gateway) => {
      const limit = `${Math.max(16, Math.round(1_024 * bench.options.scale))}MiB`
      const proxy = await startProxy(gateway.endpoint, { bytesPerSecond: SLOW_BYTES_PER_SECOND })
      let set: StoredSet
      try {
        set = await dumpSet(bench, SIZES.big, {
          inputs: { 'spool-limit': limit, 'max-pause': '2h' },
          watch: { disk: true },
          s3: { gateway, endpoint: proxy.endpoint },
        })
      } finally {
        await proxy.stop()
      }
      bench.say(`  spool: ${set.dump.seconds.toFixed(0)} s, paused for ${set.dump.extra.paused?.toFixed(0)} s`)
      await proveSet(bench, set)
      const { seconds, extra } = set.dump
      const line = boundLine({
        id: 'spool',
        what: `spool while dumping one table of ${4_000 * bench.options.scale} MB to slow storage (20 MB/s), limit ${limit}`,
        target: '≤ `spool-limit` + 64 MiB, dump completes',
        values: [extra.peakDisk ?? Number.NaN],
        atMost: (parseSize(limit) ?? 0) + 64 * MEBIBYTE,
        format: formatMebibytes,
        more: { seconds, paused: extra.paused ?? 0 },
      })
      return { lines: [line], samples: { 'action-dump': [plainSample(set.dump)] } }
    }),
}

const ACTIONS = ['action-dump', 'action-verify', 'action-restore-test'] as const

/** The processor's time is counted in hundredths of a second: several starts make one sample. */
const START: Experiment = {
  id: 'start',
  title: 'Start of a bundle',
  lines: [],
  databases: [],
  run: async (bench) => {
    const nothing = { name: 'node -e 0', run: () => startNode(bench) }
    const actions = ACTIONS.map((name) => ({ name, run: () => runUntilInputError(bench, name, STARTS_PER_ROUND) }))
    const samples = await runRounds(bench, 'start', [...actions, nothing])
    const cpu = (name: string) => (samples[name] ?? []).map(({ cpuSeconds }) => cpuSeconds * 1_000)
    const floor = median(cpu('node -e 0'))
    const worst = ACTIONS.map(cpu).sort((a, b) => median(b) - median(a))[0] ?? []
    const format = (milliseconds: number) => `${milliseconds.toFixed(0)} ms`
    const more = Object.fromEntries(ACTIONS.map((name) => [name, median(cpu(name))]))
    const added = worst.map((milliseconds) => milliseconds - floor)
    const { median: result, min, max } = summarize(added)
    const line: LineResult = {
      id: 'start',
      what: 'bundle start to its first input error, processor time, the slowest of the three',
      against: '`node -e 0`',
      target: '≤ +200 ms',
      ours: format(median(worst)),
      baseline: format(floor),
      result: `+${format(result)}`,
      spread: `+${format(min)}–${format(max)}`,
      cpu: '–',
      verdict: result <= 200 ? 'met' : 'missed',
      values: { added: result, floor, ...more },
    }
    return { lines: [line], samples }
  },
}

async function startNode(bench: Workbench): Promise<Sample> {
  const cwd = await bench.directory('start')
  const env = { PATH: process.env.PATH ?? '/usr/bin:/bin' }
  const script = `"$1" -e 0`
  const { value: _, ...sample } = await measure({}, async () => {
    let seconds = 0
    for (let time = 0; time < STARTS_PER_ROUND; time += 1) {
      seconds += (
        await runScript({ script: `exec ${script}`, args: [process.execPath], env, cwd, signal: bench.signal })
      ).seconds
    }
    return { seconds: seconds / STARTS_PER_ROUND }
  })
  return perTime(sample, STARTS_PER_ROUND)
}

export const LIMIT_EXPERIMENTS: readonly Experiment[] = [MEMORY, SPOOL, START]

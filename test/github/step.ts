import { InputError, LifeboatError } from '../../src/base/errors.ts'
import type { Verdict } from '../../src/base/findings.ts'
import type { Meter } from '../../src/base/progress.ts'
import { runMain, type Steps } from '../../src/github/run-main.ts'
import type { Runner, WaitsFor } from '../../src/github/runner.ts'

/** A phase whose bytes stand still after the first MiB. */
function stalling(runner: Runner, title: string, waitsFor?: WaitsFor): Promise<Verdict> {
  const work = async (meter: Meter) => {
    const working = setInterval(() => {}, 1_000)
    meter.expect(2 ** 30, 'exactly')
    meter.add(2 ** 20)
    await new Promise((_, reject) => runner.signal.addEventListener('abort', () => reject(runner.signal.reason)))
    clearInterval(working)
    return 'passed' as const
  }
  return runner.progress(title, work, 1, waitsFor)
}

/** A step as the runner starts it, for run-main.test.ts: `node step.ts <scenario>`. */
const scenarios: Record<string, Steps> = {
  passed: {
    main: async (runner) => {
      runner.setOutput('verdict', 'passed')
      runner.saveState('pid', '42')
      runner.writeSummary('## fine')
      runner.log.info(`temp ${runner.temp}`)
      // Would keep the process alive for ever.
      setInterval(() => {}, 1_000)
      return 'passed'
    },
    post: async (runner) => {
      runner.log.info(`post of ${runner.state('pid')} in ${runner.temp}`)
      throw new LifeboatError('still-there', 'A directory is left.', 'Remove it.')
    },
  },
  unverified: { main: async () => 'unverified' },
  expected: {
    main: async (runner) => {
      runner.mask('hunter22')
      throw new LifeboatError('wrong-password', 'hunter22 was refused\n::error::x', 'Correct `database-url`.')
    },
  },
  inputs: {
    main: async () => {
      throw new InputError([
        { input: 'jobs', given: '0', problem: 'is out of range', accepted: 'a whole number from 1 to 64' },
        { input: 'storage', problem: 'is missing', accepted: 's3://bucket' },
      ])
    },
  },
  defect: {
    main: async () => {
      throw new TypeError('x is not a function')
    },
  },
  stray: {
    main: async () => {
      void Promise.reject(new LifeboatError('late', 'Something failed aside.', 'Try again.'))
      return new Promise(() => setInterval(() => {}, 1_000))
    },
  },
  // That it is shown how far the work is must not hide that there is none any more.
  empty: { main: (runner) => runner.progress('work', () => new Promise(() => {})) },
  stalled: { main: (runner) => stalling(runner, 'Rows') },
  'stalled-storage': { main: (runner) => stalling(runner, 'Retention', 'storage') },
  cancelled: {
    main: async (runner) => {
      runner.log.info('ready')
      const working = setInterval(() => {}, 1_000)
      await new Promise((_, reject) => runner.signal.addEventListener('abort', () => reject(runner.signal.reason)))
      clearInterval(working)
      return 'passed'
    },
  },
  stubborn: {
    main: async (runner) => {
      runner.log.info('ready')
      return new Promise(() => setInterval(() => {}, 1_000))
    },
  },
  /** Masks `secrets`, then says every text of `texts` through everything that leaves. */
  leaks: {
    main: async (runner) => {
      const { secrets, texts } = JSON.parse(process.env.LEAKS ?? '{}') as Record<string, string[]>
      for (const secret of secrets ?? []) runner.mask(secret)
      for (const text of texts ?? []) {
        runner.log.info(text)
        runner.log.warning(text)
        runner.log.debug(text)
        await runner.log.group(text, async () => runner.annotate('warning', text, text))
        runner.writeSummary(text)
      }
      runner.setOutput('report', runner.writeReport({ texts, nested: { list: [{ texts }] }, count: 3 }))
      return 'passed'
    },
  },
}

await runMain('pg-lifeboat test', scenarios[process.argv[2] ?? ''] ?? { main: async () => 'failed' })

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { FOLDER } from './options.ts'
import type { Sample, Samples, Subject, Workbench } from './types.ts'

const runFile = promisify(execFile)

/**
 * Runs the subjects in turn, round by round, so that a machine whose speed drifts is unfair to none; every second round
 * the other way round. The first round (`warmUp`) is not counted. Rejects as soon as one run fails.
 */
export async function runRounds(
  bench: Workbench,
  title: string,
  subjects: readonly Subject[],
  { rounds = bench.options.rounds, warmUp = true }: { rounds?: number; warmUp?: boolean } = {},
): Promise<Samples> {
  const samples: Samples = Object.fromEntries(subjects.map(({ name }) => [name, []]))
  for (let round = warmUp ? 0 : 1; round <= rounds; round += 1) {
    for (const subject of round % 2 === 0 ? subjects.toReversed() : subjects) {
      if (round > (subject.rounds ?? rounds)) continue
      bench.signal.throwIfAborted()
      // What the run before left to be written is not for this one to wait for.
      await runFile('sync', ['-f', FOLDER])
      const sample = await subject.run()
      bench.signal.throwIfAborted()
      const label = round === 0 ? 'warm-up' : `round ${round}/${subject.rounds ?? rounds}`
      bench.say(`  ${title}, ${label}: ${subject.name} ${describeSample(sample)}`)
      if (round > 0) samples[subject.name]?.push(plainSample(sample))
    }
  }
  return samples
}

/** A sample without what its subject put beside it. */
export function plainSample({ seconds, cpuSeconds, cpuByProgram, serverCpuSeconds, extra }: Sample): Sample {
  const server = serverCpuSeconds === undefined ? {} : { serverCpuSeconds }
  return { seconds, cpuSeconds, cpuByProgram, ...server, extra }
}

function describeSample({ seconds, cpuSeconds, serverCpuSeconds }: Sample): string {
  const server = serverCpuSeconds === undefined ? '' : `, server ${serverCpuSeconds.toFixed(2)} s`
  return `${seconds.toFixed(2)} s (CPU ${cpuSeconds.toFixed(2)} s${server})`
}

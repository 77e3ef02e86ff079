import { formatCount } from '../../src/base/units.ts'
import { runBaseline, runUploadBaseline, SCRIPTS } from './baselines.ts'
import type { DatabaseName } from './databases.ts'
import { withGateway } from './gateway.ts'
import { boundLine, ratioLine } from './line.ts'
import { startProxy } from './proxy.ts'
import { runRounds } from './rounds.ts'
import { dumpSet, NewestSet, proveSet } from './sets.ts'
import type { Experiment, ExperimentResult, Subject, Workbench } from './types.ts'

const OURS = 'action-dump'
const BARE = 'pg_dump -Fd -j2 --compress=zstd:1'
const PLAIN = 'pg_dump -Fd -j2'
const GUIDE = 'pg_dump -Fc -Z9'
const SAME_WORK = 'pg_dump, age, sha256sum, SQL hashes'

/** Our dump against scripts, round by round; the last set is restored and proven. */
async function compareDumps(
  bench: Workbench,
  database: DatabaseName,
  baselines: readonly Subject[],
): Promise<ExperimentResult['samples']> {
  const newest = new NewestSet()
  const ours = { name: OURS, run: async () => newest.replace(await dumpSet(bench, database)) }
  const samples = await runRounds(bench, database, [ours, ...baselines])
  await proveSet(bench, newest.set)
  await newest.remove()
  return samples
}

function script(bench: Workbench, database: DatabaseName, name: string, text: string, args: string[] = []): Subject {
  return { name, run: () => runBaseline(bench, database, text, args) }
}

const DUMP: Experiment = {
  id: 'dump',
  title: 'Dump to a directory',
  lines: ['dump-bare', 'dump-same-work', 'dump-guide', 'dump-snapshot'],
  databases: ['anchors'],
  run: async (bench) => {
    const samples = await compareDumps(bench, 'anchors', [
      script(bench, 'anchors', BARE, SCRIPTS.bare),
      script(bench, 'anchors', SAME_WORK, SCRIPTS.sameWork, [bench.recipient]),
      { ...script(bench, 'anchors', GUIDE, SCRIPTS.guide), rounds: bench.options.slowRounds },
    ])
    const ours = samples[OURS] ?? []
    const [bare = [], same = [], guide = []] = [samples[BARE], samples[SAME_WORK], samples[GUIDE]]
    const lines = [
      ratioLine({
        id: 'dump-bare',
        what: 'dump with fingerprints, zstd, age, digests',
        against: `\`${BARE}\``,
        atMost: 1.4,
        ours,
        baseline: bare,
      }),
      ratioLine({
        id: 'dump-same-work',
        what: 'the same',
        against: 'that, then `age` and `sha256sum` on every file, one SQL hash per table',
        atMost: 0.7,
        ours,
        baseline: same,
      }),
      ratioLine({
        id: 'dump-guide',
        what: 'the same',
        against: `\`${GUIDE}\``,
        atMost: 0.2,
        ours,
        baseline: guide,
      }),
      ratioLine({
        id: 'dump-snapshot',
        what: 'time that the snapshot is held on production',
        against: `the duration of \`${BARE}\``,
        atMost: 1.4,
        ours,
        baseline: bare,
        figure: ({ extra }) => extra.snapshotHeld ?? Number.NaN,
      }),
    ]
    return { lines, samples }
  },
}

/** One database against one script. */
function pairExperiment(options: {
  id: string
  title: string
  what: string | ((scale: number) => string)
  database: DatabaseName
  name: string
  text: string
  atMost: number
}): Experiment {
  const { id, title, database, name, text, atMost } = options
  return {
    id,
    title,
    lines: [],
    databases: [database],
    run: async (bench) => {
      const samples = await compareDumps(bench, database, [script(bench, database, name, text)])
      const [ours = [], baseline = []] = [samples[OURS], samples[name]]
      const what = typeof options.what === 'string' ? options.what : options.what(bench.options.scale)
      return { lines: [ratioLine({ id, what, against: `\`${name}\``, atMost, ours, baseline })], samples }
    },
  }
}

const TIMED_LARGE_OBJECTS = pairExperiment({
  id: 'large-objects',
  title: '100,000 large objects',
  what: (scale) => `dump of ${formatCount(Math.round(100_000 * scale))} large objects of 2 kB`,
  database: 'large_objects',
  name: PLAIN,
  text: SCRIPTS.plain,
  atMost: 1.6,
})

const LARGE_OBJECTS: Experiment = {
  ...TIMED_LARGE_OBJECTS,
  lines: ['large-object-requests'],
  run: async (bench) => {
    const { lines, samples } = await TIMED_LARGE_OBJECTS.run(bench)
    const requests = await withGateway(bench, async (gateway) => {
      const proxy = await startProxy(gateway.endpoint)
      try {
        await dumpSet(bench, 'large_objects', { s3: { gateway, endpoint: proxy.endpoint } })
        return proxy.requests()
      } finally {
        await proxy.stop()
      }
    })
    const line = boundLine({
      id: 'large-object-requests',
      what: 'storage requests of that dump, to S3',
      target: '< 2,000',
      values: [requests],
      atMost: 1_999,
      format: String,
    })
    return { lines: [...lines, line], samples }
  },
}

const S3: Experiment = {
  id: 's3',
  title: 'Dump to S3',
  lines: [],
  databases: ['anchors'],
  run: (bench) =>
    withGateway(bench, async (gateway) => {
      const newest = new NewestSet()
      const name = 'pg_dump, then a parallel upload'
      const samples = await runRounds(bench, 's3', [
        { name: OURS, run: async () => newest.replace(await dumpSet(bench, 'anchors', { s3: { gateway } })) },
        { name, run: () => runUploadBaseline(bench, 'anchors', gateway) },
      ])
      await proveSet(bench, newest.set)
      const against = `\`${BARE}\`, then a parallel upload by the same SDK`
      const [ours = [], baseline = []] = [samples[OURS], samples[name]]
      const what = 'dump to S3 (a gateway on this machine)'
      return { lines: [ratioLine({ id: 's3', what, against, atMost: 0.9, ours, baseline })], samples }
    }),
}

export const DUMP_EXPERIMENTS: readonly Experiment[] = [
  DUMP,
  S3,
  pairExperiment({
    id: 'one-table',
    title: 'One table for 95 %',
    what: 'dump of a database that is one table for 95 %',
    database: 'one_table',
    name: BARE,
    text: SCRIPTS.bare,
    atMost: 1.2,
  }),
  pairExperiment({
    id: 'many-tables',
    title: '10,000 tables',
    what: (scale) => `dump of ${formatCount(Math.round(10_000 * scale))} tables of 10 rows`,
    database: 'many_tables',
    name: PLAIN,
    text: SCRIPTS.plain,
    atMost: 1.6,
  }),
  LARGE_OBJECTS,
]

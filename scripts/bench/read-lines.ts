import { readActionFile } from '../lib/action-file.ts'
import { type Action, runAction } from './action.ts'
import { makeLocalCopy, runDigestBaseline, runRestoreBaseline } from './baselines.ts'
import type { DatabaseName } from './databases.ts'
import { withGateway } from './gateway.ts'
import { boundLine, formatMebibytes, missingLine, ratioLine } from './line.ts'
import { ownPartBytes } from './one-table.ts'
import { startProxy } from './proxy.ts'
import { runRounds } from './rounds.ts'
import { dumpSet, proveSet, type StoredSet } from './sets.ts'
import type { Experiment, ExperimentResult, Sample, Workbench } from './types.ts'

const MEBIBYTE = 2 ** 20
const SMALL_TABLE = 'five_megabytes'
const INTO_TUNED = '`pg_restore -Fd -j2` of a local copy into such a server'

const VERIFY: Experiment = {
  id: 'verify',
  title: 'Integrity check',
  lines: [],
  databases: ['anchors'],
  run: async (bench) => {
    const set = await dumpSet(bench, 'anchors')
    const inputs = { ...set.inputs, mode: 'integrity' }
    const samples = await runRounds(bench, 'verify', [
      { name: 'action-verify', run: () => runAction(bench, { action: 'action-verify', inputs }) },
      { name: 'age | zstd | sha256sum', run: () => runDigestBaseline(bench, set.folder ?? '') },
    ])
    await proveSet(bench, set)
    const line = ratioLine({
      id: 'verify',
      what: 'integrity check of that set',
      against: '`age -d | zstd -d | sha256sum`, 2 parts at a time',
      atMost: 1.1,
      ours: samples['action-verify'] ?? [],
      baseline: samples['age | zstd | sha256sum'] ?? [],
    })
    return { lines: [line], samples }
  },
}

function restoreSet(bench: Workbench, { inputs, env }: StoredSet, more: Record<string, string> = {}): Promise<Action> {
  return runAction(bench, {
    action: 'action-restore-test',
    inputs: { ...inputs, ...more },
    env,
    watch: { disk: true },
  })
}

/** From the start of the process to its end, less what it took to make and start the server. */
function withoutServer({ seconds, extra }: Sample): number {
  return seconds - (extra['stage server'] ?? 0)
}

async function compareRestores(
  bench: Workbench,
  line: { id: string; what: string; atMost: number; database: DatabaseName },
): Promise<ExperimentResult> {
  const { database } = line
  const set = await dumpSet(bench, database)
  const copy = await makeLocalCopy(bench, database)
  let last: Action | undefined
  const ours = async () => {
    last = await restoreSet(bench, set)
    return last
  }
  const samples = await runRounds(
    bench,
    line.id,
    [
      { name: 'action-restore-test', run: ours },
      { name: 'pg_restore', run: () => runRestoreBaseline(bench, copy) },
    ],
    { rounds: bench.options.slowRounds },
  )
  await proveSet(bench, set, last)
  const [runs = [], baseline = []] = [samples['action-restore-test'], samples.pg_restore]
  const timed = ratioLine({ ...line, against: INTO_TUNED, ours: runs, baseline, figure: withoutServer })
  return { lines: [timed], samples }
}

const RESTORE: Experiment = {
  id: 'restore',
  title: 'Restore test',
  lines: ['restore-disk'],
  databases: ['anchors'],
  run: async (bench) => {
    const what = 'restore test, fetch to verdict'
    const { lines, samples } = await compareRestores(bench, { id: 'restore', what, atMost: 1.2, database: 'anchors' })
    const disk = boundLine({
      id: 'restore-disk',
      what: 'disk used by a restore besides the cluster',
      target: '≤ 64 MiB',
      values: (samples['action-restore-test'] ?? []).map(({ extra }) => extra.peakDisk ?? Number.NaN),
      atMost: 64 * MEBIBYTE,
      format: formatMebibytes,
    })
    return { lines: [...lines, disk], samples }
  },
}

const INDEX_LIGHT: Experiment = {
  id: 'restore-index-light',
  title: 'Restore test of an index-light database',
  lines: [],
  databases: ['index_light'],
  run: (bench) =>
    compareRestores(bench, {
      id: 'restore-index-light',
      what: 'restore test of an index-light database',
      atMost: 1.3,
      database: 'index_light',
    }),
}

const ONE_TABLE_LINES = [
  {
    id: 'restore-one-table',
    what: 'one 5 MB table restored out of the set',
    against: 'the whole restore',
    target: '≤ 0.15 ×',
  },
  {
    id: 'restore-one-table-reading',
    what: 'bytes read for it',
    against: '–',
    target: '≤ its own parts + 16 MiB',
  },
] as const

const ONE_TABLE: Experiment = {
  id: 'restore-one-table',
  title: 'One table out of the set',
  lines: ['restore-one-table-reading'],
  databases: ['anchors'],
  run: async (bench) => {
    const { inputs } = await readActionFile(`${bench.options.actions}/action-restore-test`)
    if (inputs.tables === undefined) return { lines: ONE_TABLE_LINES.map(missingLine), samples: {} }
    const tables = `public.${SMALL_TABLE}`
    const set = await dumpSet(bench, 'anchors')
    const samples = await runRounds(
      bench,
      'one table',
      [
        { name: 'one table', run: () => restoreSet(bench, set, { tables }) },
        { name: 'all tables', run: () => restoreSet(bench, set) },
      ],
      { rounds: bench.options.slowRounds },
    )
    const [timed, reading] = ONE_TABLE_LINES
    const strip = (sample: Sample) => ({ ...sample, seconds: withoutServer(sample) })
    const [one = [], all = []] = [samples['one table']?.map(strip), samples['all tables']?.map(strip)]
    const { bytesRead, ownBytes } = await readOneTable(bench, tables)
    const line = boundLine({
      ...reading,
      values: [bytesRead],
      atMost: ownBytes + 16 * MEBIBYTE,
      format: formatMebibytes,
      more: { ownBytes },
    })
    return { lines: [ratioLine({ ...timed, atMost: 0.15, ours: one, baseline: all }), line], samples }
  },
}

async function readOneTable(bench: Workbench, tables: string): Promise<{ bytesRead: number; ownBytes: number }> {
  return await withGateway(bench, async (gateway) => {
    const set = await dumpSet(bench, 'anchors', { s3: { gateway } })
    const proxy = await startProxy(gateway.endpoint)
    try {
      await restoreSet(bench, set, { tables, 's3-endpoint': proxy.endpoint })
      return { bytesRead: proxy.bytesDown(), ownBytes: await ownPartBytes(bench, set, SMALL_TABLE) }
    } finally {
      await proxy.stop()
    }
  })
}

export const READ_EXPERIMENTS: readonly Experiment[] = [VERIFY, RESTORE, ONE_TABLE, INDEX_LIGHT]

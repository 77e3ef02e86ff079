import type { DumpedTable } from '../backup-set/documents.ts'
import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import { addFingerprints, type Fingerprint, sameFingerprint } from '../streams/fingerprint.ts'
import type { Check } from './check.ts'
import { type Inside, lookInside } from './reading.ts'

export const rowsCheck: Check = {
  id: 'rows',
  title: 'The stored rows are the rows that were dumped',
  modes: ['integrity'],
  vouches: true,
  run: lookInside((inside) => {
    const findings: Finding[] = []
    const read = inside.contents.tables.map((table) => readOf(table, inside)).filter((one) => one !== undefined)
    for (const { table, problem } of read) {
      if (problem) findings.push(different(`the rows of ${table.schema}.${table.name}`, problem === 'missing'))
    }
    const rows = read.reduce((sum, { problem, rows }) => sum + (problem ? 0 : rows), 0)
    const objects = largeObjects(inside)
    if (objects?.problem) findings.push(different('the large objects', objects.problem === 'missing'))
    const tables = `${formatCount(read.length)} tables, ${formatCount(rows)} rows`
    const summary = objects && objects.count > 0 ? `${tables}, ${formatCount(objects.count)} large objects` : tables
    return { summary, findings: findings.slice(0, 20) }
  }),
}

interface ReadTable {
  table: DumpedTable
  rows: number
  problem?: 'missing' | 'different'
}

/** What was read of a table against what was dumped; undefined where nothing of it was to be read. */
function readOf(table: DumpedTable, { contents, fingerprints, segments, covers }: Inside): ReadTable | undefined {
  const file = contents.files.find(({ name }) => name === table.file)
  const pieces = file?.segments ?? []
  const paths = file?.bundle === undefined ? pieces.map(({ path }) => path) : [file.bundle]
  if (file !== undefined && paths.length > 0 && !paths.some(covers)) return undefined
  if (file === undefined || paths.every(covers)) {
    const stored = fingerprints.get(table.file)
    return { table, rows: stored?.rows ?? 0, ...problemOf(stored, table.fingerprint) }
  }
  // Of a table in several slices each shows that its segments are right, and that all segments together are the table.
  const whole = addFingerprints(...pieces.flatMap(({ fingerprint }) => fingerprint ?? []))
  const read = pieces.filter(({ path }) => covers(path))
  const stored = read.flatMap(({ path }) => segments.get(path)?.fingerprint ?? [])
  const expected = read.flatMap(({ fingerprint }) => fingerprint ?? [])
  const equal = stored.length === read.length && expected.length === read.length
  const each = equal && stored.every((one, index) => sameFingerprint(one, expected[index] ?? whole))
  const { rows } = addFingerprints(...stored)
  if (each && sameFingerprint(whole, table.fingerprint)) return { table, rows }
  return { table, rows, problem: stored.length < read.length ? 'missing' : 'different' }
}

function problemOf(stored: Fingerprint | undefined, dumped: Fingerprint): Pick<ReadTable, 'problem'> {
  if (stored === undefined) return { problem: 'missing' }
  return sameFingerprint(stored, dumped) ? {} : { problem: 'different' }
}

/** Their fingerprint is one for all of them: it can be compared where all were read. */
function largeObjects({ contents, fingerprints, covers }: Inside) {
  const parts = contents.files
    .filter(({ name }) => name.startsWith('blob_'))
    .flatMap(({ bundle, segments = [] }) => bundle ?? segments.map(({ path }) => path))
  if (!parts.every(covers)) return undefined
  const objects = [...fingerprints].filter(([name]) => name.startsWith('blob_')).map(([, sum]) => sum)
  const { count, fingerprint } = contents.largeObjects
  if (objects.length === count && sameFingerprint(addFingerprints(...objects), fingerprint)) return { count }
  return { count, problem: objects.length < count ? ('missing' as const) : ('different' as const) }
}

function different(what: string, missing: boolean): Finding {
  return {
    severity: 'failure',
    message: `${what} ${missing ? 'are not all there' : 'are not those that were dumped'}`,
    remedy: 'Restore from another set, and take a new dump.',
  }
}

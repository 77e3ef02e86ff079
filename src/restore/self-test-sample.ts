import { Readable } from 'node:stream'
import type { Contents, DumpedFile, DumpedTable } from '../backup-set/documents.ts'
import { type OpenSet, type PartSource, partAt, plainBytes } from '../backup-set/open-set.ts'
import { type TableDataEntry, type Toc, tableDataEntries } from '../postgres/toc.ts'
import type { AgeIdentity } from '../streams/age.ts'
import { unpackBundle } from '../streams/bundle.ts'
import { COPY_END_MARKER, copyRows } from '../streams/copy-file.ts'
import { EMPTY_FINGERPRINT, type Fingerprint, LineFingerprinter } from '../streams/fingerprint.ts'
import { seal } from '../streams/seal.ts'
import { columnNames } from './root-rows.ts'

/** Rows of one table of a set, as they came out of its parts. */
export interface Sample {
  entry: TableDataEntry
  table: DumpedTable
  /** Whole lines of COPY text, at least one. */
  rows: Buffer
  fingerprint: Fingerprint
}

/** Enough to be damaged. */
const SAMPLE_BYTES = 4 << 20
/** A first row that is longer is left alone. */
const LONGEST_ROW = 64 << 20
const LINE_END = 0x0a

/** Where a set is read from, and with what. */
export interface SampleSource {
  set: OpenSet
  contents: Contents
  toc: Toc
  identities: readonly AgeIdentity[]
  signal: AbortSignal
}

/**
 * Rows of the smallest table that has any; undefined where none does. Partitions that are loaded by way of their root are
 * left out, since their rows do not come back where they were.
 */
export async function takeSample(source: SampleSource): Promise<Sample | undefined> {
  const { contents, toc } = source
  const tables = new Map(contents.tables.map((table) => [table.file, table]))
  const candidates = tableDataEntries(toc).flatMap((entry) => {
    const table = tables.get(entry.fileName)
    const isUsable =
      table && table.fingerprint.rows > 0 && !entry.viaPartitionRoot && columnNames(entry.columns).length > 0
    return isUsable ? [{ entry, table }] : []
  })
  const [smallest] = candidates.sort((a, b) => a.table.fingerprint.bytes - b.table.fingerprint.bytes)
  const file = contents.files.find(({ name }) => name === smallest?.entry.fileName)
  if (smallest === undefined || file === undefined) return undefined
  const rows = await firstRows(readRows(source, file))
  return rows && { ...smallest, rows, fingerprint: fingerprintOf(rows) }
}

function fingerprintOf(rows: Buffer): Fingerprint {
  const lines = new LineFingerprinter()
  lines.update(rows)
  return lines.digest()
}

/** The rows of a file, or of its smallest segment that has some. */
async function* readRows({ set, identities, signal }: SampleSource, file: DumpedFile): AsyncGenerator<Buffer> {
  const open = (path: string) => plainBytes(set, partAt(set, path), identities, signal)
  const { bundle, segments = [] } = file
  if (bundle !== undefined) {
    for await (const { name, content } of unpackBundle(open(bundle))) if (name === file.name) yield* copyRows(content)
    return
  }
  const filled = segments.filter(({ fingerprint }) => fingerprint !== undefined && fingerprint.rows > 0)
  const [smallest] = filled.sort((a, b) => a.plainBytes - b.plainBytes)
  if (smallest === undefined) return
  yield* smallest === segments.at(-1) ? copyRows(open(smallest.path)) : open(smallest.path)
}

/** The first whole lines, up to about 4 MiB; undefined where there is none. */
async function firstRows(source: AsyncIterable<Buffer>): Promise<Buffer | undefined> {
  let taken = Buffer.alloc(0)
  for await (const chunk of source) {
    // A copy, since a chunk is only lent.
    taken = Buffer.concat([taken, chunk])
    const isEnough = taken.length >= SAMPLE_BYTES && taken.includes(LINE_END)
    if (isEnough || taken.length >= LONGEST_ROW) break
  }
  const end = taken.lastIndexOf(LINE_END) + 1
  return end > 0 ? taken.subarray(0, end) : undefined
}

/** What `loadRows` and `proveTables` need to know of a set. */
export interface SampleSet {
  set: PartSource
  contents: Contents
  toc: Toc
}

/**
 * A set that holds nothing but `rows` as those of the sample's table, sealed so that every digest is right, and says that
 * the sample's own rows were dumped. It lies in memory: nobody else sees it.
 */
export async function setWith(rows: Buffer, sample: Sample, source: SampleSource): Promise<SampleSet> {
  const { entry, table, fingerprint } = sample
  const plain = Buffer.concat([rows, COPY_END_MARKER])
  const sealed = seal(Readable.from([plain]), { level: 1, recipients: [] }, source.signal)
  const stored: Buffer[] = []
  for await (const chunk of sealed.stream) stored.push(Buffer.from(chunk))
  const path = 'database/self-test.dat.zst'
  const part = { path, ...sealed.result() }
  const segment = { path, plainBytes: plain.length, fingerprint }
  const { set, contents, toc } = source
  return {
    set: { head: set.head, manifest: { parts: [part] }, storage: { get: async () => Readable.from(stored) } },
    contents: {
      ...contents,
      files: [{ name: entry.fileName, plainBytes: plain.length, segments: [segment] }],
      tables: [{ ...table, fingerprint }],
      largeObjects: { count: 0, fingerprint: EMPTY_FINGERPRINT },
    },
    toc: { ...toc, entries: toc.entries.filter(({ dumpId, desc }) => dumpId === entry.dumpId || desc === 'ENCODING') },
  }
}

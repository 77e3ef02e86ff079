import { LifeboatError } from '../base/errors.ts'
import { archiveText } from './archive-text.ts'
import { type CopyTarget, parseCopyStatement } from './copy-statement.ts'
import type { Toc, TocEntry } from './toc-types.ts'

/** An entry with the rows of one table. */
export interface TableDataEntry extends CopyTarget {
  dumpId: number
  /** OID of the table on the source. */
  oid: number
  /** The table's own schema and name, unquoted. */
  schema: string
  name: string
  fileName: string
  copyStmt: string
  /**
   * True where the rows go to the root of the partition tree (`table` names it), as pg_dump does for hash partitions
   * by an enum: the rows of one leaf may land in another one, so only the root's total is comparable.
   */
  viaPartitionRoot: boolean
}

/** An entry with large objects: `fileName` lists them, a line `<oid> <file>` each. */
export interface LargeObjectsEntry {
  dumpId: number
  fileName: string
}

export interface SequenceSet {
  dumpId: number
  oid: number
  schema: string
  name: string
  /** int8 as text. */
  lastValue: string
  isCalled: boolean
}

/** The entries with table rows, in the archive's order. Throws LifeboatError `damaged-toc`. */
export function tableDataEntries(toc: Toc): TableDataEntry[] {
  const text = archiveText(toc)
  return entriesOf(toc, 'TABLE DATA').map((entry) => {
    const { dumpId, oid, tag, namespace, fileName } = entry
    if (namespace === null || fileName === undefined || !entry.copyStmt) return fail(entry)
    const viaPartitionRoot = entry.defn?.startsWith('-- load via partition root ') ?? false
    const [schema, name, copyStmt] = [text(namespace), text(tag), text(entry.copyStmt)]
    return { dumpId, oid, schema, name, fileName, copyStmt, ...parseCopyStatement(copyStmt), viaPartitionRoot }
  })
}

/** The entries with large objects: at most one up to PostgreSQL 16, one for every 1,000 objects or so since 17. */
export function largeObjectsEntries(toc: Toc): LargeObjectsEntry[] {
  return entriesOf(toc, 'BLOBS').map((entry) => ({ dumpId: entry.dumpId, fileName: entry.fileName ?? fail(entry) }))
}

/**
 * The OIDs of the large objects that the archive creates, by the entry that holds their contents: one entry for all up to
 * PostgreSQL 16 (they stand in single `BLOB` entries), one for each `BLOB METADATA` entry since 17.
 */
export function largeObjectGroups(toc: Toc): number[][] {
  const lists = entriesOf(toc, 'BLOB METADATA').map((entry) => (entry.defn ?? '').split('\n').filter(Boolean))
  const singles = entriesOf(toc, 'BLOB').map((entry) => entry.tag)
  return [...lists, singles].filter((tags) => tags.length > 0).map((tags) => tags.map(Number))
}

/** All of them, ascending. */
export function largeObjectIds(toc: Toc): number[] {
  return largeObjectGroups(toc)
    .flat()
    .sort((a, b) => a - b)
}

/** Reads a `blobs.toc` or `blobs_<id>.toc` file. Throws LifeboatError `damaged-toc`. */
export function parseLargeObjectsFile(text: string): { oid: number; fileName: string }[] {
  const lines = text.split('\n')
  if (lines.pop() !== '') return failWith('a list of large objects ends in the middle of a line')
  return lines.map((line) => {
    const match = /^([1-9]\d{0,9}) (blob_\d+\.dat)$/.exec(line)
    if (match?.[1] === undefined || match[2] === undefined) return failWith('a list of large objects has an odd line')
    return { oid: Number(match[1]), fileName: match[2] }
  })
}

/** What every sequence will be set to. Throws LifeboatError `damaged-toc`. */
export function sequenceSets(toc: Toc): SequenceSet[] {
  const text = archiveText(toc)
  return entriesOf(toc, 'SEQUENCE SET').map((entry) => {
    const match = /^SELECT pg_catalog\.setval\(E?'(?:[^']|'')+', (-?\d+), (true|false)\);\s*$/.exec(entry.defn ?? '')
    const { dumpId, oid, namespace, tag } = entry
    if (match?.[1] === undefined || namespace === null) return fail(entry)
    return { dumpId, oid, schema: text(namespace), name: text(tag), lastValue: match[1], isCalled: match[2] === 'true' }
  })
}

/** The encoding that the archive's text and rows are in, in PostgreSQL's spelling: `UTF8`. */
export function archiveEncoding(toc: Toc): string {
  const defn = entriesOf(toc, 'ENCODING')[0]?.defn ?? ''
  return /^SET client_encoding = '([A-Za-z0-9_]+)';/.exec(defn)?.[1] ?? failWith('no encoding is given')
}

function entriesOf(toc: Toc, desc: string): TocEntry[] {
  return toc.entries.filter((entry) => entry.desc === desc)
}

function fail(entry: TocEntry): never {
  return failWith(`entry ${entry.dumpId} (${entry.desc}) is incomplete`)
}

function failWith(what: string): never {
  throw new LifeboatError(
    'damaged-toc',
    `the archive's table of contents is damaged: ${what}`,
    'Take another backup set; the integrity mode of action-verify says which parts of this one are damaged.',
  )
}

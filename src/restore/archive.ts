import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Contents } from '../backup-set/documents.ts'
import { type OpenSet, partAt, plainBytes } from '../backup-set/open-set.ts'
import { LifeboatError } from '../base/errors.ts'
import { findGaps } from '../postgres/archive-gaps.ts'
import type { Inventory } from '../postgres/inventory.ts'
import { parseToc, type Toc, type TocEntry, tableDataEntries } from '../postgres/toc.ts'
import type { AgeIdentity } from '../streams/age.ts'

/** A directory-format archive of which only `toc.dat` is on disk: pg_restore needs no more for schema and constraints. */
export interface LocalArchive {
  directory: string
  toc: Toc
}

/** Files for `pg_restore --use-list`. */
export interface ArchiveLists {
  preData: string
  /** Section data without what this project restores itself. */
  rest: string
}

/** What section data may hold. Rows and large objects are restored by this project; statistics not at all. */
const OWN_DATA = new Set(['TABLE DATA', 'BLOBS', 'STATISTICS DATA'])
const PG_RESTORE_DATA = new Set(['SEQUENCE SET', 'BLOB', 'BLOB METADATA', 'ACL', 'COMMENT', 'SECURITY LABEL'])

/**
 * Fetches the table of contents and lays out the archive below `parent`. Errors: those of reading a part, `damaged-toc`,
 * `unknown-archive-entry`.
 */
export async function fetchArchive(
  set: OpenSet,
  identities: readonly AgeIdentity[],
  parent: string,
  signal: AbortSignal,
): Promise<LocalArchive> {
  const path = set.encrypted ? 'database/toc.dat.zst.age' : 'database/toc.dat.zst'
  const bytes = await readPart(set, path, identities, signal)
  const toc = parseToc(bytes)
  assertKnownEntries(toc)
  const directory = join(parent, 'archive')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await writeFile(join(directory, 'toc.dat'), bytes)
  return { directory, toc }
}

/** Writes down below `parent` which of the entries pg_restore is to restore before the rows, in each of its runs. */
export async function writeLists(entries: readonly TocEntry[], parent: string): Promise<ArchiveLists> {
  const lists = { preData: join(parent, 'pre-data.list'), rest: join(parent, 'rest.list') }
  await writeList(lists.preData, entries)
  await writeList(
    lists.rest,
    entries.filter(({ desc }) => !OWN_DATA.has(desc)),
  )
  return lists
}

/** A file for `pg_restore --use-list`. */
export function writeList(path: string, entries: readonly TocEntry[]): Promise<void> {
  return writeFile(path, entries.map(({ dumpId }) => `${dumpId};\n`).join(''))
}

/** The plain bytes of one part, for parts that are small. */
export async function readPart(
  set: OpenSet,
  path: string,
  identities: readonly AgeIdentity[],
  signal: AbortSignal,
): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of plainBytes(set, partAt(set, path), identities, signal)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/**
 * Fails with `damaged-document` unless contents and archive tell of the same tables: what one of them does not know would
 * neither be loaded nor be missed.
 */
export function assertSameTables({ id, tables, files }: Contents, toc: Toc): void {
  const stored = new Set(files.flatMap(({ name, segments, bundle }) => (segments || bundle ? [name] : [])))
  const told = new Set(tables.map(({ dumpId, file }) => `${dumpId} ${file}`))
  const entries = tableDataEntries(toc)
  const agree = entries.every(({ dumpId, fileName }) => told.has(`${dumpId} ${fileName}`) && stored.has(fileName))
  if (agree && entries.length === told.size) return
  throw new LifeboatError(
    'damaged-document',
    `The contents and the archive of ${id} do not tell of the same tables`,
    'Restore from another set; if this one was never touched, please report it.',
  )
}

/**
 * Fails with `damaged-document` unless the archive has rows of every table, and a value of every sequence, that the
 * catalog showed to the dump: their table would come back empty, and nothing else would miss them.
 */
export function assertNoGaps({ id, inventory, excluded }: Contents, toc: Toc): void {
  const known = new Set(excluded.map(({ schema, name }) => JSON.stringify([schema, name])))
  const { tables, sequences } = findGaps(inventory as Inventory, toc)
  const [gap] = [...tables, ...sequences].filter(({ schema, name }) => !known.has(JSON.stringify([schema, name])))
  if (gap === undefined) return
  throw new LifeboatError(
    'damaged-document',
    `The database had ${gap.identity} when ${id} was taken, and the archive holds nothing of it`,
    'Restore from another set, and take a new dump; if this one was never touched, please report it.',
  )
}

function assertKnownEntries(toc: Toc): void {
  const unknown = toc.entries.find(
    ({ section, desc }) => section === 'data' && !OWN_DATA.has(desc) && !PG_RESTORE_DATA.has(desc),
  )
  if (!unknown) return
  throw new LifeboatError(
    'unknown-archive-entry',
    `The archive holds data of a kind that is not known here: ${unknown.desc}`,
    'Use a newer release of pg-lifeboat, or restore the set by hand with its RESTORE.md.',
  )
}

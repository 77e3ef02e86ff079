import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import type { Contents, DumpedFile, DumpedTable } from '../backup-set/documents.ts'
import { type PartSource, partAt, plainBytes } from '../backup-set/open-set.ts'
import { LifeboatError } from '../base/errors.ts'
import { type Meter, metered, silentMeter } from '../base/progress.ts'
import type { Database } from '../postgres/database.ts'
import { type TableDataEntry, type Toc, tableDataEntries } from '../postgres/toc.ts'
import type { AgeIdentity } from '../streams/age.ts'
import { unpackBundle } from '../streams/bundle.ts'
import { copyRows } from '../streams/copy-file.ts'
import { type Fingerprint, LineFingerprinter, sameFingerprint } from '../streams/fingerprint.ts'
import { LARGE_OBJECT_BATCH_BYTES, type LargeObject, type LargeObjectSink, readOid } from './large-objects.ts'
import type { RestoreError } from './pg-restore.ts'
import type { RootRows } from './root-rows.ts'
import { describeServerError, failureOf } from './server-messages.ts'

export interface LoaderOptions {
  set: PartSource
  contents: Contents
  toc: Toc
  identities: readonly AgeIdentity[]
  target: Database
  largeObjects: LargeObjectSink
  /** Told of the rows that go by, where leaves of a partition root have their columns in other orders. */
  rootRows?: RootRows
  /** OIDs of partitions whose rows must not be loaded via their root: it may send them to another server. */
  besideForeign?: ReadonlySet<number>
  signal: AbortSignal
  /** Told of the plain bytes of all files. */
  meter: Meter
  /** What the server refuses is added to it. */
  errors: RestoreError[]
  /** Called when a loader has locked a table, until its load ends. */
  onLock?: () => void
}

/** What one connection does at a time: segments of one file, or all files of one bundle. */
export type Load =
  | { kind: 'segments'; bytes: number; file: DumpedFile; indexes: readonly number[] }
  | { kind: 'bundle'; bytes: number; path: string }

/** COPY text that goes into a table by a COPY of its own. */
interface Piece {
  rows: () => AsyncIterable<Buffer>
  expected: Fingerprint
  /** Its part once more, which ends with an error if it is damaged; undefined where whoever unpacks it reads it to its end. */
  again?: () => AsyncIterable<Buffer>
}

/** Why rows are not loaded; `examine.ts` knows it by its words. */
const REACHES_OUT = 'its rows are loaded via a partitioned table that has a partition on another server'

/** One connection, and what it loads through it. */
export class Loader {
  /** The entry whose table is locked for the load that goes on, until its rows are there for everybody to see. */
  locked: TableDataEntry | undefined
  /** How much of the load that goes on is still to come; 0 between loads. */
  bytesLeft = 0
  readonly #options: LoaderOptions
  readonly #entries: Map<string, TableDataEntry>
  readonly #tables: Map<string, DumpedTable>
  /** OIDs of the tables that this restore has made: an extension has put rows of its own into the others. */
  readonly #created: Set<number>
  readonly #refused = new Set<string>()
  #client: pg.Client | undefined

  constructor(options: LoaderOptions) {
    this.#options = options
    this.#entries = new Map(tableDataEntries(options.toc).map((entry) => [entry.fileName, entry]))
    this.#created = new Set(options.toc.entries.flatMap(({ desc, oid }) => (desc === 'TABLE' ? [oid] : [])))
    this.#tables = new Map(options.contents.tables.map((table) => [table.file, table]))
  }

  async close(): Promise<void> {
    await this.#client?.end().catch(() => undefined)
  }

  async load(load: Load): Promise<void> {
    this.bytesLeft = load.bytes
    const meter: Meter = {
      ...silentMeter,
      add: (bytes) => {
        this.bytesLeft -= bytes
        this.#options.meter.add(bytes)
      },
    }
    if (load.kind === 'bundle') await this.#loadBundle(load.path, meter)
    else await this.#loadSegments(load.file, load.indexes, meter)
    // What nobody wanted, or the server refused in its midst, is through as well.
    this.#options.meter.add(Math.max(0, this.bytesLeft))
    this.bytesLeft = 0
  }

  async #loadSegments(file: DumpedFile, indexes: readonly number[], meter: Meter): Promise<void> {
    const { set, identities, signal } = this.#options
    const segments = file.segments ?? []
    const partOf = (path: string) => plainBytes(set, partAt(set, path), identities, signal)
    const bytesOf = (path: string) => metered(partOf(path), meter)
    const oid = readOid(file.name)
    if (oid !== undefined) {
      for (const index of indexes) {
        const offset = segments.slice(0, index).reduce((sum, { plainBytes: before }) => sum + before, 0)
        await this.#writeLargeObject(oid, offset, bytesOf(segments[index]?.path ?? ''))
      }
      return
    }
    const entry = this.#entries.get(file.name)
    // The lists of large objects: their order is of no use to us.
    if (entry === undefined) return
    const pieces = indexes.flatMap((index): Piece[] => {
      const { path = '', fingerprint } = segments[index] ?? {}
      if (fingerprint === undefined) return []
      const isLast = index === segments.length - 1
      const rows = () => (isLast ? copyRows(bytesOf(path)) : bytesOf(path))
      return [{ rows, expected: fingerprint, again: () => partOf(path) }]
    })
    await this.#copy(entry, pieces, indexes.length === segments.length)
  }

  async #loadBundle(path: string, meter: Meter): Promise<void> {
    const { set, identities, signal } = this.#options
    let objects: LargeObject[] = []
    let bytes = 0
    for await (const member of unpackBundle(plainBytes(set, partAt(set, path), identities, signal))) {
      const { name } = member
      const content = metered(member.content, meter)
      const oid = readOid(name)
      const entry = this.#entries.get(name)
      const table = this.#tables.get(name)
      // None is wanted where only tables are.
      if (oid !== undefined && this.#options.contents.largeObjects.count > 0) {
        objects.push({ oid, content: await gather(content) })
        bytes += member.bytes
      } else if (entry && table) {
        const { fingerprint: expected } = table
        await this.#copy(entry, [{ rows: () => copyRows(content), expected }], false)
      } else for await (const _ of content);
      if (bytes < LARGE_OBJECT_BATCH_BYTES) continue
      await this.#writeLargeObjects(objects)
      objects = []
      bytes = 0
    }
    await this.#writeLargeObjects(objects)
  }

  /**
   * `alone`: a large file, and nothing else loads into its table: emptied first, its rows need no WAL (wal_level=minimal),
   * and are written as those of a transaction that ended long ago, so that whoever reads them first need not write that
   * down. For a small one that does not pay: TRUNCATE looks through all of shared_buffers.
   */
  async #copy(entry: TableDataEntry, pieces: readonly Piece[], alone: boolean): Promise<void> {
    if (entry.viaPartitionRoot && this.#options.besideForeign?.has(entry.oid)) {
      this.#refuse(`TABLE DATA ${entry.schema}.${entry.name}`, REACHES_OUT)
      for (const { rows } of pieces) for await (const _ of rows());
      return
    }
    const client = await this.#connection()
    const own = `${client.escapeIdentifier(entry.schema)}.${client.escapeIdentifier(entry.name)}`
    const mayEmpty = this.#created.has(entry.oid) && !entry.viaPartitionRoot
    const truncate = alone && mayEmpty
    try {
      if (truncate) {
        await client.query(`begin; truncate only ${own}`)
        this.locked = entry
        this.#options.onLock?.()
      }
      for (const { rows, expected } of pieces) {
        const proven = checked(rows(), expected, own)
        const seen = this.#options.rootRows?.watch(entry, proven) ?? proven
        await pipeline(seen, client.query(copyFrom(this.#statement(entry, truncate))))
      }
      if (truncate) await client.query('commit')
    } catch (error) {
      this.#options.signal.throwIfAborted()
      // COPY undoes its own rows; those of the table's other segments go here. If the connection is gone, so is all of it.
      const undo = truncate ? 'rollback' : `truncate only ${own}`
      if (truncate || mayEmpty) await client.query(undo).catch(() => undefined)
      await assertWhole(error, pieces)
      this.#note(`TABLE DATA ${entry.schema}.${entry.name}`, error)
    } finally {
      this.locked = undefined
    }
  }

  /** The archive's own statement, with the encoding of its rows said in it: the session's is for the statement's text. */
  #statement(entry: TableDataEntry, freeze: boolean): string {
    const encoding = this.#options.contents.databaseFacts.encoding
    const options = `encoding '${encoding}'${freeze ? ', freeze' : ''}`
    return `${entry.copyStmt.trim().replace(/;$/, '')} with (${options})`
  }

  async #writeLargeObject(oid: number, offset: number, content: AsyncIterable<Buffer>): Promise<void> {
    try {
      await this.#options.largeObjects.write(await this.#connection(), oid, offset, content)
    } catch (error) {
      this.#options.signal.throwIfAborted()
      this.#note(`LARGE OBJECT ${oid}`, error)
    }
  }

  async #writeLargeObjects(objects: readonly LargeObject[]): Promise<void> {
    if (objects.length === 0) return
    try {
      await this.#options.largeObjects.writeAll(await this.#connection(), objects)
    } catch (error) {
      this.#options.signal.throwIfAborted()
      const failure = failureOf(error)
      if (failure !== undefined) throw failure
      // One by one, to learn which of them the server refuses.
      for (const { oid, content } of objects) await this.#writeLargeObject(oid, 0, only(content))
    }
  }

  /** Notes what the server refused; throws anything else. */
  #note(subject: string, error: unknown): void {
    const failure = failureOf(error)
    if (failure !== undefined) throw failure
    this.#refuse(subject, describeServerError(error))
  }

  #refuse(subject: string, message: string): void {
    if (this.#refused.has(subject)) return
    this.#refused.add(subject)
    this.#options.errors.push({ stage: 'rows', subject, message })
  }

  async #connection(): Promise<pg.Client> {
    this.#client ??= await this.#options.target.connect('restore')
    return this.#client
  }
}

/**
 * A flipped bit may make a row that the server refuses before the end of its part, where the digest is. Then damage is what
 * there is to tell, and not that production holds such rows.
 */
async function assertWhole(error: unknown, pieces: readonly Piece[]): Promise<void> {
  if (failureOf(error) !== undefined) return
  for (const { again } of pieces) if (again !== undefined) for await (const _ of again());
}

async function gather(content: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of content) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function* only(content: Buffer): AsyncGenerator<Buffer> {
  yield content
}

/** The same rows; ends with an error, before COPY is ended, unless they are what was dumped. */
async function* checked(rows: AsyncIterable<Buffer>, expected: Fingerprint, table: string): AsyncGenerator<Buffer> {
  const lines = new LineFingerprinter()
  for await (const chunk of rows) {
    lines.update(chunk)
    yield chunk
  }
  if (sameFingerprint(lines.digest(), expected)) return
  throw new LifeboatError(
    'damaged-rows',
    `The stored rows of ${table} are not the rows that were dumped: their fingerprint differs`,
    'Do not rely on this set: restore test the one before it, and take a new dump.',
  )
}

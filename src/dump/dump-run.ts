import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DumpedFile, DumpedTable } from '../backup-set/documents.ts'
import { LifeboatError } from '../base/errors.ts'
import type { Clock, Log } from '../base/ports.ts'
import { type Meter, metered } from '../base/progress.ts'
import type { ProcessGroup } from '../postgres/process-group.ts'
import {
  largeObjectGroups,
  largeObjectsEntries,
  parseToc,
  type TableDataEntry,
  type Toc,
  tableDataEntries,
} from '../postgres/toc.ts'
import { addFingerprints, type Fingerprint } from '../streams/fingerprint.ts'
import { Bundler } from './bundler.ts'
import { type PgDumpOptions, pgDumpFailure, pgDumpWarnings, startPgDump } from './pg-dump.ts'
import type { StoreStream } from './set-writer.ts'
import { Slots } from './slots.ts'
import { Spool } from './spool.ts'
import { punchStep, ReadBuffers, type SpoolFile } from './spool-file.ts'
import { type FileContent, type SealedFile, sealFile } from './table-files.ts'

export interface DumpRunOptions extends Omit<PgDumpOptions, 'directory'> {
  limitBytes: number
  maxPauseSeconds: number
  punch: boolean
  /** Kept out of what is told of pg_dump's words. */
  secrets: readonly string[]
  clock: Clock
  log: Log
  /** Told of the bytes of pg_dump's files as they are read. */
  meter: Meter
}

/** What pg_dump wrote, all of it stored. */
export interface DumpedDatabase {
  toc: Toc
  files: DumpedFile[]
  tables: DumpedTable[]
  largeObjects: { count: number; fingerprint: Fingerprint }
  plainBytes: number
  pausedSeconds: number
  /** What pg_dump warned of. */
  warnings: string[]
}

/** One run of pg_dump, and everything that happens to its files. Used once. */
export class DumpRun {
  readonly #options: DumpRunOptions
  readonly #store: StoreStream
  readonly #directory: string
  readonly #failure = new AbortController()
  readonly #signal: AbortSignal
  readonly #slots: Slots
  readonly #buffers = new ReadBuffers()
  readonly #bundler: Bundler
  readonly #sealing: Promise<void>[] = []
  readonly #sealed = new Map<string, SealedFile>()
  readonly #bundles = new Map<string, string>()
  #warnings: string[] = []
  #contents: Promise<Map<string, FileContent>> | undefined

  constructor(options: DumpRunOptions, store: StoreStream) {
    this.#options = options
    this.#directory = join(options.spool, 'dump')
    this.#signal = AbortSignal.any([options.signal, this.#failure.signal])
    // Besides the files that are growing, room for two that are finished: or a paused pg_dump would wait for itself.
    this.#slots = new Slots(options.jobs + 2)
    // An upload ends with the dump: it may otherwise wait long for the network before it learns that all is lost.
    this.#store = (stream) => store({ ...stream, signal: this.#signal })
    this.#bundler = new Bundler(this.#store, (bundle, names) => {
      for (const name of names) this.#bundles.set(name, bundle)
    })
  }

  /** One failure, wherever it is, ends everything: the process, the followers and the uploads. */
  async run(): Promise<DumpedDatabase> {
    const process = await startPgDump({ ...this.#options, directory: this.#directory, signal: this.#signal })
    const spool = this.#spoolFor(process)
    const dumping = process.ended.then((end) => {
      const problem = pgDumpFailure(end, this.#options.secrets)
      if (problem) throw problem
      this.#warnings = pgDumpWarnings(end, this.#options.secrets)
      spool.end()
    })
    try {
      await Promise.all([this.#failing(dumping), this.#failing(spool.watch())])
      await Promise.all(this.#sealing)
      await this.#bundler.flush()
      return await this.#finish(spool)
    } catch (error) {
      this.#failure.abort(error)
      await process.stop()
      await Promise.allSettled([dumping, ...this.#sealing])
      // What came first is the cause; the rest are its consequences.
      throw this.#options.signal.aborted ? this.#options.signal.reason : this.#failure.signal.reason
    }
  }

  #spoolFor(writer: ProcessGroup): Spool {
    const { limitBytes, maxPauseSeconds, clock, log } = this.#options
    const signal = this.#signal
    const onFile = (file: SpoolFile, name: string) => {
      const one = this.#failing(this.#slots.run(() => this.#seal(name, file, spool)))
      one.catch(() => undefined)
      this.#sealing.push(one)
    }
    const directory = this.#directory
    const spool = new Spool({ directory, limitBytes, maxPauseSeconds, clock, log, signal, writer, onFile })
    return spool
  }

  #failing<T>(work: Promise<T>): Promise<T> {
    return work.catch((error: unknown) => {
      this.#failure.abort(error)
      throw error
    })
  }

  async #seal(name: string, file: SpoolFile, spool: Spool): Promise<void> {
    this.#signal.throwIfAborted()
    const { clock, punch, limitBytes, meter } = this.#options
    // pg_dump has closed toc.dat, for good, before it opens the first data file.
    this.#contents ??= this.#readToc().then(({ toc }) => {
      spool.groupLargeObjects(largeObjectGroups(toc).map((oids) => oids.map((oid) => `blob_${oid}.dat`)))
      return contentsOf(toc)
    })
    const content = contentOf(name, await this.#contents)
    const isComplete = (tail: Buffer) => spool.isComplete(name, tail)
    const isPaused = () => spool.isPaused()
    const punchBytes = punch ? punchStep(limitBytes) : undefined
    const buffers = this.#buffers
    const chunks = file.follow({ clock, signal: this.#signal, buffers, punchBytes, isPaused, isComplete })
    const options = { name, content, chunks: metered(chunks, meter), store: this.#store, bundler: this.#bundler }
    this.#sealed.set(name, await sealFile(options))
  }

  async #readToc(): Promise<{ bytes: Buffer; toc: Toc }> {
    const bytes = await readFile(join(this.#directory, 'toc.dat'))
    return { bytes, toc: parseToc(bytes) }
  }

  async #finish(spool: Spool): Promise<DumpedDatabase> {
    const { bytes, toc } = await this.#readToc()
    await this.#store({ path: 'database/toc.dat', content: single(bytes), maxBytes: bytes.length })
    const files = [...this.#sealed.values()].map(({ file }) => {
      const bundle = this.#bundles.get(file.name)
      return bundle === undefined ? file : { ...file, bundle }
    })
    const objects = [...this.#sealed].flatMap(([name, { fingerprint }]) =>
      name.startsWith('blob_') && fingerprint ? [fingerprint] : [],
    )
    return {
      toc,
      files: files.sort((a, b) => (a.name < b.name ? -1 : 1)),
      tables: tableDataEntries(toc).map((entry) => this.#tableOf(entry)),
      largeObjects: { count: objects.length, fingerprint: addFingerprints(...objects) },
      plainBytes: files.reduce((sum, file) => sum + file.plainBytes, bytes.length),
      pausedSeconds: spool.pausedSeconds,
      warnings: this.#warnings,
    }
  }

  #tableOf(entry: TableDataEntry): DumpedTable {
    const { dumpId, schema, name, fileName, table } = entry
    const fingerprint = this.#sealed.get(fileName)?.fingerprint
    if (fingerprint) return { dumpId, schema, name, file: fileName, loadsInto: table, fingerprint }
    throw new LifeboatError(
      'missing-data-file',
      `pg_dump ended well, but wrote no data file for ${schema}.${name}`,
      'Nothing was published. Dump again; if it happens again, report it.',
    )
  }
}

/** What each file that the table of contents names holds. */
function contentsOf(toc: Toc): Map<string, FileContent> {
  return new Map<string, FileContent>([
    ...tableDataEntries(toc).map((entry) => [entry.fileName, { kind: 'rows' }] as const),
    ...largeObjectsEntries(toc).map((entry) => [entry.fileName, { kind: 'other' }] as const),
  ])
}

function contentOf(name: string, contents: ReadonlyMap<string, FileContent>): FileContent {
  const largeObject = /^blob_(\d+)\.dat$/.exec(name)
  if (largeObject) return { kind: 'large object', oid: Number(largeObject[1]) }
  const content = contents.get(name)
  if (content) return content
  throw new LifeboatError(
    'unknown-dump-file',
    `pg_dump wrote ${name}, which its table of contents does not name`,
    'Use a newer release of pg-lifeboat, which may know this version of pg_dump; please report it.',
  )
}

async function* single(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

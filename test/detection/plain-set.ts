import { createHash } from 'node:crypto'
import type { Contents, DumpedFile, Head, Manifest, Part } from '../../src/backup-set/documents.ts'
import { serializeDocument } from '../../src/backup-set/documents.ts'
import { newSetId } from '../../src/backup-set/layout.ts'
import { type OpenSet, openSet, partAt, plainBytes, readContents, storedBytes } from '../../src/backup-set/open-set.ts'
import { parseToc, type Toc, writeToc } from '../../src/postgres/toc.ts'
import type { Storage } from '../../src/storage/storage.ts'
import type { AgeIdentity } from '../../src/streams/age.ts'
import { packBundle, unpackBundle } from '../../src/streams/bundle.ts'
import { copyRows } from '../../src/streams/copy-file.ts'
import {
  addFingerprints,
  type Fingerprint,
  LargeObjectFingerprinter,
  LineFingerprinter,
} from '../../src/streams/fingerprint.ts'
import { seal } from '../../src/streams/seal.ts'
import { collect } from '../dump/support.ts'

const SUFFIX = '.zst.age'
const TOC = `database/toc.dat${SUFFIX}`
const CONTENTS = `contents.json${SUFFIX}`

/** Everything that is sealed into a set, to be changed and sealed again. */
export class PlainSet {
  readonly manifest: Manifest
  readonly contents: Contents
  readonly toc: Toc
  /** pg_dump's files, by name. */
  readonly files = new Map<string, Buffer>()
  /** The parts that hold neither files nor documents, plain, by path. */
  readonly others = new Map<string, Buffer>()

  private constructor(manifest: Manifest, contents: Contents, toc: Toc) {
    this.manifest = manifest
    this.contents = contents
    this.toc = toc
  }

  static async read(storage: Storage, head: Head, identities: readonly AgeIdentity[]): Promise<PlainSet> {
    const set = await openSet(storage, head, [])
    const contents = await readContents(set, identities)
    const read = (path: string) => collect(plainBytes(set, partAt(set, path), identities))
    const plain = new PlainSet(structuredClone(set.manifest), contents, parseToc(await read(TOC)))
    const holders = new Set([TOC, CONTENTS])
    for (const { name, bundle, segments = [] } of contents.files) {
      for (const path of [...(bundle ? [bundle] : []), ...segments.map((segment) => segment.path)]) holders.add(path)
      if (bundle === undefined) {
        plain.files.set(name, Buffer.concat(await Promise.all(segments.map(({ path }) => read(path)))))
      }
    }
    for (const path of new Set(contents.files.flatMap(({ bundle }) => bundle ?? []))) {
      for await (const { name, content } of unpackBundle(plainBytes(set, partAt(set, path), identities))) {
        plain.files.set(name, await collect(content))
      }
    }
    await plain.#readOthers(set, holders, read)
    return plain
  }

  async #readOthers(
    set: OpenSet,
    holders: ReadonlySet<string>,
    read: (path: string) => Promise<Buffer>,
  ): Promise<void> {
    for (const part of set.manifest.parts) {
      if (holders.has(part.path)) continue
      const isSealed = part.path.endsWith(SUFFIX)
      this.others.set(part.path, isSealed ? await read(part.path) : await collect(storedBytes(set, part)))
    }
  }

  /** The name of the file that holds a table's rows. */
  fileOf(table: string): string {
    const found = this.contents.tables.find(({ name }) => name === table)
    if (found === undefined) throw new Error(`the specimen has no table ${table}`)
    return found.file
  }

  /** Changes the bytes of a table's file. */
  alter(table: string, change: (bytes: Buffer) => Buffer): void {
    const name = this.fileOf(table)
    this.files.set(name, change(this.files.get(name) ?? Buffer.alloc(0)))
  }

  /** Takes a file, and what the contents say of it, out of the set. */
  drop(name: string): void {
    this.files.delete(name)
    this.contents.files = this.contents.files.filter((file) => file.name !== name)
    this.contents.tables = this.contents.tables.filter(({ file }) => file !== name)
  }

  /** The set says that it was taken then, and has the id that goes with it. */
  date(takenAt: Date, { keepId = false } = {}): void {
    this.manifest.takenAt = takenAt.toISOString()
    if (!keepId) this.rename(newSetId(takenAt, 'nightly'))
  }

  rename(id: string, database = this.manifest.database): void {
    Object.assign(this.manifest, { id, database })
    Object.assign(this.contents, { id, database })
  }

  /** The stored objects, by path; the manifest is made to fit them. */
  async seal(recipients: readonly string[], fit: boolean): Promise<Map<string, Buffer>> {
    const stored = new Map<string, Buffer>()
    const parts: Part[] = []
    const put = async (path: string, plain: Buffer) => {
      const sealed = seal(source(plain), { level: 1, recipients })
      stored.set(path, await collect(sealed.stream))
      parts.push({ path, ...sealed.result() })
    }
    if (fit) for (const file of this.contents.files) await this.#fit(file)
    for (const [path, plain] of this.#containers()) await put(path, await plain)
    await put(TOC, writeToc(this.toc))
    if (fit) this.#total()
    await put(CONTENTS, serializeDocument(this.contents))
    for (const [path, plain] of this.others) {
      if (path.endsWith(SUFFIX)) await put(path, plain)
      else {
        stored.set(path, plain)
        const sha256 = createHash('sha256').update(plain).digest('hex')
        parts.push({ path, bytes: plain.length, sha256, plainBytes: plain.length })
      }
    }
    this.manifest.parts = parts.sort((a, b) => (a.path < b.path ? -1 : 1))
    this.manifest.totals.parts = parts.length
    this.manifest.totals.storedBytes = parts.reduce((sum, { bytes }) => sum + bytes, 0)
    return stored
  }

  #containers(): Map<string, Promise<Buffer>> {
    const containers = new Map<string, Promise<Buffer>>()
    const bundles = new Map<string, { name: string; content: Buffer }[]>()
    for (const { name, bundle, segments = [] } of this.contents.files) {
      const content = this.files.get(name)
      if (content === undefined) continue
      if (bundle !== undefined) bundles.set(bundle, [...(bundles.get(bundle) ?? []), { name, content }])
      for (const { path } of segments) containers.set(path, Promise.resolve(content))
    }
    for (const [path, files] of bundles) containers.set(path, collect(packBundle(files)))
    return containers
  }

  /** Lengths and fingerprints, as a dump of these files would have them. */
  async #fit(file: DumpedFile): Promise<void> {
    const bytes = this.files.get(file.name) ?? Buffer.alloc(0)
    file.plainBytes = bytes.length
    const table = this.contents.tables.find((one) => one.file === file.name)
    if (table) table.fingerprint = await rowsFingerprint(bytes)
    for (const segment of file.segments ?? []) {
      segment.plainBytes = bytes.length
      if (table) segment.fingerprint = table.fingerprint
    }
  }

  #total(): void {
    const { contents, toc } = this
    const objects = [...this.files].flatMap(([name, bytes]) => {
      const oid = /^blob_(\d+)\.dat$/.exec(name)?.[1]
      return oid === undefined ? [] : [new LargeObjectFingerprinter(Number(oid)).update(bytes).digest()]
    })
    contents.largeObjects = { count: objects.length, fingerprint: addFingerprints(...objects) }
    const { rows } = addFingerprints(...contents.tables.map(({ fingerprint }) => fingerprint))
    const plain = contents.files.reduce((sum, file) => sum + file.plainBytes, writeToc(toc).length)
    const counted = { tables: contents.tables.length, rows, largeObjects: objects.length, plainBytes: plain }
    Object.assign(this.manifest.totals, counted)
  }
}

async function rowsFingerprint(bytes: Buffer): Promise<Fingerprint> {
  const lines = new LineFingerprinter()
  for await (const rows of copyRows(source(bytes))) lines.update(rows)
  return lines.digest()
}

async function* source(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

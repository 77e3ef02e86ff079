import { createHash } from 'node:crypto'
import type { Part } from '../backup-set/documents.ts'
import { layout } from '../backup-set/layout.ts'
import type { Storage, StoredObject } from '../storage/storage.ts'
import { type Sealing, seal, sealedSuffix } from '../streams/seal.ts'

/** A named stream that a source gives away to be sealed and stored. */
export interface NamedStream {
  /** Within the set, without the sealing's suffix: `database/3438.dat`. */
  path: string
  content: AsyncIterable<Buffer>
  /** Upper bound of its plain bytes; default 1 GiB. */
  maxBytes?: number
  /** Ends the upload, besides whatever ends the whole set. */
  signal?: AbortSignal
}

/** Seals and stores one stream; resolves when it is stored whole. */
export type StoreStream = (stream: NamedStream) => Promise<Part>

/**
 * A kind of content of a backup set. It pours named streams into `store`, as many at once as it likes; when `pour`
 * resolves, everything has been stored. Rejects if any of it could not be read whole.
 */
export interface Source {
  readonly name: string
  pour(store: StoreStream): Promise<void>
}

export interface SetWriterOptions {
  storage: Storage
  database: string
  id: string
  sealing: Sealing
  signal: AbortSignal
  lockUntil?: Date
  storageClass?: string
}

const DEFAULT_MAX_BYTES = 1 << 30

/** Writes the parts of one set, and knows what it wrote. */
export class SetWriter {
  readonly parts: Part[] = []
  readonly #options: SetWriterOptions

  constructor(options: SetWriterOptions) {
    this.#options = options
  }

  /** Seals a stream and stores it as a part. */
  readonly store: StoreStream = async ({ path, content, maxBytes = DEFAULT_MAX_BYTES, signal: own }) => {
    const { sealing } = this.#options
    const signal = own === undefined ? this.#options.signal : AbortSignal.any([own, this.#options.signal])
    const sealedPath = `${path}${sealedSuffix(sealing)}`
    const { stream, result } = seal(content, sealing, signal)
    // What cannot be compressed grows a little: block headers, and a tag per 64 KiB of age.
    const mostBytes = maxBytes + Math.ceil(maxBytes / 1_000) + (1 << 20)
    const stored = await this.#put(sealedPath, stream, mostBytes, signal)
    const { plainBytes, bytes, sha256 } = result()
    const part: Part = { path: sealedPath, bytes, sha256, plainBytes, ...versionOf(stored) }
    this.parts.push(part)
    return part
  }

  /** Stores a part as it is, neither compressed nor encrypted: for what a person reads first. */
  async storePlain(path: string, content: Buffer): Promise<void> {
    const { database, id } = this.#options
    const stored = await this.storeDocument(layout.part(database, id, path), content)
    const sha256 = createHash('sha256').update(content).digest('hex')
    this.parts.push({ path, bytes: content.length, sha256, plainBytes: content.length, ...versionOf(stored) })
  }

  /** Stores a document as it is, outside the parts. */
  async storeDocument(key: string, document: Buffer): Promise<StoredObject> {
    const { storage, lockUntil, signal } = this.#options
    return storage.put(key, document, { signal, ...(lockUntil === undefined ? {} : { lockUntil }) })
  }

  #put(path: string, stream: AsyncIterable<Buffer>, maxBytes: number, signal: AbortSignal): Promise<StoredObject> {
    const { storage, database, id, lockUntil, storageClass } = this.#options
    return storage.put(layout.part(database, id, path), stream, {
      maxBytes,
      signal,
      ...(lockUntil === undefined ? {} : { lockUntil }),
      ...(storageClass === undefined ? {} : { storageClass }),
    })
  }
}

/** The version id of a write, as a document's property, where there is one. */
export function versionOf(stored: StoredObject): { versionId?: string } {
  return stored.versionId === undefined ? {} : { versionId: stored.versionId }
}

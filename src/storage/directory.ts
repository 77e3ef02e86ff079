import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm, rmdir, stat, statfs } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { addAbortSignal, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { codeOf, LifeboatError } from '../base/errors.ts'
import type { Clock } from '../base/ports.ts'
import { collect, DEFAULT_READ_LIMIT, meterBody } from './body.ts'
import { explainFileError, noObject } from './directory-errors.ts'
import { isTemporary, temporaryFiles, walkFiles, walkFolders } from './directory-walk.ts'
import { checkKey, checkPrefix } from './location.ts'
import type { Posture } from './posture.ts'
import type { Deletion, GetOptions, Lock, ObjectVersion, PutOptions, Storage, StoredObject } from './storage.ts'

const CHUNK_BYTES = 2 ** 20

/**
 * Backup sets in a directory. An object is a file; it is written to `.<name>.tmp-<random>` beside its place, synced to
 * disk and renamed, so a key is there whole or not at all, also after a power cut. Files are private to the user (0600):
 * they may be unencrypted dumps. No versions, no locks.
 */
export function openDirectory(location: { directory: string; url: string }, options: { clock: Clock }): Storage {
  return new DirectoryStorage(location.directory, location.url, options.clock)
}

class DirectoryStorage implements Storage {
  readonly url: string
  readonly canLock = false
  readonly #root: string
  readonly #clock: Clock

  constructor(root: string, url: string, clock: Clock) {
    this.#root = root
    this.url = url
    this.#clock = clock
  }

  async put(key: string, body: Buffer | AsyncIterable<Buffer>, options: PutOptions = {}): Promise<StoredObject> {
    const path = this.#path(key)
    if (options.lockUntil) throw cannotLock(this.url)
    options.signal?.throwIfAborted()
    const temporary = join(dirname(path), `.${basename(path).slice(0, 64)}.tmp-${randomBytes(8).toString('hex')}`)
    const meter = meterBody(key, body, options.maxBytes)
    try {
      const file = await createFile(temporary)
      // `flush` syncs the file before it is closed: after the rename its content must be there, whatever happens.
      await pipeline(meter.stream, file.createWriteStream({ flush: true }), { signal: options.signal })
      options.signal?.throwIfAborted()
      await rename(temporary, path)
      await syncDirectory(dirname(path))
      return { key, bytes: meter.bytes(), modified: this.#clock.now() }
    } catch (error) {
      meter.stream.destroy()
      await rm(temporary, { force: true }).catch(() => undefined)
      const failure = meter.failure()
      if (failure && !options.signal?.aborted) throw failure.error
      throw explainFileError(error, { key, url: this.url, signal: options.signal })
    }
  }

  async get(key: string, options: GetOptions = {}): Promise<Readable> {
    const path = this.#path(key)
    options.signal?.throwIfAborted()
    const context = { key, url: this.url, signal: options.signal }
    try {
      return explainedStream(await openFile(path, () => noObject(key, this.url)), options, context)
    } catch (error) {
      throw explainFileError(error, context)
    }
  }

  async read(key: string, options: GetOptions & { limit?: number } = {}): Promise<Buffer> {
    return await collect(key, await this.get(key, options), options.limit ?? DEFAULT_READ_LIMIT)
  }

  async head(key: string): Promise<StoredObject | undefined> {
    try {
      const facts = await stat(this.#path(key))
      return facts.isFile() ? { key, bytes: facts.size, modified: facts.mtime } : undefined
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
      throw explainFileError(error, { key, url: this.url })
    }
  }

  async *list(prefix: string, options: { after?: string; signal?: AbortSignal } = {}): AsyncGenerator<StoredObject> {
    checkPrefix(prefix)
    try {
      for await (const object of walkFiles(this.#root, prefix, options.after)) {
        options.signal?.throwIfAborted()
        yield object
      }
    } catch (error) {
      throw explainFileError(error, { key: prefix, url: this.url, signal: options.signal })
    }
  }

  async *versions(prefix: string, options: { signal?: AbortSignal } = {}): AsyncGenerator<ObjectVersion> {
    for await (const object of this.list(prefix, options)) yield { ...object, isLatest: true, isDeleteMarker: false }
  }

  async locks(): Promise<readonly Lock[]> {
    return []
  }

  async folders(prefix: string): Promise<string[]> {
    checkPrefix(prefix)
    try {
      return await walkFolders(this.#root, prefix)
    } catch (error) {
      throw explainFileError(error, { key: prefix, url: this.url })
    }
  }

  async delete(objects: readonly { key: string; versionId?: string }[]): Promise<Deletion[]> {
    const deletions: Deletion[] = []
    for (const { key } of objects) {
      const path = this.#path(key)
      try {
        await rm(path, { force: true })
        await this.#removeEmptyFolders(dirname(path))
        deletions.push({ key, outcome: 'deleted' })
      } catch (error) {
        const explained = explainFileError(error, { key, url: this.url })
        deletions.push({ key, outcome: 'failed', reason: explained instanceof Error ? explained.message : undefined })
      }
    }
    return deletions
  }

  async abortUploads(prefix: string, before: Date): Promise<number> {
    checkPrefix(prefix)
    let count = 0
    try {
      for await (const file of temporaryFiles(this.#root, prefix)) {
        if (file.modified >= before) continue
        await rm(file.path, { force: true })
        await this.#removeEmptyFolders(dirname(file.path))
        count += 1
      }
    } catch (error) {
      throw explainFileError(error, { key: prefix, url: this.url })
    }
    return count
  }

  /** Of a directory there is one thing to say: whether there is room for more. */
  async posture(): Promise<Posture> {
    const none = { unknown: 'does not apply' } as const
    const facts = { versioned: none, lock: none, lockDefault: none, encryption: none, publiclyReadable: none }
    const freeBytes = await statfs(this.#root).then(
      ({ bavail, bsize }): Posture['freeBytes'] => ({ value: bavail * bsize }),
      (): Posture['freeBytes'] => ({ unknown: 'no answer' }),
    )
    return { ...facts, lifecycle: none, freeBytes }
  }

  close(): void {}

  #path(key: string): string {
    checkKey(key)
    // A name that looks like a temporary one would never be listed and would be swept.
    if (isTemporary(basename(key))) throw reservedName(key)
    return join(this.#root, key)
  }

  /** Folders exist in storage only as parts of keys: one without objects must not be left behind. */
  async #removeEmptyFolders(directory: string): Promise<void> {
    for (let folder = directory; folder.length > this.#root.length; folder = dirname(folder)) {
      try {
        await rmdir(folder)
      } catch {
        return
      }
    }
  }
}

/** Creates the file and its folders; once more if a deletion elsewhere removed the empty folder in between. */
async function createFile(path: string): Promise<FileHandle> {
  for (let attempt = 1; ; attempt += 1) {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    try {
      return await open(path, 'wx', 0o600)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || attempt === 5) throw error
    }
  }
}

/** Opens a file for reading; what is no file rejects with `otherwise`. */
async function openFile(path: string, otherwise: () => Error): Promise<FileHandle> {
  const file = await open(path, 'r')
  try {
    if (!(await file.stat()).isFile()) throw otherwise()
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Without this a rename may be forgotten in a power cut. Not every file system can; those do it by themselves. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } catch (error) {
    if (codeOf(error) !== 'EINVAL' && codeOf(error) !== 'ENOTSUP') throw error
  } finally {
    await handle.close()
  }
}

function explainedStream(file: FileHandle, { start, signal }: GetOptions, context: { key: string; url: string }) {
  const bytes = file.createReadStream({ start: start ?? 0, highWaterMark: CHUNK_BYTES })
  async function* explained(): AsyncGenerator<Buffer> {
    try {
      yield* bytes as AsyncIterable<Buffer>
    } catch (error) {
      throw explainFileError(error, { ...context, signal })
    } finally {
      bytes.destroy()
    }
  }
  const stream = Readable.from(explained(), { objectMode: false, highWaterMark: CHUNK_BYTES })
  // A generator that nobody has begun to read runs no `finally`: without this an early abort would leave the file open.
  stream.once('close', () => bytes.destroy())
  return signal ? addAbortSignal(signal, stream) : stream
}

function cannotLock(url: string): LifeboatError {
  return new LifeboatError(
    'cannot-lock',
    `${url} is a directory: it cannot lock what is written.`,
    'Remove `lock-days`, or use an s3:// bucket that was created with Object Lock.',
  )
}

function reservedName(key: string): LifeboatError {
  const remedy = 'Use a `database` or `label` that does not look like .name.tmp-0123456789abcdef.'
  return new LifeboatError('bad-storage-key', `${key} is a name that is kept for temporary files.`, remedy)
}

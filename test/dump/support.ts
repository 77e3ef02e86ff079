import { mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LifeboatError } from '../../src/base/errors.ts'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import type { NamedStream, StoreStream } from '../../src/dump/set-writer.ts'
import { Slots } from '../../src/dump/slots.ts'
import { Spool } from '../../src/dump/spool.ts'
import { punchStep, ReadBuffers } from '../../src/dump/spool-file.ts'

export const END = '\\.\n\n\n'

/** Runs `work` with a directory of its own. */
export async function withDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'lifeboat-dump-'))
  try {
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

export async function collect(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  // Chunks may be lent.
  for await (const chunk of source) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

/** What the LifeboatError that `work` rejects with is called. */
export async function codeThrownBy(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'nothing',
    (error: LifeboatError) => error.code ?? String(error),
  )
}

/** A store that keeps what it is given, in the order in which it was complete. */
export function memoryStore(): { store: StoreStream; parts: Map<string, Buffer>; limits: Map<string, number> } {
  const parts = new Map<string, Buffer>()
  const limits = new Map<string, number>()
  const store = async ({ path, content, maxBytes }: NamedStream) => {
    const bytes = await collect(content)
    parts.set(path, bytes)
    if (maxBytes !== undefined) limits.set(path, maxBytes)
    return { path: `${path}.zst`, bytes: bytes.length, sha256: '0'.repeat(64), plainBytes: bytes.length }
  }
  return { store, parts, limits }
}

/** One file, as the pieces that are written one after the other. */
export interface FakeFile {
  name: string
  pieces: Buffer[]
}

/** What one worker of pg_dump writes, file after file. Large objects are listed in `list`, when all are written. */
export interface FakeWorker {
  files: FakeFile[]
  list?: string
}

/** What the fake writer writes between two looks at the spool, at most: the same on every machine. */
export const BYTES_PER_LOOK = 4 << 20

type Gate = PromiseWithResolvers<void>

/** A pg_dump that writes what it is told, and can be paused like the real one. */
export class FakeDump {
  /** Files of which all is written, or just being written. */
  readonly whole = new Set<string>()
  /** Resolves with the first pause. */
  readonly paused = Promise.withResolvers<void>()
  pauses = 0
  #gate: Gate | undefined
  #look = Promise.withResolvers<void>()
  #writtenSinceLook = 0
  #isStopped = false

  pause(): void {
    this.pauses += 1
    this.paused.resolve()
    this.#gate = Promise.withResolvers()
  }

  resume(): void {
    this.#gate?.resolve()
    this.#gate = undefined
  }

  /** Somebody has looked at the spool: the writer may go on. */
  looked(): void {
    this.#writtenSinceLook = 0
    this.#look.resolve()
    this.#look = Promise.withResolvers()
  }

  /** Writes no more. */
  stop(): void {
    this.#isStopped = true
    this.resume()
    this.looked()
  }

  async write(directory: string, workers: readonly FakeWorker[]): Promise<void> {
    await mkdir(directory)
    await Promise.all(workers.map((worker) => this.#work(directory, worker)))
  }

  /** Waits while the writer is paused, or until somebody has looked at what it wrote. */
  async #pace(bytes: number): Promise<void> {
    const isAhead = () => this.#writtenSinceLook > 0 && this.#writtenSinceLook + bytes > BYTES_PER_LOOK
    while (!this.#isStopped && (this.#gate || isAhead())) await (this.#gate ?? this.#look).promise
    this.#writtenSinceLook += bytes
  }

  async #work(directory: string, { files, list }: FakeWorker): Promise<void> {
    for (const { name, pieces } of files) {
      let left = pieces.reduce((sum, piece) => sum + piece.length, 0)
      if (left === 0) this.whole.add(name)
      const file = await open(join(directory, name), 'wx')
      for (const piece of pieces) {
        await this.#pace(piece.length)
        if (this.#isStopped) break
        left -= piece.length
        if (left === 0) this.whole.add(name)
        await file.write(piece)
      }
      await file.close()
    }
    if (list === undefined || this.#isStopped) return
    const lines = files.map(({ name }) => `${/\d+/.exec(name)?.[0]} ${name}\n`)
    await this.#gate?.promise
    const file = await open(join(directory, list), 'wx')
    await file.write(lines.join(''))
    await file.close()
  }
}

export interface FollowedDump {
  contents: Map<string, Buffer>
  /** Names in the order in which they were handed out: each once, or something is wrong. */
  handedOut: string[]
  /** Files that counted as complete before all of them was written. */
  early: string[]
  spool: Spool
  dump: FakeDump
}

/** Follows a fake dump as DumpRun follows the real one. */
export async function followDump(
  directory: string,
  workers: readonly FakeWorker[],
  options: { limitBytes: number; maxPauseSeconds?: number; punch: boolean; read?: (dump: FakeDump) => Promise<void> },
): Promise<FollowedDump> {
  const failure = new AbortController()
  const { signal } = failure
  const dump = new FakeDump()
  const slots = new Slots(workers.length + 2)
  const contents = new Map<string, Buffer>()
  const handedOut: string[] = []
  const early: string[] = []
  const readers: Promise<void>[] = []
  const buffers = new ReadBuffers()
  const failing = (work: Promise<void>) =>
    work.catch((error: unknown) => {
      failure.abort(error)
      throw error
    })
  const target = join(directory, 'dump')
  const spool: Spool = new Spool({
    directory: target,
    limitBytes: options.limitBytes,
    maxPauseSeconds: options.maxPauseSeconds ?? 60,
    clock: {
      now: systemClock.now,
      sleep: (milliseconds, signal) => {
        dump.looked()
        return systemClock.sleep(milliseconds, signal)
      },
    },
    log: memoryLog(),
    signal,
    writer: dump,
    onFile: (file, name) => {
      handedOut.push(name)
      const reader = slots.run(async () => {
        const chunks: Buffer[] = []
        const isComplete = (tail: Buffer) => spool.isComplete(name, tail)
        const isPaused = () => spool.isPaused()
        for await (const chunk of file.follow({
          clock: systemClock,
          signal,
          buffers,
          punchBytes: options.punch ? punchStep(options.limitBytes) : undefined,
          isPaused,
          isComplete,
        })) {
          chunks.push(Buffer.from(chunk))
          await options.read?.(dump)
          signal.throwIfAborted()
        }
        if (!name.startsWith('blobs') && !dump.whole.has(name)) early.push(name)
        contents.set(name, Buffer.concat(chunks))
      })
      readers.push(failing(reader))
      reader.catch(() => undefined)
    },
  })
  spool.groupLargeObjects(workers.flatMap(({ files, list }) => (list ? [files.map(({ name }) => name)] : [])))
  const writing = dump.write(target, workers).then(() => spool.end())
  try {
    await Promise.all([failing(writing), failing(spool.watch())])
    await Promise.all(readers)
  } finally {
    dump.stop()
    await Promise.allSettled([writing, ...readers])
  }
  return { contents, handedOut, early, spool, dump }
}

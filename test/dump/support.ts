import { mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LifeboatError } from '../../src/base/errors.ts'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import type { NamedStream, StoreStream } from '../../src/dump/set-writer.ts'
import { Slots } from '../../src/dump/slots.ts'
import { Spool } from '../../src/dump/spool.ts'

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
  for await (const chunk of source) chunks.push(chunk)
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

/** A MiB takes the fake writer at least this long: however fast the disk is, the spool is looked at in between. */
const MS_PER_MIB = 2

/** A pg_dump that writes what it is told, and can be paused like the real one. */
export class FakeDump {
  readonly closed = new Set<string>()
  pauses = 0
  #gate: { promise: Promise<void>; open: () => void } | undefined
  #unpacedBytes = 0

  pause(): void {
    this.pauses += 1
    let open = () => {}
    const promise = new Promise<void>((resolve) => {
      open = resolve
    })
    this.#gate = { promise, open }
  }

  resume(): void {
    this.#gate?.open()
    this.#gate = undefined
  }

  async write(directory: string, workers: readonly FakeWorker[]): Promise<void> {
    await mkdir(directory)
    await Promise.all(workers.map((worker) => this.#work(directory, worker)))
  }

  async #pace(bytes: number): Promise<void> {
    this.#unpacedBytes += bytes
    if (this.#unpacedBytes < 1 << 20) return
    this.#unpacedBytes = 0
    await systemClock.sleep(MS_PER_MIB)
  }

  async #work(directory: string, { files, list }: FakeWorker): Promise<void> {
    for (const { name, pieces } of files) {
      const file = await open(join(directory, name), 'wx')
      for (const piece of pieces) {
        await this.#gate?.promise
        await file.write(piece)
        await this.#pace(piece.length)
      }
      await file.close()
      this.closed.add(name)
    }
    if (list === undefined) return
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
  /** Files that counted as complete before they were closed. */
  early: string[]
  spool: Spool
  dump: FakeDump
}

/** Follows a fake dump as DumpRun follows the real one. */
export async function followDump(
  directory: string,
  workers: readonly FakeWorker[],
  options: { limitBytes: number; maxPauseSeconds?: number; punch: boolean; read?: (chunk: Buffer) => Promise<void> },
): Promise<FollowedDump> {
  const failure = new AbortController()
  const { signal } = failure
  const dump = new FakeDump()
  const slots = new Slots(workers.length + 2)
  const contents = new Map<string, Buffer>()
  const handedOut: string[] = []
  const early: string[] = []
  const readers: Promise<void>[] = []
  const failing = (work: Promise<void>) =>
    work.catch((error: unknown) => {
      failure.abort(error)
      throw error
    })
  const target = join(directory, 'dump')
  const spool: Spool = new Spool({
    directory: target,
    limitBytes: options.limitBytes,
    maxPauseSeconds: options.maxPauseSeconds ?? 30,
    clock: systemClock,
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
          punch: options.punch,
          isPaused,
          isComplete,
        })) {
          chunks.push(chunk)
          await options.read?.(chunk)
          signal.throwIfAborted()
        }
        if (!name.startsWith('blobs') && !dump.closed.has(name)) early.push(name)
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
    dump.resume()
    await Promise.allSettled([writing, ...readers])
  }
  return { contents, handedOut, early, spool, dump }
}

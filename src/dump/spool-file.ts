import { execFile } from 'node:child_process'
import { closeSync, ftruncateSync, openSync, readSync, renameSync, statSync } from 'node:fs'
import { open, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Clock } from '../base/ports.ts'

const run = promisify(execFile)
const READ_BYTES = 1 << 20
/** Giving space back costs one short-lived process: not for every read. */
const MOST_PUNCH_BYTES = 64 << 20
const LEAST_PUNCH_BYTES = 4 << 20
const BLOCK_BYTES = 4_096
const POLL_MS = 20
/** What `isComplete` needs to see of the end. */
const TAIL_BYTES = 6
const NO_BYTES = Buffer.alloc(0)

export interface FollowOptions {
  clock: Clock
  signal: AbortSignal
  buffers: ReadBuffers
  /** How many bytes are read before their space is given back (see `punchStep`); undefined where that cannot be. */
  punchBytes: number | undefined
  /** Whether the writer waits for space: then even little of it is given back. */
  isPaused: () => boolean
  /** Whether the writer has finished the file, judged after everything so far has been read. */
  isComplete: (tail: Buffer) => boolean
}

/** One file that pg_dump is writing, or has written, read once from front to back while its space is given back. */
export class SpoolFile {
  readonly path: string
  /** Bytes read so far. */
  read = 0
  /** Bytes whose space the file system has back. */
  freed = 0
  /** Its length when it was last looked at. */
  size = 0
  /** `waiting`: everything so far was read, and the writer has not finished. */
  state: 'new' | 'reading' | 'waiting' = 'new'

  readonly #removedTo: string

  /** `removedTo`: a directory of the same file system, for what is left of small files. */
  constructor(path: string, removedTo: string) {
    this.path = path
    this.#removedTo = join(removedTo, basename(path))
  }

  /** Looks how long the file is, and tells whether it has grown. One that was read and removed takes no space any more. */
  measure(): boolean {
    const size = statSync(this.path, { throwIfNoEntry: false })?.size ?? this.freed
    const hasGrown = size > this.size
    this.size = size
    return hasGrown
  }

  /**
   * The bytes as they come, until `isComplete`. A chunk is lent until the next one is asked for. Ends with the file removed;
   * an abort rejects with the signal's reason.
   */
  async *follow(options: FollowOptions): AsyncGenerator<Buffer> {
    const { signal, buffers } = options
    signal.throwIfAborted()
    const buffer = buffers.take()
    try {
      const bytes = await this.#readSmall(buffer, options)
      if (bytes === undefined) {
        yield* this.#followGrowing(buffer, options)
        return
      }
      if (bytes > 0) yield buffer.subarray(0, bytes)
      // Nothing here waits for anything, and there may be thousands of them.
      await setImmediate()
    } finally {
      buffers.giveBack(buffer)
    }
  }

  /** The length of a file that was finished while it was small, read into the buffer; undefined if it is another one. */
  async #readSmall(buffer: Buffer, options: FollowOptions): Promise<number | undefined> {
    const { clock, signal, isPaused, isComplete } = options
    for (let seen = -1; ; ) {
      this.measure()
      // Of a table it is the end of the file that says whether it is finished.
      const mayBeFinished = this.size !== seen || isComplete(NO_BYTES)
      seen = this.size
      const bytes = mayBeFinished ? this.#readFinished(buffer, options) : undefined
      if (bytes !== undefined || this.size >= READ_BYTES / 2 || isPaused()) return bytes
      this.state = 'waiting'
      await clock.sleep(POLL_MS, signal)
    }
  }

  /**
   * Reads a file that is finished and fits into the buffer; undefined if it is not or does not. At once: pg_dump has just
   * written it, so that it is in memory, and to ask a thread for each step of it would take ten times as long.
   *
   * The file is emptied and moved out of the way, not removed: where thousands of files were removed within the last
   * minute, ext4 looks at each of them before it makes a new one, and pg_dump takes twice as long.
   */
  #readFinished(buffer: Buffer, { isComplete }: FollowOptions): number | undefined {
    const file = openSync(this.path, 'r+')
    try {
      let length = 0
      for (let bytes = -1; bytes !== 0 && length < buffer.length; length += bytes) {
        bytes = readSync(file, buffer, length, buffer.length - length, null)
      }
      this.size = Math.max(this.size, length)
      // Asked after reading, but nobody can have learnt anything between: nothing here lets others work.
      if (length === buffer.length || !isComplete(buffer.subarray(Math.max(0, length - TAIL_BYTES), length)))
        return undefined
      this.state = 'reading'
      this.read = length
      this.freed = this.size
      ftruncateSync(file)
      renameSync(this.path, this.#removedTo)
      return length
    } finally {
      closeSync(file)
    }
  }

  async *#followGrowing(buffer: Buffer, options: FollowOptions): AsyncGenerator<Buffer> {
    const { clock, signal, punchBytes = Number.POSITIVE_INFINITY, isComplete } = options
    const file = await open(this.path, 'r')
    let tail: Buffer = NO_BYTES
    this.state = 'reading'
    try {
      for (;;) {
        signal.throwIfAborted()
        // Asked before reading: what was complete then has been read when a read finds nothing more.
        const complete = isComplete(tail)
        const { bytesRead } = await file.read(buffer, 0, buffer.length)
        const chunk = buffer.subarray(0, bytesRead)
        if (chunk.length === 0) {
          if (complete) break
          if (isComplete(tail)) continue
          await this.#makeRoom(options)
          this.state = 'waiting'
          await clock.sleep(POLL_MS, signal)
          continue
        }
        this.state = 'reading'
        this.read += chunk.length
        tail = Buffer.concat([tail, chunk.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES)
        yield chunk
        if (this.read - this.freed >= punchBytes) await this.#punch()
        // Whoever reads faster than the writer would get crumbs, and each crumb costs as much as a chunk.
        if (chunk.length < READ_BYTES / 2 && !isComplete(tail)) await clock.sleep(POLL_MS, signal)
      }
    } finally {
      await file.close()
    }
    await rm(this.path, { force: true })
  }

  /** Gives back what there is while the writer waits for space. */
  async #makeRoom({ punchBytes, isPaused }: FollowOptions): Promise<void> {
    if (punchBytes !== undefined && isPaused() && this.read - this.freed >= BLOCK_BYTES) await this.#punch()
  }

  async #punch(): Promise<void> {
    const end = this.read - (this.read % BLOCK_BYTES)
    await punchHole(this.path, this.freed, end - this.freed)
    this.freed = end
  }
}

/**
 * The buffers that files are read into, used again and again: to V8 a gigabyte of short-lived buffers is a reason to
 * collect garbage dozens of times, at more cost than the reading itself.
 */
export class ReadBuffers {
  readonly #free: Buffer[] = []

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES)
  }

  giveBack(buffer: Buffer): void {
    this.#free.push(buffer)
  }
}

/** Every how many bytes space is given back, so that what is not given back yet stays small beside the spool's limit. */
export function punchStep(limitBytes: number): number {
  return Math.min(MOST_PUNCH_BYTES, Math.max(LEAST_PUNCH_BYTES, Math.floor(limitBytes / 16)))
}

/** Node has no fallocate(2); util-linux, which every distribution's base system holds, has it as a command. */
async function punchHole(path: string, offset: number, length: number): Promise<void> {
  await run('fallocate', ['--punch-hole', '--offset', String(offset), '--length', String(length), path])
}

/** Whether the file system under `directory` gives back the space of a file's front. */
export async function canPunchHoles(directory: string): Promise<boolean> {
  const path = join(directory, '.probe')
  try {
    await writeFile(path, Buffer.alloc(1 << 20, 1))
    const before = (await stat(path)).blocks
    await punchHole(path, 0, 1 << 19)
    return (await stat(path)).blocks < before
  } catch {
    return false
  } finally {
    await rm(path, { force: true })
  }
}

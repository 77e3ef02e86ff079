import { execFile } from 'node:child_process'
import { type FileHandle, open, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Clock } from '../base/ports.ts'

const run = promisify(execFile)
const READ_BYTES = 512 << 10
/** Giving space back costs one short-lived process: not for every read. */
const PUNCH_BYTES = 16 << 20
const BLOCK_BYTES = 4_096
const POLL_MS = 10

export interface FollowOptions {
  clock: Clock
  signal: AbortSignal
  /** Whether holes can be punched: see `canPunchHoles`. */
  punch: boolean
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
  /** `waiting`: everything so far was read, and the writer has not finished. */
  state: 'new' | 'reading' | 'waiting' = 'new'

  constructor(path: string) {
    this.path = path
  }

  /** The bytes as they come, until `isComplete`. Ends with the file removed; an abort rejects with the signal's reason. */
  async *follow({ clock, signal, punch, isPaused, isComplete }: FollowOptions): AsyncGenerator<Buffer> {
    const file = await open(this.path, 'r')
    const reader = new ChunkedFile(file)
    let tail: Buffer = Buffer.alloc(0)
    this.state = 'reading'
    try {
      for (;;) {
        signal.throwIfAborted()
        // Asked before reading: what was complete then has been read when a read finds nothing more.
        const complete = isComplete(tail)
        const chunk = await reader.read()
        if (chunk.length === 0) {
          if (complete) break
          if (isComplete(tail)) continue
          if (punch && isPaused() && this.read - this.freed >= BLOCK_BYTES) await this.#punch()
          this.state = 'waiting'
          await clock.sleep(POLL_MS, signal)
          continue
        }
        this.state = 'reading'
        this.read += chunk.length
        tail = chunk.length >= 6 ? chunk.subarray(-6) : Buffer.concat([tail, chunk]).subarray(-6)
        yield chunk
        if (punch && this.read - this.freed >= PUNCH_BYTES) await this.#punch()
      }
    } finally {
      await file.close()
    }
    await rm(this.path, { force: true })
  }

  async #punch(): Promise<void> {
    const end = this.read - (this.read % BLOCK_BYTES)
    await punchHole(this.path, this.freed, end - this.freed)
    this.freed = end
  }
}

/**
 * Reads a file front to back. Those downstream keep what they are given, so a small chunk is a copy: a million small
 * files must not hold on to a million buffers.
 */
class ChunkedFile {
  readonly #file: FileHandle
  #buffer = Buffer.allocUnsafeSlow(READ_BYTES)

  constructor(file: FileHandle) {
    this.#file = file
  }

  /** Empty where there is nothing more for now. */
  async read(): Promise<Buffer> {
    const { bytesRead } = await this.#file.read(this.#buffer, 0, READ_BYTES)
    if (bytesRead <= READ_BYTES / 2) return Buffer.from(this.#buffer.subarray(0, bytesRead))
    const chunk = this.#buffer.subarray(0, bytesRead)
    this.#buffer = Buffer.allocUnsafeSlow(READ_BYTES)
    return chunk
  }
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

import { mkdirSync, statSync } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { LifeboatError } from '../base/errors.ts'
import type { Clock, Log } from '../base/ports.ts'
import { formatBytes, formatDuration } from '../base/units.ts'
import { LargeObjectProgress } from './large-object-progress.ts'
import { SpoolFile } from './spool-file.ts'

const POLL_MS = 20
/** A pause lasts at least so many times as long as the look before it: with very many files a look takes its time. */
const PAUSE_PER_LOOK = 3
/** Files that did not grow lately, and that nobody reads, of which each look measures so many in turn. */
const IDLE_MEASURED_PER_LOOK = 200
/** Looks in a row that find nobody reading before a paused writer counts as waiting for itself. */
const STUCK_LOOKS = 10
const END_OF_TABLE = Buffer.from('\\.\n\n\n')

export interface SpoolOptions {
  directory: string
  limitBytes: number
  maxPauseSeconds: number
  clock: Clock
  log: Log
  signal: AbortSignal
  /** Stops and continues the writer. */
  writer: { pause(): void; resume(): void }
  /** Called once for each new data file, in no particular order. */
  onFile: (file: SpoolFile, name: string) => void
}

/**
 * The directory that pg_dump writes and this project reads at the same time. It notices new files, keeps account of the
 * space in use, pauses the writer when that passes the limit, and knows which files the writer has closed.
 */
export class Spool {
  /** Total seconds for which the writer was paused. */
  pausedSeconds = 0
  /** Most bytes that the spool held. */
  peakBytes = 0
  readonly #options: SpoolOptions
  readonly #files = new Map<string, SpoolFile>()
  readonly #largeObjects = new LargeObjectProgress()
  /** Where to read on in a list, and a file that it names. */
  readonly #largeObjectLists = new Map<string, { offset: number; named: string }>()
  /** Files that were new or longer at the last look, and large objects that were not closed. */
  #growing = new Set<SpoolFile>()
  #look = 0
  #stuckLooks = 0
  #writerEnded = false
  #pausedAt: number | undefined

  constructor(options: SpoolOptions) {
    this.#options = options
  }

  /** Watches until `end()` was called and every file was handed out. Rejects when the pauses exceed their limit. */
  async watch(): Promise<void> {
    const { clock, signal } = this.#options
    for (;;) {
      signal.throwIfAborted()
      const last = this.#writerEnded
      const began = clock.now().getTime()
      await this.#lookAround()
      if (last) return
      const took = clock.now().getTime() - began
      await clock.sleep(Math.max(POLL_MS, PAUSE_PER_LOOK * took), signal)
    }
  }

  /** pg_dump has ended well: what is there now is all, and all of it is whole. */
  end(): void {
    this.#writerEnded = true
  }

  /** The files of large objects by the entry of the archive that they belong to; told when toc.dat can be read. */
  groupLargeObjects(groups: readonly (readonly string[])[]): void {
    this.#largeObjects.group(groups)
  }

  /**
   * Whether pg_dump has closed the file, given the last bytes read. A table's data ends with a mark of its own; for large
   * objects see LargeObjectProgress.
   */
  isComplete(name: string, tail: Buffer): boolean {
    if (this.#writerEnded) return true
    if (name.startsWith('blob_')) return this.#largeObjects.isClosed(name)
    return name.endsWith('.dat') && endsTable(tail)
  }

  isPaused(): boolean {
    return this.#pausedAt !== undefined
  }

  async #lookAround(): Promise<void> {
    const { directory } = this.#options
    this.#look += 1
    const present = new Map<string, SpoolFile>()
    for (const name of await list(directory)) {
      if (name === 'toc.dat' || name.startsWith('.')) continue
      // The lists of large objects grow until the end: they are whole, and small, when pg_dump is over. From then on they
      // are handed out, and may be gone at any moment; nothing is asked of them any more.
      if (name.startsWith('blobs') && !this.#writerEnded) await this.#readLargeObjectList(name)
      else present.set(name, this.#files.get(name) ?? this.#handOut(name))
    }
    this.#measure(present)
    const files = [...present.values()]
    const used = files.reduce((sum, { size, freed }) => sum + size - freed, 0)
    this.peakBytes = Math.max(this.peakBytes, used)
    const reading = files.filter(({ state }) => state !== 'new')
    const isIdle = reading.length > 0 && reading.every(({ state }) => state === 'waiting')
    this.#stuckLooks = this.isPaused() && isIdle ? this.#stuckLooks + 1 : 0
    this.#throttle(used)
  }

  #handOut(name: string): SpoolFile {
    const { directory } = this.#options
    const removedTo = `${directory}-removed`
    if (this.#files.size === 0) mkdirSync(removedTo, { mode: 0o700 })
    const file = new SpoolFile(join(directory, name), removedTo)
    this.#files.set(name, file)
    this.#growing.add(file)
    if (name.startsWith('blob_')) this.#largeObjects.see(name, this.#look)
    this.#options.onFile(file, name)
    return file
  }

  /** Measures what may be growing, and some of the rest: most tables' files are finished, and only wait to be read. */
  #measure(present: ReadonlyMap<string, SpoolFile>): void {
    const growing = new Set<SpoolFile>()
    const idle: SpoolFile[] = []
    for (const [name, file] of present) {
      const isLargeObject = name.startsWith('blob_')
      if (file.state !== 'new' || this.#growing.has(file)) {
        const isOpen = isLargeObject && !this.#largeObjects.isClosed(name)
        if (file.measure() || isOpen) growing.add(file)
      } else if (!isLargeObject) idle.push(file)
    }
    const start = idle.length > IDLE_MEASURED_PER_LOOK ? (this.#look * IDLE_MEASURED_PER_LOOK) % idle.length : 0
    for (const file of idle.slice(start, start + IDLE_MEASURED_PER_LOOK)) if (file.measure()) growing.add(file)
    this.#growing = growing
  }

  #throttle(used: number): void {
    const { clock, limitBytes, maxPauseSeconds, writer, log } = this.#options
    const now = clock.now().getTime()
    if (this.#pausedAt === undefined) {
      if (used <= limitBytes || this.#writerEnded) return
      writer.pause()
      this.#pausedAt = now
      log.debug(`spool holds ${formatBytes(used)}: pg_dump waits for the storage`)
      return
    }
    const current = (now - this.#pausedAt) / 1_000
    // Whoever reads waits for the writer, and the writer waits for the readers: more space will not come.
    const isStuck = this.#stuckLooks >= STUCK_LOOKS
    if (isStuck && used > limitBytes && !this.#largeObjects.mayBeClosed()) throw spoolTooSmall(used, limitBytes)
    if (used <= limitBytes / 2 || isStuck) {
      this.pausedSeconds += current
      this.#pausedAt = undefined
      this.#stuckLooks = 0
      writer.resume()
    } else if (this.pausedSeconds + current > maxPauseSeconds) {
      throw new LifeboatError(
        'paused-too-long',
        `pg_dump had to wait ${formatDuration(this.pausedSeconds + current)} for the storage, which is more than max-pause allows`,
        'The storage takes the data more slowly than the database gives it, and waiting holds locks on production: raise `spool-limit` (more disk) or `max-pause`, or use a storage nearer to the runner.',
      )
    }
  }

  async #readLargeObjectList(name: string): Promise<void> {
    const path = join(this.#options.directory, name)
    const { offset = 0, named = '' } = this.#largeObjectLists.get(name) ?? {}
    if (this.#largeObjects.isWholeGroupListed(named)) return
    const { size } = statSync(path)
    if (size <= offset) return
    const file = await open(path, 'r')
    try {
      const text = (await file.read(Buffer.alloc(size - offset), 0, size - offset, offset)).buffer.toString('latin1')
      const whole = text.lastIndexOf('\n') + 1
      const names = text
        .slice(0, whole)
        .split('\n')
        .flatMap((line) => line.split(' ')[1] ?? [])
      for (const one of names) this.#largeObjects.list(one)
      this.#largeObjectLists.set(name, { offset: offset + whole, named: names.at(-1) ?? named })
    } finally {
      await file.close()
    }
  }
}

/** pg_dump makes the directory itself, when it has connected. */
async function list(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** A row can end in `\\.`: only a `\.` that stands alone on its line is the mark. */
function endsTable(tail: Buffer): boolean {
  if (!tail.subarray(-END_OF_TABLE.length).equals(END_OF_TABLE)) return false
  return tail.length === END_OF_TABLE.length || tail[tail.length - END_OF_TABLE.length - 1] === 0x0a
}

function spoolTooSmall(used: number, limitBytes: number): LifeboatError {
  return new LifeboatError(
    'spool-too-small',
    `The tables that are dumped at the same time need more than the ${formatBytes(limitBytes)} of spool-limit (${formatBytes(used)} so far), and the file system of RUNNER_TEMP cannot give back the space of a file that is being read`,
    'Raise `spool-limit`, lower `jobs`, or run on a file system that can punch holes (ext4, xfs, btrfs, tmpfs).',
  )
}

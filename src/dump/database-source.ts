import { mkdir, rm } from 'node:fs/promises'
import { LifeboatError } from '../base/errors.ts'
import { formatBytes } from '../base/units.ts'
import { type DumpedDatabase, DumpRun, type DumpRunOptions } from './dump-run.ts'
import type { Source, StoreStream } from './set-writer.ts'
import { canPunchHoles } from './spool-file.ts'

export interface DatabaseSourceOptions extends Omit<DumpRunOptions, 'punch'> {
  /** What the largest tables take on the server, as many of them as are dumped at once. */
  largestTablesBytes: number
}

/**
 * The database itself, as `pg_dump -Fd` writes it: its files are followed while they grow, sealed, and their space is
 * given back. `dumped` is there after `pour`.
 *
 * Errors: `pg-dump-failed`, `spool-too-small`, `paused-too-long`, `cut-data-file`, `unknown-dump-file`,
 * `missing-data-file`, and those of storage and streams.
 */
export class DatabaseSource implements Source {
  readonly name = 'database'
  dumped: DumpedDatabase | undefined
  readonly #options: DatabaseSourceOptions

  constructor(options: DatabaseSourceOptions) {
    this.#options = options
  }

  async pour(store: StoreStream): Promise<void> {
    const { spool } = this.#options
    await mkdir(spool, { recursive: true, mode: 0o700 })
    try {
      const punch = await this.#probe()
      this.dumped = await new DumpRun({ ...this.#options, punch }, store).run()
    } finally {
      await rm(spool, { recursive: true, force: true })
    }
  }

  /** Whether holes can be punched. Fails before the dump starts if it could not end well without. */
  async #probe(): Promise<boolean> {
    const { spool, largestTablesBytes, limitBytes, log } = this.#options
    if (await canPunchHoles(spool)) return true
    log.debug('the file system of the spool gives no space back before a file is read whole')
    // Text can be longer than what the server keeps of it: the spool itself watches over that.
    if (largestTablesBytes <= limitBytes) return false
    throw new LifeboatError(
      'spool-too-small',
      `The largest tables that are dumped at the same time have ${formatBytes(largestTablesBytes)}, more than spool-limit, and the file system of RUNNER_TEMP cannot give back the space of a file that is being read`,
      'Raise `spool-limit`, lower `jobs`, or run on a file system that can punch holes (ext4, xfs, btrfs, tmpfs).',
    )
  }
}

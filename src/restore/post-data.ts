import type { TocEntry } from '../postgres/toc.ts'
import type { RestoreError } from './pg-restore.ts'
import { besideRows, type Pass, postDataPasses } from './post-data-passes.ts'

export interface PostDataOptions {
  /** Those of the archive; what is of another section is passed over. */
  entries: readonly TocEntry[]
  jobs: number
  /** Makes these entries of section post-data; resolves with what the server refused. */
  make: (pass: Pass, jobs: number, signal: AbortSignal) => Promise<RestoreError[]>
  signal: AbortSignal
}

/**
 * Section post-data: indexes, constraints, triggers. Once the last rows are being loaded, indexes of what is loaded already
 * are made beside them.
 */
export class PostData {
  readonly #options: PostDataOptions
  readonly #given = new AbortController()
  readonly #signal: AbortSignal
  #begun = new Set<TocEntry>()
  #beside: Promise<RestoreError[]> | undefined

  constructor(options: PostDataOptions) {
    this.#options = options
    this.#signal = AbortSignal.any([options.signal, this.#given.signal])
  }

  /**
   * Makes, over so many connections, what needs no row of the tables whose TABLE DATA entries are `loading` (dump ids). Once.
   * Returns how many entries that is; 0: none, or it was begun before.
   */
  begin(loading: ReadonlySet<number>, jobs: number): number {
    if (this.#beside !== undefined) return 0
    const entries = besideRows(this.#options.entries, loading)
    if (entries.length === 0) return 0
    this.#begun = new Set(entries)
    this.#beside = this.#options.make({ name: 'beside-rows', entries, parallel: true }, jobs, this.#signal)
    // Whoever finishes learns of it.
    this.#beside.catch(() => undefined)
    return entries.length
  }

  /** All that is left, now that every row is there. */
  async finish(): Promise<RestoreError[]> {
    const { entries, jobs, make } = this.#options
    const errors = (await this.#beside) ?? []
    for (const pass of postDataPasses(entries.filter((entry) => !this.#begun.has(entry)))) {
      errors.push(...(await make(pass, pass.parallel ? jobs : 1, this.#signal)))
    }
    return errors
  }

  /** Ends what was begun, where the restore has failed. */
  async giveUp(): Promise<void> {
    this.#given.abort(new Error('the restore has failed'))
    await this.#beside?.catch(() => undefined)
  }
}

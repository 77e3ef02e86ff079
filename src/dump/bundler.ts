import { packBundle } from '../streams/bundle.ts'
import type { StoreStream } from './set-writer.ts'

/** A file below this goes into a bundle: a million large objects must not be a million requests. */
export const SMALL_FILE_BYTES = 1 << 20
const BUNDLE_BYTES = 16 << 20

/** Packs small files into tar bundles of at most 16 MiB. */
export class Bundler {
  readonly #store: StoreStream
  readonly #stored: (bundle: string, names: readonly string[]) => void
  #files: { name: string; content: Buffer }[] = []
  #bytes = 0
  #count = 0

  /** `stored` is told the path of each bundle when it is stored, and what is in it. */
  constructor(store: StoreStream, stored: (bundle: string, names: readonly string[]) => void) {
    this.#store = store
    this.#stored = stored
  }

  /** Takes a file; resolves at once, or when the bundle that it would have overfilled is stored. */
  async add(name: string, content: Buffer): Promise<void> {
    // A tar member takes its content in whole blocks of 512 bytes, and one for its name.
    const bytes = 1_024 + content.length
    const full = this.#bytes + bytes > BUNDLE_BYTES ? this.#take() : []
    this.#files.push({ name, content })
    this.#bytes += bytes
    await this.#pack(full)
  }

  /** Stores what is left. */
  async flush(): Promise<void> {
    await this.#pack(this.#take())
  }

  #take() {
    const files = this.#files
    this.#files = []
    this.#bytes = 0
    return files
  }

  async #pack(files: readonly { name: string; content: Buffer }[]): Promise<void> {
    if (files.length === 0) return
    this.#count += 1
    const path = `database/bundle-${String(this.#count).padStart(5, '0')}.tar`
    const part = await this.#store({ path, content: packBundle(files), maxBytes: 2 * BUNDLE_BYTES })
    this.#stored(
      part.path,
      files.map(({ name }) => name),
    )
  }
}

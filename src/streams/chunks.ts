/** Reads a stream of chunks piece by piece, and lets bytes be put back. Holds no more than one chunk and what was asked for. */
export class ChunkReader {
  readonly #iterator: AsyncIterator<Buffer>
  #unread: Buffer | undefined

  constructor(source: AsyncIterable<Buffer>) {
    this.#iterator = source[Symbol.asyncIterator]()
  }

  /** The next bytes as they come, never empty; undefined at the end. */
  async read(): Promise<Buffer | undefined> {
    const unread = this.#unread
    this.#unread = undefined
    if (unread !== undefined) return unread
    for (;;) {
      const { value, done } = await this.#iterator.next()
      if (done) return undefined
      if (value.length > 0) return value
    }
  }

  /** Puts bytes back that the next read gives out again, before whatever else was put back. */
  unread(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#unread = this.#unread === undefined ? bytes : Buffer.concat([bytes, this.#unread])
  }

  async atEnd(): Promise<boolean> {
    const chunk = await this.read()
    if (chunk !== undefined) this.unread(chunk)
    return chunk === undefined
  }

  /** The next bytes, at most `limit` of them, never empty; undefined at the end. */
  async readUpTo(limit: number): Promise<Buffer | undefined> {
    const chunk = await this.read()
    if (chunk === undefined || chunk.length <= limit) return chunk
    this.unread(chunk.subarray(limit))
    return chunk.subarray(0, limit)
  }

  /** The next `length` bytes; fewer only where the source ends. */
  async readExactly(length: number): Promise<Buffer> {
    const parts: Buffer[] = []
    let missing = length
    while (missing > 0) {
      const part = await this.readUpTo(missing)
      if (part === undefined) break
      parts.push(Buffer.from(part))
      missing -= part.length
    }
    return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)
  }

  /** Ends the source early; does nothing to one that has ended. */
  async close(): Promise<void> {
    await this.#iterator.return?.()
  }
}

/**
 * The same bytes in fewer chunks: those of fewer than `minimum` bytes are joined until they are so many, or a longer one
 * comes, which passes as it is.
 */
export async function* gatherChunks(
  source: AsyncIterable<Buffer>,
  minimum: number,
): AsyncGenerator<Buffer, void, void> {
  let gathered: Buffer[] = []
  let bytes = 0
  for await (const chunk of source) {
    const isLarge = chunk.length >= minimum
    if (!isLarge) {
      gathered.push(chunk)
      bytes += chunk.length
    }
    if (bytes > 0 && (isLarge || bytes >= minimum)) {
      yield join(gathered)
      gathered = []
      bytes = 0
    }
    if (isLarge) yield chunk
  }
  if (bytes > 0) yield join(gathered)
}

function join(chunks: Buffer[]): Buffer {
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)
}

const MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const
const RLE_BLOCK = 1
const RESERVED_BLOCK = 3

type Step = 'magic' | 'skippable-size' | 'descriptor' | 'block-header' | 'body'

/**
 * Follows the outer structure of zstd frames through chunks with any borders, without decompressing: where each frame ends,
 * and whether the data does. Format: RFC 8878, sections 3.1.1 and 3.1.2.
 */
export class FrameWalker {
  #step: Step = 'magic'
  /** Bytes of the current field, while they are gathered. */
  readonly #field = Buffer.alloc(4)
  #fieldUsed = 0
  #fieldBytes = 4
  /** Bytes to pass over before the next field. */
  #skip = 0
  #hasChecksum = false
  #frames = 0

  /** Whether the data may end here: at least one frame, and none begun. */
  get complete(): boolean {
    return this.#frames > 0 && this.#step === 'magic' && this.#fieldUsed === 0
  }

  /**
   * Takes bytes from `start` up to the end of the current frame at most, and returns where it stopped.
   * Throws an Error that says what is wrong with the structure.
   */
  walk(chunk: Buffer, start: number): number {
    let at = start
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, chunk.length - at)
        this.#skip -= passed
        at += passed
      } else {
        const taken = chunk.copy(this.#field, this.#fieldUsed, at, at + this.#fieldBytes - this.#fieldUsed)
        this.#fieldUsed += taken
        at += taken
        if (this.#fieldUsed === this.#fieldBytes) this.#readField()
      }
      if (this.#skip === 0 && this.#step === 'body') {
        this.#frames += 1
        this.#expect('magic', 4)
        return at
      }
    }
    return at
  }

  #expect(step: Step, bytes: number): void {
    this.#step = step
    this.#fieldBytes = bytes
    this.#fieldUsed = 0
  }

  #readField(): void {
    if (this.#step === 'magic') this.#readMagic(this.#field.readUInt32LE())
    else if (this.#step === 'skippable-size') this.#finishAfter(this.#field.readUInt32LE())
    else if (this.#step === 'descriptor') this.#readDescriptor(this.#field.readUInt8())
    else this.#readBlockHeader(this.#field.readUIntLE(0, 3))
  }

  #readMagic(magic: number): void {
    if (magic === MAGIC) this.#expect('descriptor', 1)
    else if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) this.#expect('skippable-size', 4)
    else throw new Error(this.#frames === 0 ? 'it is not zstd data' : 'other data follows the compressed data')
  }

  #readDescriptor(descriptor: number): void {
    const singleSegment = (descriptor & 0x20) !== 0
    const contentSizeFlag = descriptor >> 6
    const contentSizeBytes = contentSizeFlag === 0 && singleSegment ? 1 : (CONTENT_SIZE_BYTES[contentSizeFlag] ?? 0)
    this.#skip = (singleSegment ? 0 : 1) + (DICTIONARY_ID_BYTES[descriptor & 3] ?? 0) + contentSizeBytes
    this.#hasChecksum = (descriptor & 4) !== 0
    this.#expect('block-header', 3)
  }

  #readBlockHeader(header: number): void {
    const type = (header >> 1) & 3
    if (type === RESERVED_BLOCK) throw new Error('it has a block of an unknown type')
    const bytes = type === RLE_BLOCK ? 1 : header >> 3
    const last = (header & 1) !== 0
    if (last) this.#finishAfter(bytes + (this.#hasChecksum ? 4 : 0))
    else {
      this.#skip = bytes
      this.#expect('block-header', 3)
    }
  }

  #finishAfter(bytes: number): void {
    this.#skip = bytes
    this.#step = 'body'
  }
}

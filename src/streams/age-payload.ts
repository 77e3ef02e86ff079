import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'

/** Sizes of age's payload: https://github.com/C2SP/C2SP/blob/main/age.md ("Payload"). */
export const PLAIN_CHUNK_BYTES = 64 * 1024
export const TAG_BYTES = 16
export const NONCE_BYTES = 16
const CIPHER = 'chacha20-poly1305'
const OPTIONS = { authTagLength: TAG_BYTES } as const

/** The key of one payload, from the file key and the 16-byte nonce that stands before the payload. */
export function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32)))
}

/** Encrypts or decrypts the chunks of one payload, one after the other: the counter is in the nonce of each. */
export class PayloadCipher {
  readonly #key: KeyObject
  #chunks = 0

  constructor(key: KeyObject) {
    this.#key = key
  }

  /** How many chunks have been through. */
  get chunks(): number {
    return this.#chunks
  }

  /** The encrypted chunk and its tag: two buffers, since joining them would copy everything once more. */
  encrypt(plain: Buffer, last: boolean): [sealed: Buffer, tag: Buffer] {
    const cipher = createCipheriv(CIPHER, this.#key, this.#nextNonce(last), OPTIONS)
    const sealed = cipher.update(plain)
    cipher.final()
    return [sealed, cipher.getAuthTag()]
  }

  /** Throws if the chunk is not authentic: changed, out of its place, or last where it is not (and the reverse). */
  decrypt(sealed: Buffer, last: boolean): Buffer {
    const decipher = createDecipheriv(CIPHER, this.#key, this.#nextNonce(last), OPTIONS)
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
    const plain = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES))
    decipher.final()
    return plain
  }

  /** An 11-byte big-endian counter, of which 6 bytes are enough for 2^64 bytes of payload, and the flag of the last chunk. */
  #nextNonce(last: boolean): Buffer {
    const nonce = Buffer.alloc(12)
    nonce.writeUIntBE(this.#chunks, 5, 6)
    nonce[11] = last ? 1 : 0
    this.#chunks += 1
    return nonce
  }
}

/**
 * Cuts a stream into blocks of exactly `size` bytes, keeping back the newest block, because only at the end it is known to
 * be the last one. Blocks may be views into what was given: use them before the next call.
 */
export class BlockCutter {
  readonly #block: Buffer
  #used = 0

  constructor(size: number) {
    this.#block = Buffer.allocUnsafe(size)
  }

  /** The blocks that are full and followed by more bytes. */
  *cut(chunk: Buffer): Generator<Buffer, void, void> {
    const size = this.#block.length
    let at = 0
    while (at < chunk.length) {
      if (this.#used === size) {
        this.#used = 0
        yield this.#block
      } else if (this.#used === 0 && chunk.length - at > size) {
        at += size
        yield chunk.subarray(at - size, at)
      } else {
        const taken = chunk.copy(this.#block, this.#used, at)
        this.#used += taken
        at += taken
      }
    }
  }

  /** What is left: the last block, empty only if there was nothing at all. */
  rest(): Buffer {
    return this.#block.subarray(0, this.#used)
  }
}

import { createHash } from 'node:crypto'
import { Transform, type TransformCallback } from 'node:stream'

/** Passes bytes through, counts them and takes their SHA-256. */
export class DigestMeter extends Transform {
  readonly #hash = createHash('sha256')
  #bytes = 0
  #sha256: string | undefined

  /** How many bytes have passed so far. */
  get bytes(): number {
    return this.#bytes
  }

  /** 64 lower-case hex digits. To be asked for when everything has passed: nothing can pass afterwards. */
  sha256(): string {
    this.#sha256 ??= this.#hash.digest('hex')
    return this.#sha256
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#hash.update(chunk)
    this.#bytes += chunk.length
    done(null, chunk)
  }
}

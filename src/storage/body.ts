import { Readable } from 'node:stream'
import { LifeboatError } from '../base/errors.ts'
import { formatBytes } from '../base/units.ts'

/** An object's largest size where the caller names none: a sealed segment of 1 GiB and its overhead. */
export const DEFAULT_MAX_BYTES = 2 ** 30 + 64 * 2 ** 20
/** The most that `read` takes into memory where the caller names no limit. */
export const DEFAULT_READ_LIMIT = 64 * 2 ** 20

/** A body on its way into storage: a stream that fails once more than the announced bytes have passed. */
export interface MeteredBody {
  readonly stream: Readable
  /** Bytes that have passed so far. */
  bytes(): number
  /** The error with which the body itself ended: the caller's own, not the storage's. */
  failure(): { error: unknown } | undefined
}

/** Meters a body. An error of the body, or of its length (`object-too-long`), ends the stream. */
export function meterBody(
  key: string,
  body: Buffer | AsyncIterable<Buffer>,
  maxBytes = DEFAULT_MAX_BYTES,
): MeteredBody {
  let bytes = 0
  let failure: { error: unknown } | undefined
  async function* recorded(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of Buffer.isBuffer(body) ? [body] : body) {
        bytes += chunk.length
        if (bytes > maxBytes) throw tooLong(key, maxBytes)
        if (chunk.length > 0) yield chunk
      }
    } catch (error) {
      failure = { error }
      throw error
    }
  }
  // Destroying a stream throws its error into the generator at `yield`: from this one it does not reach the body's.
  async function* metered(): AsyncGenerator<Buffer> {
    for await (const chunk of recorded()) yield chunk
  }
  return { stream: Readable.from(metered(), { highWaterMark: 2 }), bytes: () => bytes, failure: () => failure }
}

/** All bytes of a stream; destroys it and rejects with `object-too-large` as soon as there are more than `limit`. */
export async function collect(key: string, stream: Readable, limit = DEFAULT_READ_LIMIT): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > limit) throw tooLarge(key, limit)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, bytes)
}

function tooLong(key: string, maxBytes: number): LifeboatError {
  return new LifeboatError(
    'object-too-long',
    `${key} is longer than the ${formatBytes(maxBytes)} (${maxBytes} bytes) that were announced for it.`,
    'Nothing was stored under this name. Please report this: sizes are announced by pg-lifeboat itself.',
  )
}

function tooLarge(key: string, limit: number): LifeboatError {
  return new LifeboatError(
    'object-too-large',
    `${key} is larger than the ${formatBytes(limit)} that such an object can have.`,
    'Check that `storage` and `database` point at backup sets and that nothing else writes there.',
  )
}

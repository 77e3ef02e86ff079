import { Readable } from 'node:stream'
import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3'
import type { S3Context } from './s3-client.ts'
import { serviceError } from './s3-errors.ts'
import { backoff, isBrokenConnection } from './s3-retry.ts'
import type { GetOptions } from './storage.ts'

/** After this much progress a broken connection counts as the first one again. */
const PROGRESS_BYTES = 2 ** 20

/**
 * An object's bytes from `start`. The request is answered before this resolves, so a missing object rejects here. The
 * stream goes on over a new connection where one broke, and is of one version of the object throughout.
 */
export async function downloadObject(
  context: S3Context,
  key: string,
  options: GetOptions,
  explain: (error: unknown) => unknown,
): Promise<Readable> {
  options.signal?.throwIfAborted()
  const start = options.start ?? 0
  const stop = new AbortController()
  const request = async (position: number, first?: GetObjectCommandOutput): Promise<GetObjectCommandOutput> =>
    await context.client.send(
      new GetObjectCommand({
        Bucket: context.bucket,
        Key: context.base + key,
        VersionId: options.versionId ?? first?.VersionId,
        IfMatch: first?.ETag,
        Range: position > 0 ? `bytes=${position}-` : undefined,
      }),
      { abortSignal: options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal },
    )
  try {
    const first = await request(start)
    const resume = (position: number) => request(position, first)
    return new ResumingBody({ context, key, start, first, resume, explain, stop, signal: options.signal })
  } catch (error) {
    // There is nothing at or after the object's end: an empty stream, as of a file.
    if (start > 0 && serviceError(error).status === 416) return Readable.from([])
    throw explain(error)
  }
}

interface BodySource {
  context: S3Context
  key: string
  start: number
  first: GetObjectCommandOutput
  resume(position: number): Promise<GetObjectCommandOutput>
  explain(error: unknown): unknown
  stop: AbortController
  signal?: AbortSignal
}

/** Passes on one response's body after another until all bytes that the first one announced have come. */
class ResumingBody extends Readable {
  readonly #source: BodySource
  readonly #end: number | undefined
  #position: number
  #body: Readable | undefined
  #failures = 0
  #lastBreak: number

  constructor(source: BodySource) {
    super({ highWaterMark: 2 ** 20 })
    this.#source = source
    this.#position = source.start
    this.#lastBreak = source.start
    const length = source.first.ContentLength
    this.#end = length === undefined ? undefined : source.start + length
    source.signal?.addEventListener('abort', this.#aborted, { once: true })
    this.#follow(source.first)
  }

  override _read(): void {
    this.#body?.resume()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#source.signal?.removeEventListener('abort', this.#aborted)
    this.#source.stop.abort()
    this.#body?.on('error', () => undefined).destroy()
    done(error)
  }

  #aborted = (): void => {
    this.#fail(this.#source.signal?.reason)
  }

  #follow(response: GetObjectCommandOutput): void {
    const body = response.Body as Readable
    this.#body = body
    let over = false
    body.on('data', (chunk: Buffer) => {
      this.#position += chunk.length
      if (!this.push(chunk)) body.pause()
    })
    const ended = (error?: Error) => {
      if (over || this.destroyed) return
      over = true
      if (!error && (this.#end === undefined || this.#position === this.#end)) this.push(null)
      else void this.#recover(error ?? cutShort())
    }
    body.on('end', () => ended())
    body.on('error', ended)
    body.on('close', () => ended(cutShort()))
    // The reader may have asked for bytes before there was a body; pushing stops again if it does not want them.
    body.resume()
  }

  async #recover(error: Error): Promise<void> {
    const { context, key, stop } = this.#source
    this.#body?.destroy()
    if (this.#position - this.#lastBreak >= PROGRESS_BYTES) this.#failures = 0
    this.#failures += 1
    this.#lastBreak = this.#position
    if (!isBrokenConnection(error) || this.#failures >= context.patience.attempts) return this.#fail(error)
    if (this.#position === this.#end) return void this.push(null)
    context.log.debug(`storage: ${key} broke off at byte ${this.#position} (${error.message}); reading on`)
    try {
      await context.clock.sleep(backoff(this.#failures, context.patience), stop.signal)
      this.#follow(await this.#source.resume(this.#position))
    } catch (again) {
      this.#fail(again)
    }
  }

  #fail(error: unknown): void {
    const explained = this.#source.explain(error)
    this.destroy(explained instanceof Error ? explained : new Error(String(explained)))
  }
}

function cutShort(): Error {
  return Object.assign(new Error('the connection ended early'), { code: 'ECONNRESET' })
}

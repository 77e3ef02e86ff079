import { createHash } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { LifeboatError } from '../base/errors.ts'
import { DEFAULT_MAX_BYTES, type MeteredBody, meterBody } from './body.ts'
import { md5Base64, type S3Context } from './s3-client.ts'
import { noObjectLock } from './s3-errors.ts'
import type { PutOptions, StoredObject } from './storage.ts'

/** Some services take no more parts than this (AWS: 10,000). */
const MOST_PARTS = 1_000
const MIB = 2 ** 20
const LEAST_PART_BYTES = 8 * MIB
/** Parts on their way at once; one more is being collected, so a put holds up to five parts in memory. */
const CONCURRENT_PARTS = 3

/** The part size, in whole MiB, with which `maxBytes` fit in 1,000 parts. */
export function partSizeFor(maxBytes: number): number {
  return Math.max(LEAST_PART_BYTES, Math.ceil(maxBytes / MOST_PARTS / MIB) * MIB)
}

/**
 * Writes one object: in one request if it fits in one part, else by multipart upload, which is aborted, and waited for,
 * before an error comes out. `explain` makes LifeboatErrors of the SDK's; the body's own errors stay what they are.
 */
export async function uploadObject(
  context: S3Context,
  key: string,
  body: Buffer | AsyncIterable<Buffer>,
  options: PutOptions,
  explain: (error: unknown) => unknown,
): Promise<StoredObject> {
  options.signal?.throwIfAborted()
  const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES
  const meter = meterBody(key, body, maxBytes)
  const put = new Put(context, meter, options.lockUntil !== undefined && context.endpoint !== undefined)
  const aborted = () => put.stop(options.signal?.reason)
  options.signal?.addEventListener('abort', aborted, { once: true })
  try {
    const upload = new Upload({
      client: put.client(),
      params: {
        Bucket: context.bucket,
        Key: context.base + key,
        Body: meter.stream,
        ...(options.lockUntil && { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: options.lockUntil }),
        ...(options.storageClass && { StorageClass: options.storageClass as 'STANDARD' }),
      },
      partSize: partSizeFor(maxBytes),
      queueSize: CONCURRENT_PARTS,
    })
    const result = await upload.done()
    if (options.lockUntil) await ensureLock(context, key, result.VersionId, options.lockUntil)
    return { key, bytes: meter.bytes(), modified: context.clock.now(), versionId: result.VersionId }
  } catch (error) {
    const failure = meter.failure()
    if (failure && !options.signal?.aborted) throw failure.error
    // Upload may report what its own clearing up met; the first failure is the one that tells.
    throw explain(put.firstError() ?? error)
  } finally {
    options.signal?.removeEventListener('abort', aborted)
    meter.stream.destroy()
  }
}

/**
 * Some services take the lock's headers on a multipart upload and ignore them [seen in Ceph 16, in buckets with and
 * without Object Lock]. What was written must not pass for locked: so the lock is set once more, where that may be
 * needed. A bucket with Object Lock keeps versions, so an answer without one is a bucket without.
 */
async function ensureLock(context: S3Context, key: string, VersionId: string | undefined, until: Date): Promise<void> {
  const { client, bucket: Bucket, base, endpoint } = context
  const target = { Bucket, Key: base + key }
  if (VersionId === undefined) {
    await client.send(new DeleteObjectCommand(target)).catch(() => undefined)
    throw new LifeboatError(...noObjectLock(Bucket, 'the write went through, but without a version or a lock'))
  }
  if (endpoint === undefined) return
  const version = { ...target, VersionId }
  try {
    const { ObjectLockRetainUntilDate: locked } = await client.send(new HeadObjectCommand(version))
    if (locked) return
    const Retention = { Mode: 'COMPLIANCE', RetainUntilDate: until } as const
    await client.send(new PutObjectRetentionCommand({ ...version, Retention }))
  } catch (error) {
    await client.send(new DeleteObjectCommand(version)).catch(() => undefined)
    throw error
  }
}

/**
 * What Upload leaves open: it goes on sending the other parts after one has failed, cannot cancel requests under way,
 * and takes a lost answer to the last request for a failure. So it gets a client that does these things.
 */
class Put {
  readonly #context: S3Context
  readonly #meter: MeteredBody
  readonly #needsMd5: boolean
  readonly #abort = new AbortController()
  #failed = false
  #error: unknown

  constructor(context: S3Context, meter: MeteredBody, needsMd5: boolean) {
    this.#context = context
    this.#meter = meter
    this.#needsMd5 = needsMd5
    meter.stream.once('error', (error) => this.stop(error))
  }

  firstError(): unknown {
    return this.#failed ? this.#error : undefined
  }

  /** Ends everything that is under way for this put: the requests and the reading of the body. */
  stop(error: unknown): void {
    if (this.#failed) return
    this.#failed = true
    this.#error = error
    this.#abort.abort(error)
    this.#meter.stream.destroy()
  }

  client(): S3Client {
    const send = { value: (command: Command) => this.#send(command) }
    return Object.create(this.#context.client, { send }) as S3Client
  }

  async #send(command: Command): Promise<unknown> {
    const { client } = this.#context
    // A request that begins or ends an upload must not be cut: what it did on the other side would not be known.
    if (command instanceof AbortMultipartUploadCommand || command instanceof CreateMultipartUploadCommand) {
      return await client.send(command as AbortMultipartUploadCommand).catch((error) => {
        this.stop(error)
        throw error
      })
    }
    if (this.#needsMd5) addMd5(command)
    try {
      this.#abort.signal.throwIfAborted()
      const answer = await client.send(command as PutObjectCommand, { abortSignal: this.#abort.signal })
      // A repeated request may be answered well, but without the version that the first one made.
      const repeated = (answer.$metadata.attempts ?? 1) > 1 && answer.VersionId === undefined
      return (repeated && (await this.#completed(command))) || answer
    } catch (error) {
      const completed = this.#failed ? undefined : await this.#completed(command)
      if (completed) return completed
      this.stop(error)
      throw error
    }
  }

  /** After a lost answer the repeated request may be refused, yet the object stands: it has the parts' joint ETag. */
  async #completed(command: Command): Promise<object | undefined> {
    if (!(command instanceof CompleteMultipartUploadCommand)) return undefined
    const { Bucket, Key, MultipartUpload } = command.input
    try {
      const head = await this.#context.client.send(new HeadObjectCommand({ Bucket, Key }))
      const etag = combinedEtag(MultipartUpload?.Parts?.map((part) => part.ETag ?? '') ?? [])
      const same = head.ContentLength === this.#meter.bytes() && head.ETag?.replaceAll('"', '') === etag
      return same ? { ETag: head.ETag, VersionId: head.VersionId, $metadata: head.$metadata } : undefined
    } catch {
      return undefined
    }
  }
}

type Command = object

/** A write with a lock must carry a checksum. AWS gets the SDK's CRC, other services the MD5 that all of them know. */
function addMd5(command: Command): void {
  if (!(command instanceof PutObjectCommand || command instanceof UploadPartCommand)) return
  const { Body } = command.input
  if (Body instanceof Uint8Array) command.input.ContentMD5 = md5Base64(Body)
}

/** The ETag of an object made of parts: the MD5 of their MD5s and their number. */
function combinedEtag(parts: string[]): string {
  const digests = parts.map((etag) => Buffer.from(etag.replaceAll('"', ''), 'hex'))
  return `${createHash('md5').update(Buffer.concat(digests)).digest('hex')}-${parts.length}`
}

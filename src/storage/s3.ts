import type { Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  type ListObjectsV2CommandOutput,
  type MultipartUpload,
} from '@aws-sdk/client-s3'
import { collect, DEFAULT_READ_LIMIT } from './body.ts'
import { checkKey, checkPrefix } from './location.ts'
import type { Posture } from './posture.ts'
import { createS3Client, type S3ClientOptions, type S3Context } from './s3-client.ts'
import { S3Deleter } from './s3-delete.ts'
import { downloadObject } from './s3-download.ts'
import { explainS3Error, isMissingObject, isNotImplemented, type S3Attempt } from './s3-errors.ts'
import { S3Locks } from './s3-locks.ts'
import { postureOf } from './s3-posture.ts'
import { DEFAULT_PATIENCE } from './s3-retry.ts'
import { uploadObject } from './s3-upload.ts'
import { versionPages } from './s3-versions.ts'
import type { Deletion, GetOptions, Lock, ObjectVersion, PutOptions, Storage, StoredObject } from './storage.ts'

/**
 * Backup sets in an S3 bucket, AWS's or another's (`endpoint`). `patience` is for tests: how often and how long the
 * service is waited for.
 */
export async function openS3(
  location: { bucket: string; prefix: string; url: string },
  options: S3ClientOptions,
): Promise<Storage> {
  const { client, endpoint } = await createS3Client(options)
  return new S3Storage({
    client,
    endpoint,
    bucket: location.bucket,
    base: location.prefix === '' ? '' : `${location.prefix}/`,
    url: location.url,
    patience: { ...DEFAULT_PATIENCE, ...options.patience },
    log: options.log,
    clock: options.clock,
  })
}

type Attempt = Pick<S3Attempt, 'verb' | 'permission' | 'key' | 'lock' | 'storageClass' | 'signal'>

class S3Storage implements Storage {
  readonly url: string
  /** A bucket without Object Lock refuses the write itself: `no-object-lock`. */
  readonly canLock = true
  readonly #context: S3Context
  readonly #deleter: S3Deleter
  readonly #locks: S3Locks

  constructor(context: S3Context) {
    this.#context = context
    this.#deleter = new S3Deleter(context)
    this.#locks = new S3Locks(context)
    this.url = context.url
  }

  async put(key: string, body: Buffer | AsyncIterable<Buffer>, options: PutOptions = {}): Promise<StoredObject> {
    checkKey(key)
    const permission = options.lockUntil ? 's3:PutObject and s3:PutObjectRetention' : 's3:PutObject'
    const { lockUntil, storageClass, signal } = options
    const lock = lockUntil !== undefined
    const explain = this.#explainer({ verb: 'write', permission, key, lock, storageClass, signal })
    return await uploadObject(this.#context, key, body, options, explain)
  }

  async get(key: string, options: GetOptions = {}): Promise<Readable> {
    checkKey(key)
    const permission = options.versionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion'
    const explain = this.#explainer({ verb: 'read', permission, key, signal: options.signal })
    return await downloadObject(this.#context, key, options, explain)
  }

  async read(key: string, options: GetOptions & { limit?: number } = {}): Promise<Buffer> {
    return await collect(key, await this.get(key, options), options.limit ?? DEFAULT_READ_LIMIT)
  }

  async head(key: string, options: { versionId?: string } = {}): Promise<StoredObject | undefined> {
    checkKey(key)
    // Without s3:ListBucket AWS answers 403 where there is no object.
    const permission = 's3:GetObject and s3:ListBucket'
    return await this.#explained({ verb: 'look at', permission, key }, async () => {
      const { client, bucket, base } = this.#context
      try {
        const command = new HeadObjectCommand({ Bucket: bucket, Key: base + key, VersionId: options.versionId })
        const { ContentLength = 0, LastModified = new Date(0), VersionId } = await client.send(command)
        return { key, bytes: ContentLength, modified: LastModified, versionId: VersionId }
      } catch (error) {
        if (isMissingObject(error)) return undefined
        throw error
      }
    })
  }

  async *list(prefix: string, options: { after?: string; signal?: AbortSignal } = {}): AsyncGenerator<StoredObject> {
    checkPrefix(prefix)
    const { base } = this.#context
    const after = options.after ? base + options.after : undefined
    for await (const page of this.#pages({ Prefix: base + prefix, StartAfter: after }, options.signal)) {
      for (const { Key = '', Size = 0, LastModified = new Date(0) } of page.Contents ?? []) {
        const key = Key.slice(base.length)
        // Consoles make empty objects named `folder/` to show a folder.
        if (key !== '' && !key.endsWith('/')) yield { key, bytes: Size, modified: LastModified }
      }
    }
  }

  async *versions(prefix: string, options: { signal?: AbortSignal } = {}): AsyncGenerator<ObjectVersion> {
    checkPrefix(prefix)
    const { signal } = options
    const attempt = { verb: 'list the versions in', permission: 's3:ListBucketVersions', signal }
    const pages = versionPages(this.#context, prefix, signal)
    let found = 0
    for (;;) {
      const { done, value: page } = await this.#explained(attempt, () => pages.next())
      if (done) break
      found += page?.length ?? 0
      yield* page ?? []
    }
    // Also where a service answers the question for versions with something else.
    if (found > 0) return
    for await (const object of this.list(prefix, options)) yield { ...object, isLatest: true, isDeleteMarker: false }
  }

  async locks(
    objects: readonly { key: string; versionId?: string }[],
    options: { signal?: AbortSignal } = {},
  ): Promise<readonly Lock[]> {
    for (const { key } of objects) checkKey(key)
    const attempt = { verb: 'look at', permission: 's3:GetObjectRetention', signal: options.signal }
    return await this.#explained(attempt, () => this.#locks.of(objects, options.signal))
  }

  async folders(prefix: string): Promise<string[]> {
    checkPrefix(prefix)
    const { base } = this.#context
    const parent = base.length + prefix.lastIndexOf('/') + 1
    const folders: string[] = []
    for await (const page of this.#pages({ Prefix: base + prefix, Delimiter: '/' })) {
      for (const { Prefix = '' } of page.CommonPrefixes ?? []) folders.push(Prefix.slice(parent, -1))
    }
    return folders
  }

  async delete(objects: readonly { key: string; versionId?: string }[]): Promise<Deletion[]> {
    for (const { key } of objects) checkKey(key)
    const permission = 's3:DeleteObject and s3:DeleteObjectVersion'
    return await this.#explained({ verb: 'delete from', permission }, () => this.#deleter.delete(objects))
  }

  async abortUploads(prefix: string, before: Date): Promise<number> {
    checkPrefix(prefix)
    const { client, bucket: Bucket } = this.#context
    const permission = 's3:ListBucketMultipartUploads and s3:AbortMultipartUpload'
    return await this.#explained({ verb: 'sweep', permission }, async () => {
      let count = 0
      for (const { Key, UploadId, Initiated } of await this.#openUploads(prefix)) {
        if (!Initiated || Initiated >= before) continue
        await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })).catch((error) => {
          if (!isMissingObject(error)) throw error
        })
        count += 1
      }
      return count
    })
  }

  async posture(
    probe: { key: string; versionId?: string },
    prefix: string,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<Posture> {
    checkKey(probe.key)
    checkPrefix(prefix)
    return await postureOf({ context: this.#context, probe, signal }, prefix)
  }

  close(): void {
    this.#context.client.destroy()
  }

  async #openUploads(prefix: string): Promise<MultipartUpload[]> {
    const { client, bucket, base } = this.#context
    const uploads: MultipartUpload[] = []
    let position: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {}
    while (position) {
      const command: ListMultipartUploadsCommand = new ListMultipartUploadsCommand({
        Bucket: bucket,
        Prefix: base + prefix,
        ...position,
      })
      const page: ListMultipartUploadsCommandOutput | undefined = await client.send(command).catch((error) => {
        // A service that cannot list them cleans up by itself.
        if (isNotImplemented(error)) return undefined
        throw error
      })
      uploads.push(...(page?.Uploads ?? []))
      const { NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page ?? {}
      position = page?.IsTruncated && KeyMarker ? { KeyMarker, UploadIdMarker } : undefined
    }
    return uploads
  }

  async *#pages(
    query: Pick<ListObjectsV2CommandInput, 'Prefix' | 'StartAfter' | 'Delimiter'>,
    signal?: AbortSignal,
  ): AsyncGenerator<ListObjectsV2CommandOutput> {
    const { client, bucket } = this.#context
    let next: string | undefined
    do {
      const command: ListObjectsV2Command = new ListObjectsV2Command({
        Bucket: bucket,
        ...query,
        ContinuationToken: next,
      })
      const attempt = { verb: 'list', permission: 's3:ListBucket', signal }
      const page: ListObjectsV2CommandOutput = await this.#explained(attempt, () =>
        client.send(command, { abortSignal: signal }),
      )
      yield page
      next = page.IsTruncated ? page.NextContinuationToken : undefined
    } while (next !== undefined)
  }

  async #explained<T>(attempt: Attempt, work: () => Promise<T>): Promise<T> {
    try {
      attempt.signal?.throwIfAborted()
      return await work()
    } catch (error) {
      throw this.#explainer(attempt)(error)
    }
  }

  #explainer(attempt: Attempt): (error: unknown) => unknown {
    const { url, bucket, endpoint } = this.#context
    return (error) => explainS3Error(error, { ...attempt, url, bucket, endpoint })
  }
}

import type { Readable } from 'node:stream'
import type { Posture } from './posture.ts'

/** One stored object, as a listing or a write tells it. */
export interface StoredObject {
  /** Relative to the storage's prefix, `/`-separated, never with a leading `/`. */
  key: string
  bytes: number
  modified: Date
  /** The version that this write made or that is current; undefined where the storage keeps no versions. */
  versionId?: string
}

/**
 * One version of an object, or a marker that hides the versions before it. `versionId` is undefined where the storage
 * keeps no versions or does not list them; `null`, the text, is S3's name for what was written while it kept none.
 */
export interface ObjectVersion extends StoredObject {
  /** What a reader without a version id gets; if that is a marker, there is nothing for him. */
  isLatest: boolean
  /** Of 0 bytes. */
  isDeleteMarker: boolean
}

export interface PutOptions {
  /** An upper bound of the body's length: chooses part sizes so that the object fits in 1,000 parts. Default 1 GiB + 64 MiB. */
  maxBytes?: number
  /** Object Lock (COMPLIANCE) until then. Refused by a storage that cannot lock. */
  lockUntil?: Date
  storageClass?: string
  signal?: AbortSignal
}

export interface GetOptions {
  versionId?: string
  /** First byte, 0-based. */
  start?: number
  signal?: AbortSignal
}

/** What keeps one version from being deleted. */
export interface Lock {
  key: string
  versionId?: string
  /** Until when; undefined: a legal hold, which somebody has to lift. */
  until?: Date
}

/** What one deletion came to. `retained`: a lock refused it; that is no error. */
export interface Deletion {
  key: string
  versionId?: string
  outcome: 'deleted' | 'retained' | 'failed'
  reason?: string
}

/**
 * Where backup sets are kept. Two implementations, one contract test suite. Every error that comes out is a
 * LifeboatError whose remedy names the `storage`, `s3-endpoint` or credentials to look at; transient faults have been
 * retried with back-off before that.
 */
export interface Storage {
  /** As the user wrote it, without secrets: `s3://bucket/prefix`. */
  readonly url: string
  /** Whether writes can carry `lockUntil`. */
  readonly canLock: boolean

  /**
   * Writes one object whole or not at all: a body that ends with an error, or an abort, leaves nothing under the key.
   * A Buffer body is retried on transient faults; a stream body is retried part by part.
   */
  put(key: string, body: Buffer | AsyncIterable<Buffer>, options?: PutOptions): Promise<StoredObject>

  /** The object's bytes. A connection lost midway is resumed at the byte it stopped. Missing: rejects with code `no-object`. */
  get(key: string, options?: GetOptions): Promise<Readable>

  /** The whole object; for small ones. Refuses more than `limit` bytes (default 64 MiB). */
  read(key: string, options?: GetOptions & { limit?: number }): Promise<Buffer>

  /** The object's facts, or undefined where there is none. */
  head(key: string, options?: { versionId?: string }): Promise<StoredObject | undefined>

  /** All objects whose key begins with `prefix`, in byte order of keys, however many. `after` skips keys up to it. */
  list(prefix: string, options?: { after?: string; signal?: AbortSignal }): AsyncIterable<StoredObject>

  /**
   * Every version and delete marker of the objects whose key begins with `prefix`, in byte order of keys, the latest
   * first; the objects as they are where the storage does not list versions. S3 wants s3:ListBucketVersions for it.
   */
  versions(prefix: string, options?: { signal?: AbortSignal }): AsyncIterable<ObjectVersion>

  /**
   * The locks that hold now on these versions (without an id: on the current one). One that the credentials may not
   * see is missing: a deletion then still comes to `retained` or `failed`.
   */
  locks(
    objects: readonly { key: string; versionId?: string }[],
    options?: { signal?: AbortSignal },
  ): Promise<readonly Lock[]>

  /** The names one level below `prefix` (which ends in `/` or is empty) that are folders, without a trailing `/`. */
  folders(prefix: string): Promise<string[]>

  /** Deletes objects, by version where one is given; on versioned storage without a version id only a marker is set. */
  delete(objects: readonly { key: string; versionId?: string }[]): Promise<Deletion[]>

  /** Aborts multipart uploads (or removes temporary files) below `prefix` that were begun before `before`; how many. */
  abortUploads(prefix: string, before: Date): Promise<number>

  /**
   * How what is stored is kept, looked at by one stored object and by the rules for `prefix`. Writes and deletes nothing. A
   * question that the service does not know, or these credentials may not ask, is no error: the answer says so.
   */
  posture(
    probe: { key: string; versionId?: string },
    prefix: string,
    options?: { signal?: AbortSignal },
  ): Promise<Posture>

  close(): void
}

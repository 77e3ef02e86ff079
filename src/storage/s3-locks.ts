import { GetObjectLockConfigurationCommand, HeadObjectCommand, type HeadObjectCommandOutput } from '@aws-sdk/client-s3'
import { mapConcurrently } from '../base/concurrently.ts'
import type { S3Context } from './s3-client.ts'
import { isNotImplemented, serviceError } from './s3-errors.ts'
import type { Lock } from './storage.ts'

const CONCURRENT_HEADS = 16

interface Target {
  key: string
  versionId?: string
}

/** Finds the locks on versions. In a bucket without Object Lock one request tells that there are none. */
export class S3Locks {
  readonly #context: S3Context
  #bucketLocks: Promise<boolean> | undefined

  constructor(context: S3Context) {
    this.#context = context
  }

  /** Those that hold now. */
  async of(targets: readonly Target[], signal?: AbortSignal): Promise<Lock[]> {
    if (targets.length === 0) return []
    this.#bucketLocks ??= mayLock(this.#context)
    if (!(await this.#bucketLocks)) return []
    const locks = await mapConcurrently(targets, CONCURRENT_HEADS, async (target) => {
      signal?.throwIfAborted()
      return await lockOf(this.#context, target)
    })
    return locks.filter((lock) => lock !== undefined)
  }
}

/** What locks this version; undefined if nothing does, or if these credentials may not know. */
export async function lockOf(context: S3Context, { key, versionId }: Target): Promise<Lock | undefined> {
  const { client, bucket, base, clock } = context
  const target = { Bucket: bucket, Key: base + key, VersionId: versionId }
  const head: Partial<HeadObjectCommandOutput> = await client.send(new HeadObjectCommand(target)).catch(() => ({}))
  const version = { key, ...(versionId !== undefined && { versionId }) }
  if (head.ObjectLockLegalHoldStatus === 'ON') return version
  const until = head.ObjectLockRetainUntilDate
  return until && until > clock.now() ? { ...version, until } : undefined
}

/** `locked until 2026-12-22T02:17:04.000Z`. */
export function describeLock({ until }: Lock): string {
  return until ? `locked until ${until.toISOString()}` : 'under a legal hold'
}

/** Whether the bucket has Object Lock; where that may not be asked it counts as yes. */
async function mayLock({ client, bucket: Bucket }: S3Context): Promise<boolean> {
  try {
    await client.send(new GetObjectLockConfigurationCommand({ Bucket }))
    return true
  } catch (error) {
    return serviceError(error).name !== 'ObjectLockConfigurationNotFoundError' && !isNotImplemented(error)
  }
}

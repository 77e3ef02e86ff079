import { DeleteObjectCommand, DeleteObjectsCommand, type DeleteObjectsCommandOutput } from '@aws-sdk/client-s3'
import { mapConcurrently } from '../base/concurrently.ts'
import type { S3Context } from './s3-client.ts'
import { isMissingObject, isNotImplemented, serviceError } from './s3-errors.ts'
import { describeLock, lockOf } from './s3-locks.ts'
import type { Deletion } from './storage.ts'

/** The most that one DeleteObjects request takes. */
const BATCH = 1_000
const CONCURRENT_SINGLES = 8

export interface Doomed {
  key: string
  versionId?: string
}

/** Deletes objects in batches, or one by one where the service has no batches (Google answers 501). */
export class S3Deleter {
  readonly #context: S3Context
  #batches = true

  constructor(context: S3Context) {
    this.#context = context
  }

  async delete(objects: readonly Doomed[]): Promise<Deletion[]> {
    const deletions: Deletion[] = []
    for (let from = 0; from < objects.length; from += BATCH) {
      const batch = objects.slice(from, from + BATCH)
      deletions.push(...((await this.#deleteBatch(batch)) ?? (await this.#deleteSingly(batch))))
    }
    return deletions
  }

  /** Undefined where the service does not do batches. */
  async #deleteBatch(batch: readonly Doomed[]): Promise<Deletion[] | undefined> {
    if (!this.#batches || batch.length === 1) return undefined
    const { client, bucket, base } = this.#context
    const Objects = batch.map(({ key, versionId }) => ({ Key: base + key, VersionId: versionId }))
    try {
      const answer = await client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } }))
      return await this.#readErrors(batch, answer)
    } catch (error) {
      if (!isNotImplemented(error)) throw error
      this.#context.log.debug('storage: no batch deletion here; deleting one by one')
      this.#batches = false
      return undefined
    }
  }

  async #readErrors(batch: readonly Doomed[], answer: DeleteObjectsCommandOutput): Promise<Deletion[]> {
    const errors = new Map(answer.Errors?.map((error) => [`${error.VersionId ?? ''} ${error.Key}`, error]))
    const { base } = this.#context
    const judge = async (doomed: Doomed): Promise<Deletion> => {
      const error = errors.get(`${doomed.versionId ?? ''} ${base}${doomed.key}`) ?? errors.get(` ${base}${doomed.key}`)
      if (!error) return { ...doomed, outcome: 'deleted' }
      return await this.#judge(doomed, error.Code ?? 'Error', error.Message ?? '')
    }
    return await mapConcurrently(batch, CONCURRENT_SINGLES, judge)
  }

  async #deleteSingly(batch: readonly Doomed[]): Promise<Deletion[]> {
    const { client, bucket, base } = this.#context
    return await mapConcurrently(batch, CONCURRENT_SINGLES, async (doomed): Promise<Deletion> => {
      try {
        await client.send(
          new DeleteObjectCommand({ Bucket: bucket, Key: base + doomed.key, VersionId: doomed.versionId }),
        )
        return { ...doomed, outcome: 'deleted' }
      } catch (error) {
        if (isMissingObject(error)) return { ...doomed, outcome: 'deleted' }
        const { name, message, status } = serviceError(error)
        // Without an answer, or without valid credentials, no other deletion will fare better.
        if (status === 0 || (status === 403 && name !== 'AccessDenied' && name !== 'Forbidden')) throw error
        return await this.#judge(doomed, name, message)
      }
    })
  }

  /** A refusal may be a lock, which is as it should be, or a missing permission: the version's own lock tells. */
  async #judge(doomed: Doomed, code: string, message: string): Promise<Deletion> {
    if (code === 'NoSuchKey' || code === 'NoSuchVersion') return { ...doomed, outcome: 'deleted' }
    const lock = doomed.versionId === undefined ? undefined : await lockOf(this.#context, doomed)
    if (lock) return { ...doomed, outcome: 'retained', reason: describeLock(lock) }
    if (doomed.versionId !== undefined && /object lock|retention|worm/i.test(message)) {
      return { ...doomed, outcome: 'retained', reason: message }
    }
    const permission = doomed.versionId === undefined ? 's3:DeleteObject' : 's3:DeleteObjectVersion'
    const reason = /denied|forbidden/i.test(code)
      ? `${code}: allow ${permission} on arn:aws:s3:::${this.#context.url.slice('s3://'.length)}/*`
      : `${code}: ${message}`
    return { ...doomed, outcome: 'failed', reason }
  }
}

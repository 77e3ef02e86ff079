import { LifeboatError } from '../base/errors.ts'
import type { ObjectVersion, Storage } from '../storage/storage.ts'
import { parseHeadKey } from './layout.ts'

/** What one database takes in a storage. */
export interface Usage {
  /** Sets that exist: those that have a head. */
  sets: number
  /** Of everything that readers see. */
  bytes: number
  /** With what lies hidden behind newer versions and delete markers; undefined: these credentials may not list it. */
  bytesWithVersions?: number
}

/**
 * Measures what a database takes, by one listing of everything below its folder: a request for each thousand objects.
 * Errors: those of the listing.
 */
export async function measureUsage(storage: Storage, database: string, signal?: AbortSignal): Promise<Usage> {
  const options = signal === undefined ? {} : { signal }
  const prefix = `${database}/`
  try {
    const { hidden, ...current } = await addUp(storage.versions(prefix, options), database)
    return { ...current, bytesWithVersions: current.bytes + hidden }
  } catch (error) {
    if (!(error instanceof LifeboatError && error.code === 'storage-access-denied')) throw error
    const { hidden: _, ...current } = await addUp(storage.list(prefix, options), database)
    return current
  }
}

type Listed = Pick<ObjectVersion, 'key' | 'bytes'> & Partial<Pick<ObjectVersion, 'isLatest' | 'isDeleteMarker'>>

async function addUp(objects: AsyncIterable<Listed>, database: string) {
  const sum = { sets: 0, bytes: 0, hidden: 0 }
  for await (const { key, bytes, isLatest = true, isDeleteMarker = false } of objects) {
    if (!isLatest || isDeleteMarker) {
      sum.hidden += bytes
      continue
    }
    sum.bytes += bytes
    if (parseHeadKey(key, database)) sum.sets += 1
  }
  return sum
}

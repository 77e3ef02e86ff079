import { layout, parseSetId } from '../backup-set/layout.ts'
import { messageOf } from '../base/errors.ts'
import type { Finding } from '../base/findings.ts'
import type { Clock, Log } from '../base/ports.ts'
import type { Storage } from '../storage/storage.ts'

const LEFT_OVER_AFTER_SECONDS = 7 * 86_400

/**
 * Removes what dumps that never got their head left behind more than 7 days ago, and their open multipart uploads. It
 * runs after the new set exists; that it may not delete (keys that can only write are a good idea) is a note.
 */
export async function sweepLeftOvers(storage: Storage, database: string, clock: Clock, log: Log): Promise<Finding[]> {
  const before = new Date(clock.now().getTime() - LEFT_OVER_AFTER_SECONDS * 1_000)
  try {
    // The folders first: what is published in between is then among the heads.
    const folders = await storage.folders(layout.sets(database))
    const heads = new Set<string>()
    for await (const { key } of storage.list(layout.heads(database))) heads.add(key)
    let objects = 0
    for (const id of folders) {
      const set = parseSetId(id)
      const head = layout.head(database, id)
      if (set === undefined || set.takenAt >= before || heads.has(head)) continue
      // A listing alone shall not decide about deletion.
      if ((await storage.head(head)) !== undefined) continue
      objects += await removeSet(storage, layout.set(database, id))
    }
    const uploads = await storage.abortUploads(layout.sets(database), before)
    if (objects + uploads > 0) log.info(`swept ${objects} objects and ${uploads} uploads of dumps that never ended`)
    return []
  } catch (error) {
    return [
      {
        severity: 'note',
        message: `Left-overs of unfinished dumps were not swept: ${messageOf(error)}`,
        remedy:
          'Nothing, if these credentials shall not delete; a lifecycle rule for incomplete uploads does the rest.',
      },
    ]
  }
}

async function removeSet(storage: Storage, prefix: string): Promise<number> {
  const keys: { key: string }[] = []
  for await (const { key } of storage.list(prefix)) keys.push({ key })
  const deletions = await storage.delete(keys)
  const failed = deletions.find(({ outcome }) => outcome === 'failed')
  if (failed) throw new Error(failed.reason ?? `${failed.key} could not be deleted`)
  return deletions.filter(({ outcome }) => outcome === 'deleted').length
}

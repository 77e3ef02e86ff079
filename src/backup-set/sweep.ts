import { LifeboatError, messageOf } from '../base/errors.ts'
import type { Finding } from '../base/findings.ts'
import type { Clock, Log } from '../base/ports.ts'
import type { ObjectVersion, Storage } from '../storage/storage.ts'
import { deleteVersions, isData, longestLock, versionsBelow } from './delete-set.ts'
import { listEvidence } from './evidence.ts'
import { historyOf } from './evidence-history.ts'
import { layout, parseHeadKey, parseSetId } from './layout.ts'

const LEFT_OVER_AFTER_SECONDS = 7 * 86_400

/**
 * Removes for good what is older than 7 days and belongs to no set: parts of dumps that never got their head, what an
 * interrupted deletion left of a set, evidence of sets that are gone (but for history), open multipart uploads. It runs
 * after the new set exists; that it may not delete (keys that can only write are a good idea) is a note.
 *
 * A set whose head lies hidden behind a delete marker is no left-over: somebody has hidden it, perhaps by mistake or in
 * an attack, and its versions are what it can be brought back from.
 */
export async function sweepLeftOvers(storage: Storage, database: string, clock: Clock, log: Log): Promise<Finding[]> {
  const before = new Date(clock.now().getTime() - LEFT_OVER_AFTER_SECONDS * 1_000)
  try {
    // The folders first: what is published in between is then among the heads.
    const sets = await storage.folders(layout.sets(database))
    const heads = await listHeads(storage, database)
    const isLeftOver = async (id: string) => {
      const set = parseSetId(id)
      if (set === undefined || set.takenAt >= before || heads.some((head) => head.id === id)) return false
      return !(await hasHead(storage, layout.head(database, id)))
    }
    let objects = 0
    for (const id of sets) {
      if (await isLeftOver(id)) objects += await sweepVersions(storage, layout.set(database, id), log)
    }
    // The evidence of a set goes after the set itself, by a later sweep if this one did not get that far.
    const present = new Set([...sets, ...heads.map(({ id }) => id)])
    objects += await sweepEvidence({ storage, database, log, isLeftOver }, present)
    const uploads = await storage.abortUploads(layout.sets(database), before)
    if (objects + uploads > 0) log.info(`swept ${objects} objects and ${uploads} uploads that belong to no set`)
    return hiddenFindings(
      database,
      heads.filter(({ isHidden }) => isHidden).map(({ id }) => id),
    )
  } catch (error) {
    const remedy = error instanceof LifeboatError ? ` Else: ${error.remedy}` : ''
    return [
      {
        severity: 'note',
        message: `Left-overs of unfinished dumps were not swept: ${messageOf(error)}`,
        remedy: `Nothing, if these credentials shall not delete; a lifecycle rule for incomplete uploads does the rest.${remedy}`,
      },
    ]
  }
}

/** The sets that have a head, or had one that still has a version. */
async function listHeads(storage: Storage, database: string): Promise<{ id: string; isHidden: boolean }[]> {
  const heads = new Map<string, ObjectVersion[]>()
  for await (const version of storage.versions(layout.heads(database))) {
    const set = parseHeadKey(version.key, database)
    if (set) heads.set(set.id, [...(heads.get(set.id) ?? []), version])
  }
  return [...heads]
    .filter(([, versions]) => versions.some(isData))
    .map(([id, versions]) => ({ id, isHidden: !versions.some((version) => version.isLatest && isData(version)) }))
}

/** Asks for one head once more: a listing alone shall not decide about deletion. */
async function hasHead(storage: Storage, key: string): Promise<boolean> {
  if ((await storage.head(key)) !== undefined) return true
  return (await versionsBelow(storage, key)).some((version) => version.key === key && isData(version))
}

interface Sweep {
  storage: Storage
  database: string
  log: Log
  isLeftOver(id: string): Promise<boolean>
}

/** Deletes the evidence of sets that are gone, but for what is history; how many objects. */
async function sweepEvidence(sweep: Sweep, present: ReadonlySet<string>): Promise<number> {
  const { storage, database, log, isLeftOver } = sweep
  const names = await listEvidence(storage, database)
  const isHistory = historyOf(names)
  const ids = names.filter(({ id, key }) => !present.has(id) && !isHistory(key)).map(({ id }) => id)
  let objects = 0
  for (const id of new Set(ids)) {
    if (await isLeftOver(id)) objects += await sweepVersions(storage, layout.evidence(database, id), log, isHistory)
  }
  return objects
}

/** Deletes every version below the prefix; how many. All of a dump are locked alike: one tells of the others. */
async function sweepVersions(
  storage: Storage,
  prefix: string,
  log: Log,
  isKept: (key: string) => boolean = () => false,
): Promise<number> {
  const versions = (await versionsBelow(storage, prefix)).filter(({ key }) => !isKept(key))
  if (await longestLock(storage, versions.filter(isData).slice(0, 1))) {
    log.debug(`sweep: ${prefix} is locked`)
    return 0
  }
  const { objects, problem } = await deleteVersions(storage, versions)
  if (problem?.outcome === 'failed') throw new Error(problem.reason)
  return objects
}

function hiddenFindings(database: string, ids: readonly string[]): Finding[] {
  if (ids.length === 0) return []
  const more = ids.length > 3 ? ` and ${ids.length - 3} more` : ''
  return [
    {
      severity: 'note',
      message: `The heads of ${ids.slice(0, 3).join(', ')}${more} are hidden behind delete markers: no reader sees these backups, and nothing deletes them`,
      remedy: `If that was not meant, delete the markers in \`${layout.heads(database)}\`, and find out who set them; else delete all versions of these sets by hand.`,
    },
  ]
}

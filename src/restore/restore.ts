import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Contents } from '../backup-set/documents.ts'
import type { OpenSet } from '../backup-set/open-set.ts'
import type { Log } from '../base/ports.ts'
import type { Meter } from '../base/progress.ts'
import { formatCount } from '../base/units.ts'
import type { Database } from '../postgres/database.ts'
import type { OwnSetting } from '../postgres/database-settings.ts'
import type { Inventory } from '../postgres/inventory.ts'
import type { TablePattern } from '../postgres/table-names.ts'
import { type Toc, type TocEntry, tableDataEntries } from '../postgres/toc.ts'
import type { PostgresTools } from '../postgres/tools.ts'
import type { AgeIdentity } from '../streams/age.ts'
import { analyze } from './analyze.ts'
import { type ArchiveLists, assertNoGaps, assertSameTables, fetchArchive, writeList, writeLists } from './archive.ts'
import { besideForeignLeaves } from './foreign-leaves.ts'
import { foreignViews } from './foreign-views.ts'
import { serverLargeObjects } from './large-objects.ts'
import { type PgRestoreOptions, type RestoreError, runPgRestore } from './pg-restore.ts'
import type { Place } from './place.ts'
import { PostData } from './post-data.ts'
import { prepareDatabase } from './prepare-database.ts'
import { RootRows } from './root-rows.ts'
import { loadRows } from './rows.ts'
import { narrow, type Scope } from './scope.ts'

export interface RestoreOptions {
  set: OpenSet
  contents: Contents
  /** Which tables to restore; empty: everything. */
  patterns: readonly TablePattern[]
  identities: readonly AgeIdentity[]
  place: Place
  tools: PostgresTools
  /** A directory of this run alone. */
  temp: string
  jobs: number
  log: Log
  signal: AbortSignal
  /** Runs one stage under its title, and shows what its meter is told. */
  stage: <T>(id: string, title: string, work: (meter: Meter) => Promise<T>) => Promise<T>
}

export interface RestoreResult {
  target: Database
  /** Of what was restored: of the whole set, or of the part that was asked for. */
  contents: Contents
  toc: Toc
  /** Undefined: all of the set. */
  scope?: Scope
  rootRows: RootRows
  /** Everything that the server refused. */
  errors: RestoreError[]
  /** Settings of the database that the server does not take. */
  refusedSettings: OwnSetting[]
}

/**
 * Restores a set, or some tables out of it, into a new database: schema, rows, large objects, sequences, and then
 * indexes and constraints. What the server refuses is collected, not thrown. Errors: those of the set's parts, InputError
 * for a pattern that chooses nothing, `missing-locale`, `missing-extension`, `missing-roles`, `unreadable-archive`,
 * `pg-restore-failed`, `scratch-server-failed`.
 */
export async function restoreSet(options: RestoreOptions): Promise<RestoreResult> {
  const { set, patterns, identities, place, temp, log, signal, stage } = options
  const directory = join(temp, 'restore')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const archive = await fetchArchive(set, identities, directory, signal)
  assertSameTables(options.contents, archive.toc)
  // What a selection left out of sequences, pg_dump alone knows.
  if (set.head.content === 'whole') assertNoGaps(options.contents, archive.toc)
  const whole = { contents: options.contents, toc: archive.toc }
  const part = patterns.length === 0 ? whole : narrow(options.contents, archive.toc, patterns)
  log.info(`to restore: ${describeLoad(part.contents)}`)
  const lists = await writeLists(part.toc.entries, directory)
  const { target, refusedSettings } = await stage('database', 'Database and roles', () =>
    prepareDatabase(place, part.contents, log),
  )
  const rootRows = new RootRows(tableDataEntries(part.toc))
  const work = { ...options, ...part, directory, archive: archive.directory, lists, rootRows }
  const errors = await restoreInto(target, work)
  await rm(directory, { recursive: true, force: true })
  return { ...part, target, rootRows, errors, refusedSettings }
}

interface Work extends Omit<RestoreOptions, 'patterns'> {
  toc: Toc
  /** For what pg_restore reads. */
  directory: string
  archive: string
  lists: ArchiveLists
  rootRows: RootRows
}

/** Section by section; everything that the server refused. */
async function restoreInto(target: Database, work: Work): Promise<RestoreError[]> {
  const { set, contents, toc, lists, rootRows, identities, jobs, log, signal, stage } = work
  const inventory = contents.inventory as Inventory
  const pgRestore = pgRestoreOf(target, work)
  const postData = postDataOf(work, pgRestore)
  try {
    return [
      ...(await stage('schema', 'Schema', () =>
        runPgRestore({ ...pgRestore, section: 'pre-data', list: lists.preData }),
      )),
      // Makes the large objects, which their contents are then written into, and sets the sequences.
      ...(await stage('data', 'Sequences and large objects', () =>
        runPgRestore({ ...pgRestore, section: 'data', list: lists.rest }),
      )),
      ...(await stage('rows', 'Rows', (meter) => {
        const load = { set, contents, identities, target, jobs, signal, meter, toc, rootRows }
        const onTail = (loading: ReadonlySet<number>, idle: number) => {
          const begun = postData.begin(loading, idle)
          if (begun > 0) log.info(`beside the last rows: ${formatCount(begun)} indexes and keys of other tables`)
        }
        const besideForeign = besideForeignLeaves(inventory)
        return loadRows({ ...load, largeObjects: serverLargeObjects, besideForeign, onTail })
      })),
      ...(await stage('post-data', 'Indexes, constraints, triggers', () => postData.finish())),
      ...(await stage('analyze', 'Statistics', () => analyze(target, jobs))),
    ]
  } catch (error) {
    await postData.giveUp()
    throw error
  }
}

type PgRestore = Pick<PgRestoreOptions, 'tools' | 'target' | 'archive' | 'leaveOut' | 'signal'>

function pgRestoreOf(target: Database, { tools, archive, place, signal }: Work): PgRestore {
  const leaveOut = [
    ...(place.restricted ? ['--no-owner', '--no-privileges'] : []),
    // One that is there keeps its database from being dropped.
    ...(place.remote ? ['--no-subscriptions'] : []),
  ]
  return { tools, target, archive, leaveOut, signal }
}

function postDataOf({ contents, toc, directory, jobs, signal }: Work, pgRestore: PgRestore): PostData {
  const unfilled = foreignViews(contents.inventory as Inventory)
  const isUnfilled = ({ desc, oid }: TocEntry) => desc === 'MATERIALIZED VIEW DATA' && unfilled.has(oid)
  return new PostData({
    entries: toc.entries.filter((entry) => !isUnfilled(entry)),
    jobs,
    signal,
    make: async ({ name, entries }, jobs, signal) => {
      const list = join(directory, `${name}.list`)
      await writeList(list, entries)
      return runPgRestore({ ...pgRestore, section: 'post-data', list, jobs, signal })
    },
  })
}

/** One line for the log: how much is about to be restored. */
function describeLoad({ tables, largeObjects }: Contents): string {
  const rows = tables.reduce((sum, { fingerprint }) => sum + fingerprint.rows, 0)
  const objects = largeObjects.count === 0 ? '' : `, ${formatCount(largeObjects.count)} large objects`
  return `${formatCount(tables.length)} tables, ${formatCount(rows)} rows${objects}`
}

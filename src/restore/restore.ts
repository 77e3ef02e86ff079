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
import { type Toc, tableDataEntries } from '../postgres/toc.ts'
import type { PostgresTools } from '../postgres/tools.ts'
import type { AgeIdentity } from '../streams/age.ts'
import { analyze } from './analyze.ts'
import { type ArchiveLists, assertNoGaps, assertSameTables, fetchArchive, writeLists } from './archive.ts'
import { besideForeignLeaves } from './foreign-leaves.ts'
import { foreignViews } from './foreign-views.ts'
import { serverLargeObjects } from './large-objects.ts'
import { type RestoreError, runPgRestore } from './pg-restore.ts'
import type { Place } from './place.ts'
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
  const lists = await writeLists(part.toc.entries, directory, foreignViews(part.contents.inventory as Inventory))
  const { target, refusedSettings } = await stage('database', 'Database and roles', () =>
    prepareDatabase(place, part.contents, log),
  )
  const rootRows = new RootRows(tableDataEntries(part.toc))
  const errors = await restoreInto(target, { ...options, ...part, archive: archive.directory, lists, rootRows })
  await rm(directory, { recursive: true, force: true })
  return { ...part, target, rootRows, errors, refusedSettings }
}

interface Work extends Omit<RestoreOptions, 'patterns'> {
  toc: Toc
  archive: string
  lists: ArchiveLists
  rootRows: RootRows
}

/** Section by section; everything that the server refused. */
async function restoreInto(target: Database, work: Work): Promise<RestoreError[]> {
  const { set, contents, toc, archive, lists, rootRows, identities, place, tools, jobs, signal, stage } = work
  const leaveOut = [
    ...(place.restricted ? ['--no-owner', '--no-privileges'] : []),
    // One that is there keeps its database from being dropped.
    ...(place.remote ? ['--no-subscriptions'] : []),
  ]
  const pgRestore = { tools, target, archive, leaveOut, signal }
  return [
    ...(await stage('schema', 'Schema', () =>
      runPgRestore({ ...pgRestore, section: 'pre-data', list: lists.preData }),
    )),
    // Makes the large objects, which their contents are then written into, and sets the sequences.
    ...(await stage('data', 'Sequences and large objects', () =>
      runPgRestore({ ...pgRestore, section: 'data', list: lists.rest }),
    )),
    ...(await stage('rows', 'Rows', (meter) => {
      const load = { set, contents, identities, target, jobs, signal, meter, toc }
      const besideForeign = besideForeignLeaves(contents.inventory as Inventory)
      return loadRows({ ...load, largeObjects: serverLargeObjects, rootRows, besideForeign })
    })),
    ...(await stage('post-data', 'Indexes, constraints, triggers', async () => {
      const found: RestoreError[] = []
      for (const { list, parallel } of lists.postData) {
        const run = { ...pgRestore, section: 'post-data' as const, list, jobs: parallel ? jobs : 1 }
        found.push(...(await runPgRestore(run)))
      }
      return found
    })),
    ...(await stage('analyze', 'Statistics', () => analyze(target))),
  ]
}

/** One line for the log: how much is about to be restored. */
function describeLoad({ tables, largeObjects }: Contents): string {
  const rows = tables.reduce((sum, { fingerprint }) => sum + fingerprint.rows, 0)
  const objects = largeObjects.count === 0 ? '' : `, ${formatCount(largeObjects.count)} large objects`
  return `${formatCount(tables.length)} tables, ${formatCount(rows)} rows${objects}`
}

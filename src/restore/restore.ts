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
import { tableDataEntries } from '../postgres/toc.ts'
import type { PostgresTools } from '../postgres/tools.ts'
import type { AgeIdentity } from '../streams/age.ts'
import { analyze } from './analyze.ts'
import { assertSameTables, fetchArchive, type LocalArchive } from './archive.ts'
import { besideForeignLeaves } from './foreign-leaves.ts'
import { foreignViews } from './foreign-views.ts'
import { serverLargeObjects } from './large-objects.ts'
import { type RestoreError, runPgRestore } from './pg-restore.ts'
import type { Place } from './place.ts'
import { prepareDatabase } from './prepare-database.ts'
import { RootRows } from './root-rows.ts'
import { loadRows } from './rows.ts'

export interface RestoreOptions {
  set: OpenSet
  contents: Contents
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
  archive: LocalArchive
  rootRows: RootRows
  /** Everything that the server refused. */
  errors: RestoreError[]
  /** Settings of the database that the server does not take. */
  refusedSettings: OwnSetting[]
}

/**
 * Restores a whole set into a new database of the scratch cluster: schema, rows, large objects, sequences, and then
 * indexes and constraints. What the server refuses is collected, not thrown. Errors: those of the set's parts,
 * `missing-locale`, `missing-extension`, `pg-restore-failed`, `scratch-server-failed`.
 */
export async function restoreSet(options: RestoreOptions): Promise<RestoreResult> {
  const { set, contents, identities, tools, temp, jobs, signal, stage } = options
  const directory = join(temp, 'restore')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const inventory = contents.inventory as Inventory
  const archive = await fetchArchive(set, identities, directory, signal, foreignViews(inventory))
  assertSameTables(contents, archive.toc)
  const { target, refusedSettings } = await stage('database', 'Database and roles', () =>
    prepareDatabase(options.place, contents, options.log),
  )
  const rootRows = new RootRows(tableDataEntries(archive.toc))
  const pgRestore = { tools, target, archive: archive.directory, signal }
  const errors = [
    ...(await stage('schema', 'Schema', () => runPgRestore({ ...pgRestore, section: 'pre-data' }))),
    // Makes the large objects, which their contents are then written into, and sets the sequences.
    ...(await stage('data', 'Sequences and large objects', () =>
      runPgRestore({ ...pgRestore, section: 'data', list: archive.restList }),
    )),
    ...(await stage('rows', 'Rows', (meter) => {
      const load = { set, contents, identities, target, jobs, signal, meter, toc: archive.toc }
      const besideForeign = besideForeignLeaves(inventory)
      return loadRows({ ...load, largeObjects: serverLargeObjects, rootRows, besideForeign })
    })),
    ...(await stage('post-data', 'Indexes, constraints, triggers', async () => {
      const lists = archive.postDataLists.map((list) => ({ ...pgRestore, section: 'post-data' as const, list, jobs }))
      const found: RestoreError[] = []
      for (const list of lists) found.push(...(await runPgRestore(list)))
      return found
    })),
  ]
  errors.push(...(await stage('analyze', 'Statistics', () => analyze(target))))
  await rm(directory, { recursive: true, force: true })
  return { target, archive, rootRows, errors, refusedSettings }
}

/** One line for the log: how much is about to be restored. */
export function describeLoad({ tables, largeObjects }: Contents): string {
  const rows = tables.reduce((sum, { fingerprint }) => sum + fingerprint.rows, 0)
  const objects = largeObjects.count === 0 ? '' : `, ${formatCount(largeObjects.count)} large objects`
  return `${formatCount(tables.length)} tables, ${formatCount(rows)} rows${objects}`
}

import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import type { Contents } from '../backup-set/documents.ts'
import type { OpenSet } from '../backup-set/open-set.ts'
import { LifeboatError } from '../base/errors.ts'
import type { Log } from '../base/ports.ts'
import type { Meter } from '../base/progress.ts'
import { formatCount } from '../base/units.ts'
import { type CatalogSession, withCatalogSession } from '../postgres/catalog-session.ts'
import type { Database } from '../postgres/database.ts'
import type { Inventory } from '../postgres/inventory.ts'
import type { ScratchCluster } from '../postgres/scratch-cluster.ts'
import { tableDataEntries } from '../postgres/toc.ts'
import type { PostgresTools } from '../postgres/tools.ts'
import type { AgeIdentity } from '../streams/age.ts'
import { analyze } from './analyze.ts'
import { assertNoGaps, assertSameTables, fetchArchive, type LocalArchive } from './archive.ts'
import { besideForeignLeaves } from './foreign-leaves.ts'
import { foreignViews } from './foreign-views.ts'
import { serverLargeObjects } from './large-objects.ts'
import { type RestoreError, runPgRestore } from './pg-restore.ts'
import { RootRows } from './root-rows.ts'
import { loadRows } from './rows.ts'

export interface RestoreOptions {
  set: OpenSet
  contents: Contents
  identities: readonly AgeIdentity[]
  cluster: ScratchCluster
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
  /** Names of ALTER DATABASE settings that the scratch server does not take. */
  refusedSettings: string[]
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
  // What a selection left out of sequences, pg_dump alone knows.
  if (set.head.content === 'whole') assertNoGaps(contents, archive.toc)
  const { target, refusedSettings } = await stage('database', 'Database and roles', () => prepareDatabase(options))
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

async function prepareDatabase(options: RestoreOptions): Promise<{ target: Database; refusedSettings: string[] }> {
  const { cluster, contents, log } = options
  const inventory = contents.inventory as Inventory
  const { encoding, localeProvider, collate, ctype, locale, icuRules, settings } = contents.databaseFacts
  const created = await cluster.createDatabase({
    name: inventory.database.name,
    encoding,
    localeProvider,
    collate,
    ctype,
    locale: locale ?? undefined,
    icuRules: icuRules ?? undefined,
    settings: settings.flatMap(({ role, name, value }) => (role === null ? [{ name, value }] : [])),
  })
  log.info(
    `database ${JSON.stringify(inventory.database.name)} (${encoding}, ${collate}), ${contents.roles.length} roles`,
  )
  await assertExtensions(created.database, inventory, options.tools)
  await createRoles(created.database, contents.roles, inventory)
  return { target: created.database, refusedSettings: created.refusedSettings }
}

/** What the scratch server cannot create is not the backup's fault: then nothing can be said of the backup. */
async function assertExtensions(target: Database, { extensions }: Inventory, tools: PostgresTools): Promise<void> {
  // In the database itself: since PostgreSQL 18 a setting of its own says where extensions are.
  const client = await target.connect('extensions')
  const { rows } = await client
    .query<{ name: string }>('select name from pg_available_extensions')
    .finally(() => client.end())
  const available = new Set(rows.map(({ name }) => name))
  const missing = extensions.filter(({ name }) => !available.has(name)).map(({ name }) => name)
  if (missing.length === 0) return
  throw new LifeboatError(
    'missing-extension',
    `The database needs ${missing.length === 1 ? 'the extension' : 'extensions'} ${missing.join(', ')}, which the PostgreSQL ${tools.major} server on this machine does not have`,
    `Install the package in a step before this one, e.g. \`sudo apt-get install postgresql-${tools.major}-${missing[0]}\`.`,
  )
}

/**
 * NOLOGIN, without a password. What only a superuser may own makes its owner one, in the scratch cluster alone. In the
 * database itself: the names of roles are bytes in no encoding, and its statements spell them in its own.
 */
async function createRoles(target: Database, roles: readonly string[], inventory: Inventory): Promise<void> {
  const superusers = new Set(inventory.superuserRoles)
  const connection = await target.connect('roles')
  const create = async ({ client }: CatalogSession) => {
    const { rows } = await client.query<{ rolname: string }>('select rolname from pg_roles')
    const existing = new Set(rows.map(({ rolname }) => rolname))
    for (const role of roles.filter((name) => !existing.has(name))) {
      await client.query(`create role ${pg.escapeIdentifier(role)} nologin${superusers.has(role) ? ' superuser' : ''}`)
    }
  }
  await withCatalogSession(connection, create).finally(() => connection.end())
}

/** One line for the log: how much is about to be restored. */
export function describeLoad({ tables, largeObjects }: Contents): string {
  const rows = tables.reduce((sum, { fingerprint }) => sum + fingerprint.rows, 0)
  const objects = largeObjects.count === 0 ? '' : `, ${formatCount(largeObjects.count)} large objects`
  return `${formatCount(tables.length)} tables, ${formatCount(rows)} rows${objects}`
}

import type { KeyObject } from 'node:crypto'
import { join } from 'node:path'
import type { Contents, Head, Manifest } from '../backup-set/documents.ts'
import { setsBefore } from '../backup-set/history.ts'
import { newSetId } from '../backup-set/layout.ts'
import { sweepLeftOvers } from '../backup-set/sweep.ts'
import type { Finding } from '../base/findings.ts'
import type { Clock, Log } from '../base/ports.ts'
import type { Meter } from '../base/progress.ts'
import type { Database } from '../postgres/database.ts'
import { attachesInLevels } from '../postgres/index-attachments.ts'
import type { Inventory } from '../postgres/inventory.ts'
import { SESSION_PINS } from '../postgres/pins.ts'
import { isAmong } from '../postgres/table-choice.ts'
import type { PostgresTools } from '../postgres/tools.ts'
import type { Storage } from '../storage/storage.ts'
import { addFingerprints } from '../streams/fingerprint.ts'
import { findExcluded } from './completeness.ts'
import { DatabaseSource } from './database-source.ts'
import { foreseenFindings, notesOn } from './dump-notes.ts'
import type { DumpedDatabase } from './dump-run.ts'
import { givingWayOnce, withLocks } from './give-way.ts'
import type { Selection } from './pg-dump.ts'
import { assertReadable } from './preflight.ts'
import { schemasTakenForGranted } from './prepare-archive.ts'
import { type Publication, publishSet } from './publish.ts'
import { RolesSource } from './roles-source.ts'
import { SetWriter } from './set-writer.ts'
import { type HeldSnapshot, holdSnapshot } from './snapshot.ts'

export interface DumpOptions {
  storage: Storage
  source: Database
  tools: PostgresTools
  /** A directory of this run alone. */
  temp: string
  /** What the user calls the database. */
  database: string
  label: string
  selection: Selection
  jobs: number
  compressionLevel: number
  recipients: readonly string[]
  signingKey?: KeyObject
  spoolLimitBytes: number
  maxPauseSeconds: number
  lockWaitSeconds: number
  lockDays?: number
  storageClass?: string
  lifeboatVersion: string
  secrets: readonly string[]
  clock: Clock
  log: Log
  signal: AbortSignal
  /** Runs one stage of the dump under its title; times it for the report, and shows what its meter is told. */
  stage: <T>(id: string, title: string, work: (meter: Meter) => Promise<T>) => Promise<T>
}

export interface DumpResult {
  head: Head
  contents: Contents
  snapshotHeldSeconds: number
  pausedSeconds: number
  findings: Finding[]
}

/**
 * Dumps a database into a new backup set. Whatever fails, fails before the head is written: then there is no new set, and
 * nothing that was there before is touched. Gives way to a migration that wants a table, once. Errors: LifeboatError,
 * with what to do.
 */
export async function dumpDatabase(options: DumpOptions): Promise<DumpResult> {
  const { stage, source, clock, log, signal } = options
  const began = clock.now().getTime()
  const { selection } = options
  const foreseen = await stage('preflight', 'Preflight: what the role can read', () =>
    assertReadable(source, selection),
  )
  const { value, findings } = await givingWayOnce(() => attempt(options, began), log, signal)
  return { ...value, findings: [...findings, ...foreseenFindings(foreseen, selection), ...value.findings] }
}

async function attempt(options: DumpOptions, began: number): Promise<DumpResult> {
  const { stage, source, selection, clock, lockWaitSeconds, signal } = options
  const snapshot = await stage('snapshot', 'Locks and snapshot', () =>
    holdSnapshot({ database: source, patterns: selection, lockWaitSeconds, clock, signal }),
  )
  try {
    return await dumpSnapshot(options, snapshot, began)
  } catch (error) {
    throw await withLocks(error, snapshot)
  } finally {
    await snapshot.release()
  }
}

async function dumpSnapshot(options: DumpOptions, snapshot: HeldSnapshot, began: number): Promise<DumpResult> {
  const { stage, clock, log, storage, database } = options
  const lost = new AbortController()
  snapshot.lost.catch((error: unknown) => lost.abort(error))
  const signal = AbortSignal.any([options.signal, lost.signal])
  const id = newSetId(snapshot.takenAt, options.label)
  const lockUntil = options.lockDays === undefined ? undefined : daysAfter(clock.now(), options.lockDays)
  const writer = new SetWriter({
    storage,
    database,
    id,
    sealing: { level: options.compressionLevel, recipients: options.recipients },
    signal,
    ...(lockUntil === undefined ? {} : { lockUntil }),
    ...(options.storageClass === undefined ? {} : { storageClass: options.storageClass }),
  })
  const sources = await stage('dump', 'Dump, seal and store', async (meter) => {
    log.info(`set ${id}: ${snapshot.tables.length} tables to lock and read`)
    meter.expect(estimateBytes(snapshot, options.selection), 'about')
    const sources = sourcesOf(options, snapshot, signal, meter)
    await sources.database.pour(writer.store)
    await sources.roles.pour(writer.store)
    await snapshot.assertNotRewritten()
    return sources
  })
  const snapshotHeldSeconds = await snapshot.release()
  const dumped = required(sources.database.dumped)
  const contents = contentsOf(options, id, snapshot, dumped)
  const head = await stage('publish', 'Publish', async () => {
    const isWhole = setContent(options.selection) === 'whole'
    const history = isWhole ? await setsBefore(storage, database, snapshot.takenAt) : []
    const manifest = manifestOf(options, id, snapshot, (clock.now().getTime() - began) / 1_000, lockUntil)
    const { rows } = addFingerprints(...dumped.tables.map(({ fingerprint }) => fingerprint))
    const { signingKey } = options
    const { tables, plainBytes } = dumped
    const totals = { tables: tables.length, rows, plainBytes }
    const archive = { attachesInLevels: attachesInLevels(dumped.toc.entries), ...partialOf(options, dumped) }
    const facts = { contents, manifest, ...totals, history, ...archive }
    // Past this point a lost snapshot no longer matters: only the caller's own signal ends it.
    options.signal.throwIfAborted()
    return publishSet(writer, signingKey === undefined ? facts : { ...facts, signingKey })
  })
  const findings = [
    ...notesOn(contents, dumped, sources.roles),
    ...(await sweepLeftOvers(storage, database, clock, log)),
  ]
  return { head, contents, snapshotHeldSeconds, pausedSeconds: dumped.pausedSeconds, findings }
}

function sourcesOf(options: DumpOptions, snapshot: HeldSnapshot, signal: AbortSignal, meter: Meter) {
  const { tools, source, secrets, clock, log, jobs, selection, temp, lockWaitSeconds } = options
  const { inventory, exportedId } = snapshot
  const database = new DatabaseSource({
    tools,
    database: source,
    spool: join(temp, 'spool'),
    snapshot: exportedId,
    encoding: inventory.database.encoding,
    jobs,
    lockWaitSeconds,
    selection,
    limitBytes: options.spoolLimitBytes,
    maxPauseSeconds: options.maxPauseSeconds,
    largestTablesBytes: largestTablesBytes(snapshot, jobs),
    secrets,
    clock,
    log,
    meter,
    signal,
  })
  const roles = new RolesSource({ tools, database: source, named: inventory.roles, secrets, log, signal })
  return { database, roles }
}

function largestTablesBytes({ tables, choice }: HeldSnapshot, jobs: number): number {
  const sizes = tables.filter((table) => isAmong(choice.read, table)).map(({ bytes }) => bytes)
  const largest = sizes.sort((a, b) => b - a).slice(0, jobs)
  return largest.reduce((sum, bytes) => sum + bytes, 0)
}

/**
 * About how much pg_dump will write: what its tables and large objects take on the server, which may be half or twice
 * their text. 0: it cannot be said.
 */
function estimateBytes(snapshot: HeldSnapshot, { content, tables }: Selection): number {
  if (content === 'schema') return 0
  const { inventory, largeObjectBytes } = snapshot
  const hasObjects = inventory.largeObjects > 0 && tables.length === 0
  if (hasObjects && largeObjectBytes === 0) return 0
  return largestTablesBytes(snapshot, Number.POSITIVE_INFINITY) + (hasObjects ? largeObjectBytes : 0)
}

function contentsOf(options: DumpOptions, id: string, snapshot: HeldSnapshot, dumped: DumpedDatabase): Contents {
  const { inventory, standby, xmin, choice } = snapshot
  const partial = setContent(options.selection) !== 'whole'
  const read = options.selection.content === 'schema' ? new Set<number>() : choice.read
  return {
    kind: 'pg-lifeboat contents',
    format: 1,
    database: options.database,
    id,
    files: dumped.files,
    tables: dumped.tables,
    largeObjects: dumped.largeObjects,
    excluded: findExcluded(inventory, dumped, { partial, standby, read }),
    pins: SESSION_PINS.map(([name, value]) => [name, value]),
    databaseFacts: databaseFactsOf(inventory),
    roles: inventory.roles,
    inventory,
    snapshotXmin: xmin,
  }
}

function databaseFactsOf({ database, databaseSettings }: Inventory): Contents['databaseFacts'] {
  const { encoding, localeProvider, collate, ctype, locale, icuRules } = database
  const settings = databaseSettings.map(({ role, setting }) => {
    const equals = setting.indexOf('=')
    return { role, name: setting.slice(0, equals), value: setting.slice(equals + 1) }
  })
  return { encoding, localeProvider, collate, ctype, locale, icuRules, settings }
}

function manifestOf(
  options: DumpOptions,
  id: string,
  { takenAt, inventory, systemIdentifier, standby, lsn, clockSkewSeconds }: HeldSnapshot,
  dumpSeconds: number,
  lockUntil: Date | undefined,
): Omit<Manifest, 'parts' | 'totals' | 'history'> {
  const { tools, recipients, compressionLevel, lifeboatVersion, database, selection } = options
  return {
    kind: 'pg-lifeboat manifest',
    format: 1,
    database,
    id,
    takenAt: takenAt.toISOString(),
    content: setContent(selection),
    source: {
      systemIdentifier,
      database: inventory.database.name,
      serverVersion: inventory.serverVersion,
      serverMajor: tools.major,
      standby,
      lsn,
    },
    tools: { pgDump: tools.version, lifeboat: lifeboatVersion },
    sealing: { compression: 'zstd', level: compressionLevel, recipients: [...recipients] },
    dumpSeconds,
    clockSkewSeconds,
    ...(lockUntil === undefined ? {} : { lockUntil: lockUntil.toISOString() }),
  }
}

/** What whoever restores a partial set by hand has to know. */
function partialOf({ selection }: DumpOptions, { toc }: DumpedDatabase): Pick<Publication, 'partial'> {
  const { content: holds } = selection
  if (setContent(selection) === 'whole') return {}
  return { partial: { holds, schemas: holds === 'data' ? [] : schemasTakenForGranted(toc) } }
}

/** Whether the set is whole, or what makes it partial. */
export function setContent({ content, tables, excludeTables, excludeTableData }: Selection): Manifest['content'] {
  if (tables.length + excludeTables.length + excludeTableData.length > 0) return 'filtered'
  return content === 'all' ? 'whole' : content
}

function daysAfter(date: Date, days: number): Date {
  return new Date(date.getTime() + days * 86_400_000)
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a source poured nothing and said nothing')
  return value
}

import type pg from 'pg'
import { codeOf, LifeboatError, messageOf } from '../base/errors.ts'
import type { Clock } from '../base/ports.ts'
import { askOptional } from '../postgres/ask-optional.ts'
import { destroyClient } from '../postgres/attempt.ts'
import type { Database } from '../postgres/database.ts'
import { type Inventory, isDumped, readInventory, type TableFacts } from '../postgres/inventory.ts'
import { chooseTables, isAmong, type TableChoice, type TablePatterns } from '../postgres/table-choice.ts'
import { CONFLICT_WORDS, SCHEMA_CHANGED, STANDBY_CONFLICT } from './diagnoses.ts'
import { describeExclusiveLocks, lockableTables, lockedError, lockTables } from './table-locks.ts'

/** The moment that the dump shows, held open on a connection of its own. */
export interface HeldSnapshot {
  /** For `pg_dump --snapshot`. */
  exportedId: string
  /** By the server's clock. */
  takenAt: Date
  /** How far that was ahead of the runner's, give or take half the time that a question takes. */
  clockSkewSeconds: number
  /** What transactions before this one committed is in the snapshot. */
  xmin: string
  inventory: Inventory
  /** What the patterns choose in it. */
  choice: TableChoice
  /** The tables that pg_dump locks: of what is in the dump, see `isDumped`. */
  tables: TableFacts[]
  /** What the large objects take on the server, as of its last look at them; 0 where it has not looked yet. */
  largeObjectBytes: number
  /** WAL position: what is replayed on a standby, what is written elsewhere; null where the role may not ask. */
  lsn: string | null
  systemIdentifier: string | null
  standby: boolean
  /** Rejects when the connection is lost: pg_dump would go on reading something else, or nothing. */
  lost: Promise<never>
  /** Fails if any table was rewritten since the snapshot: pg_dump would have read it as empty. */
  assertNotRewritten(): Promise<void>
  /** Who holds tables exclusively or waits to, a clause each; empty if nobody does, or if it cannot be asked any more. */
  exclusiveLocks(): Promise<string[]>
  /** Ends the transaction; seconds for which it was open. Safe to call twice. */
  release(): Promise<number>
}

export interface SnapshotOptions {
  database: Database
  patterns: TablePatterns
  lockWaitSeconds: number
  clock: Clock
  signal: AbortSignal
}

const PING_MS = 30_000
/** How long a connection that may be dead is waited for when it is ended. */
const END_MS = 2_000
const ATTEMPTS = 5
/** deadlock_detected, undefined_table, invalid_schema_name */
const OVERTAKEN: readonly string[] = ['40P01', '42P01', '3F000']

/**
 * Locks every table that a dump reads, then exports the snapshot. The other order loses data: a TRUNCATE or an ALTER
 * TABLE … TYPE that commits between the snapshot and pg_dump's own locks leaves the table empty in the dump, exit code 0
 * (tried on 15, 17 and 18). A table that comes or goes meanwhile, or a view that is dropped while it is read, starts the
 * attempt anew.
 *
 * Errors: `locked` when a lock is not to be had within `lockWaitSeconds`, `too-many-tables` when the server has no room for
 * so many locks, `tables-change` when tables keep coming and going, `snapshot-lost`, `standby-conflict`; the signal's
 * reason.
 */
export async function holdSnapshot(options: SnapshotOptions): Promise<HeldSnapshot> {
  const { database, clock, signal } = options
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const client = await database.connect('snapshot')
    let held: HeldSnapshot | undefined
    try {
      held = await tryToHold(client, options)
      if (held) return held
    } catch (error) {
      signal.throwIfAborted()
      throw explained(error)
    } finally {
      if (held === undefined) await endClient(client, clock)
    }
  }
  throw new LifeboatError(
    'tables-change',
    `Tables came and went in each of ${ATTEMPTS} attempts to lock them all`,
    'Start the dump when no migration is running, or let the deployment and the dump share a `concurrency` group.',
  )
}

async function tryToHold(client: pg.Client, options: SnapshotOptions): Promise<HeldSnapshot | undefined> {
  const { clock, database, patterns, lockWaitSeconds } = options
  const wanted = await lockableTables(client, await chooseTables(client, patterns, database.serverEncoding))
  const since = clock.now().getTime()
  await client.query('begin transaction isolation level repeatable read, read only')
  await client.query(`set local lock_timeout = ${Math.ceil(lockWaitSeconds * 1_000)}`)
  if (!(await lockTables(client, wanted, lockWaitSeconds))) return undefined
  const facts = await exportSnapshot(client, clock)
  const inventory = await readInventory(client).catch(async (error: unknown) => {
    if (isOvertaken(error)) return undefined
    // The size of a materialized view is asked for, which waits for its REFRESH.
    throw codeOf(error) === '55P03' ? await lockedError(client, lockWaitSeconds) : error
  })
  if (inventory === undefined) return undefined
  // Once more: pg_dump reads the patterns in the snapshot.
  const choice = await chooseTables(client, patterns, database.serverEncoding)
  const tables = inventory.tables.filter((table) => isDumped(table) && isAmong(choice.dumped, table))
  const locked = new Set(wanted.map(({ oid }) => oid))
  if (tables.some(({ oid }) => !locked.has(oid))) return undefined
  await assertNotRewritten(client, tables)
  const over = new AbortController()
  let released: number | undefined
  return {
    ...facts,
    inventory,
    choice,
    tables,
    lost: watchConnection(client, clock, over.signal),
    assertNotRewritten: () =>
      assertNotRewritten(client, tables).catch((error: unknown) => {
        throw explained(error)
      }),
    exclusiveLocks: () => describeExclusiveLocks(client).catch(() => []),
    release: async () => {
      over.abort()
      released ??= (clock.now().getTime() - since) / 1_000
      await endClient(client, clock)
      return released
    },
  }
}

interface SnapshotRow {
  id: string
  taken_at: Date
  standby: boolean
  xmin: string
  large_object_bytes: string
}

async function exportSnapshot(client: pg.Client, clock: Clock) {
  const asked = clock.now().getTime()
  // The size of the large objects by the catalog: to ask the file system, the table would have to be locked.
  const { rows } = await client.query<SnapshotRow>(
    `select pg_export_snapshot() as id, clock_timestamp() as taken_at, pg_is_in_recovery() as standby,
      pg_snapshot_xmin(pg_current_snapshot())::text as xmin,
      (select c.relpages::int8 * current_setting('block_size')::int8 from pg_catalog.pg_class c
        where c.oid = 'pg_catalog.pg_largeobject'::regclass)::text as large_object_bytes`,
  )
  const midway = (asked + clock.now().getTime()) / 2
  const [row] = rows
  if (!row) throw new Error('pg_export_snapshot returned no row')
  return {
    exportedId: row.id,
    takenAt: row.taken_at,
    clockSkewSeconds: Math.round(row.taken_at.getTime() - midway) / 1_000,
    xmin: row.xmin,
    standby: row.standby,
    largeObjectBytes: Number(row.large_object_bytes),
    lsn: await askOptional(client, row.standby ? 'pg_last_wal_replay_lsn()' : 'pg_current_wal_lsn()'),
    systemIdentifier: await askOptional(client, '(select system_identifier from pg_control_system())'),
  }
}

/** The file of a table now, against the file that the snapshot sees; only what is dumped is locked, and matters. */
async function assertNotRewritten(client: pg.Client, locked: readonly TableFacts[]): Promise<void> {
  const tables = locked.filter(({ kind }) => kind === 'r')
  await learnOfChanges(client)
  const { rows } = await client.query<{ oid: string; filenode: string | null }>(
    'select oid::int8::text as oid, pg_relation_filenode(oid)::int8::text as filenode from unnest($1::oid[]) as oid',
    [tables.map(({ oid }) => oid)],
  )
  const now = new Map(rows.map(({ oid, filenode }) => [Number(oid), filenode === null ? null : Number(filenode)]))
  const rewritten = tables.filter(({ oid, snapshotFilenode }) => now.get(oid) !== snapshotFilenode)
  if (rewritten.length === 0) return
  throw new LifeboatError(
    'rewritten-table',
    `Rewritten since the snapshot, so that the dump would hold them empty: ${rewritten.map(({ identity }) => identity).join(', ')}`,
    'Start the dump again when no migration is running.',
  )
}

/**
 * A session takes from its cache where a table's file is, and is told what others changed only when it takes a lock that
 * it does not have yet: one that nothing else asks for here, and that is given back at once.
 */
async function learnOfChanges(client: pg.Client): Promise<void> {
  await client.query('savepoint unlocked')
  await client.query('lock table pg_catalog.pg_shseclabel in access share mode')
  await client.query('rollback to savepoint unlocked; release savepoint unlocked')
}

/** Asks for a sign of life now and then: routers drop connections that stay silent for long. */
function watchConnection(client: pg.Client, clock: Clock, over: AbortSignal): Promise<never> {
  const lost = new Promise<never>((_, reject) => {
    const fail = (error: unknown) => {
      if (!over.aborted) reject(snapshotLost(error))
    }
    client.once('error', fail)
    client.once('end', () => fail(new Error('closed')))
    void pingUntil(client, clock, over).catch(fail)
  })
  // Whoever races against it sees the rejection; without a race there is nobody to see it.
  lost.catch(() => undefined)
  return lost
}

async function pingUntil(client: pg.Client, clock: Clock, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    await clock.sleep(PING_MS, over).catch(() => undefined)
    if (!over.aborted) await client.query('select 1')
  }
}

/**
 * A migration held what the inventory wanted to describe and wanted a table that is locked here (deadlock_detected), or
 * dropped it meanwhile: definitions and sequences are looked up in the present, whatever the snapshot shows.
 */
function isOvertaken(error: unknown): boolean {
  const code = codeOf(error) ?? ''
  return OVERTAKEN.includes(code) || (code === 'XX000' && SCHEMA_CHANGED.words.test(messageOf(error)))
}

/** What the server says is told as it is; anything else means that the connection is gone. */
function explained(error: unknown): unknown {
  if (error instanceof LifeboatError) return error
  if (isConflict(error)) return standbyConflict(error)
  if (codeOf(error) === '22021') return unreadableNames(error)
  const isServerError = typeof (error as { severity?: unknown }).severity === 'string'
  return isServerError && !/^(57P|08)/.test(codeOf(error) ?? '') ? error : snapshotLost(error)
}

/** An SQL_ASCII database takes any bytes for a name, and the archive of such a dump could not be told apart by name. */
function unreadableNames(cause: unknown): LifeboatError {
  return new LifeboatError(
    'unreadable-names',
    'The name of a table, column or other object (or a label of an enum) in this SQL_ASCII database is not UTF-8',
    'Rename it: `pg_dump --schema-only --encoding=SQL_ASCII` shows where it is. Rows and comments may hold any bytes.',
    { cause },
  )
}

/** A transaction that only reads is told of a serialization failure by nothing else. */
function isConflict(error: unknown): boolean {
  return codeOf(error) === '40001' || CONFLICT_WORDS.test(messageOf(error))
}

function standbyConflict(cause: unknown): LifeboatError {
  const { code, remedy } = STANDBY_CONFLICT
  return new LifeboatError(code, `The standby ended the dump’s transaction: ${messageOf(cause)}`, remedy, { cause })
}

function snapshotLost(cause: unknown): LifeboatError {
  if (isConflict(cause)) return standbyConflict(cause)
  return new LifeboatError(
    'snapshot-lost',
    `The connection that holds the snapshot was lost (${messageOf(cause)})`,
    'Look for a restart or failover of the server, or an idle limit of a proxy between it and the runner; then dump again.',
    { cause },
  )
}

/** Says goodbye, but does not wait long for an answer. */
async function endClient(client: pg.Client, clock: Clock): Promise<void> {
  const over = new AbortController()
  const late = clock.sleep(END_MS, over.signal).then(
    () => destroyClient(client),
    () => undefined,
  )
  await Promise.race([client.end().catch(() => undefined), late])
  over.abort()
}

import type { Client, ClientBase } from 'pg'
import { codeOf, LifeboatError, messageOf } from '../base/errors.ts'
import type { Clock } from '../base/ports.ts'
import { askOptional } from './ask-optional.ts'
import type { Database } from './database.ts'
import { countUnmatched, type ForeignKey } from './foreign-keys.ts'
import { type Inventory, readInventory } from './inventory.ts'
import { findUnreadable, type Unreadable } from './privileges.ts'
import { selectTables, type TablePattern } from './table-names.ts'
import { readWalArchive, type WalArchive } from './wal-archive.ts'

/** What a server says of one of its databases, as of one moment; rows are counted, never read. */
export interface LiveDatabase {
  /** `user@host:port/database`. */
  label: string
  systemIdentifier: string | null
  database: string
  standby: boolean
  /** How far the server's clock is ahead of ours; negative: behind. */
  clockSkewSeconds: number
  inventory: Inventory
  /** By OID: the transaction that last wrote the catalog row of the table. */
  tableWrites: ReadonlyMap<number, bigint>
  /** What a dump by this role would stop at. */
  unreadable: readonly Unreadable[]
  foreignKeys: readonly ForeignKey[]
  /** Undefined where this role may not ask. */
  wal?: WalArchive
}

export interface LookOptions {
  database: Database
  /** Tables whose foreign keys are counted, besides those that the server does not vouch for. */
  tables: readonly TablePattern[]
  /** From which time on an archive that is behind is looked at twice. */
  walLagSeconds: number
  /** In seconds; for tests. */
  patience?: Partial<typeof PATIENCE>
  clock: Clock
  signal: AbortSignal
}

/** Seconds. */
const PATIENCE = {
  /** A catalog of a hundred thousand tables takes some; a question that takes longer than this harms the server. */
  statement: 60,
  /** For the rows of one foreign key. */
  count: 30,
  /** Tables that are being rewritten are waited for when their size is asked for. */
  lock: 10,
}
const ATTEMPTS = 3

/** deadlock_detected, undefined_table, invalid_schema_name; and what is said where the catalog moves under a question. */
const OVERTAKEN: readonly string[] = ['40P01', '42P01', '3F000']
const MOVED = /cache lookup failed|could not open relation with OID/

/**
 * Looks at a database in one REPEATABLE READ, READ ONLY transaction, with time limits. Errors: `locked`,
 * `slow-server`, `standby-conflict`, `connection-lost`.
 */
export async function lookAtDatabase(options: LookOptions): Promise<LiveDatabase> {
  for (let attempt = 1; ; attempt += 1) {
    const client = await options.database.connect('verify')
    try {
      return await look(client, options)
    } catch (error) {
      options.signal.throwIfAborted()
      const overtaken = OVERTAKEN.includes(codeOf(error) ?? '') || MOVED.test(messageOf(error))
      if (!overtaken || attempt === ATTEMPTS) throw explained(error)
    } finally {
      await client.end().catch(() => undefined)
    }
  }
}

async function look(client: Client, options: LookOptions): Promise<LiveDatabase> {
  const { database, tables, walLagSeconds: suspiciousSeconds, clock, signal } = options
  const { statement, count: seconds, lock } = { ...PATIENCE, ...options.patience }
  await client.query(`set default_transaction_read_only = on; set lock_timeout = ${lock * 1_000};
    set statement_timeout = ${statement * 1_000}; set idle_in_transaction_session_timeout = 600000`)
  await client.query('begin transaction isolation level repeatable read, read only')
  const facts = await readFacts(client, clock)
  const inventory = await readInventory(client)
  const tableWrites = await readTableWrites(client)
  const unreadable = await findUnreadable(client)
  const oids = new Set(tables.length === 0 ? [] : selectTables(inventory.tables, tables).map(({ oid }) => oid))
  const foreignKeys = await countUnmatched(client, database.serverVersion, { oids, seconds })
  await client.query('commit')
  const wal = await readWalArchive(client, { clock, suspiciousSeconds, signal })
  const { label } = database
  return { label, ...facts, inventory, tableWrites, unreadable, foreignKeys, ...(wal && { wal }) }
}

async function readFacts(client: ClientBase, clock: Clock) {
  const asked = clock.now().getTime()
  const { rows } = await client.query<{ at: Date; standby: boolean; database: string }>(
    'select clock_timestamp() as at, pg_is_in_recovery() as standby, current_database() as database',
  )
  const midway = (asked + clock.now().getTime()) / 2
  const [row] = rows
  if (row === undefined) throw new Error('the server did not tell the time')
  return {
    systemIdentifier: await askOptional(client, '(select system_identifier from pg_control_system())'),
    database: row.database,
    standby: row.standby,
    clockSkewSeconds: Math.round(row.at.getTime() - midway) / 1_000,
  }
}

/** A row names its writer by the lower half of its number: the upper half is that of the next one, or one less. */
async function readTableWrites(client: ClientBase): Promise<Map<number, bigint>> {
  const { rows } = await client.query<{ oid: string; xmin: string; next: string }>(`
    select c.oid::int8::text as oid, c.xmin::text as xmin, pg_snapshot_xmax(pg_current_snapshot())::text as next
    from pg_class c where c.relkind in ('r', 'p') and c.relpersistence <> 't'`)
  return new Map(
    rows.map(({ oid, xmin, next }) => {
      const behind = BigInt.asUintN(32, BigInt(next) - BigInt(xmin))
      // The first three numbers are those of initdb and of rows that are older than anything.
      return [Number(oid), BigInt(xmin) < 3n ? 0n : BigInt(next) - behind]
    }),
  )
}

function explained(error: unknown): unknown {
  if (error instanceof LifeboatError) return error
  const code = codeOf(error) ?? ''
  if (code === '55P03' || OVERTAKEN.includes(code) || MOVED.test(messageOf(error))) {
    const message = 'Tables are being rewritten, created or dropped, so that the catalog could not be read'
    return new LifeboatError('locked', message, 'Verify again when no migration is running.', { cause: error })
  }
  if (code === '57014') {
    const message = `The server did not answer a question about its catalog in time`
    return new LifeboatError('slow-server', message, 'Look at the load of the server, then verify again.', {
      cause: error,
    })
  }
  if (code === '40001') {
    const message = `The standby ended the transaction: ${messageOf(error)}`
    const remedy = 'Set hot_standby_feedback = on at the standby, or verify against the primary.'
    return new LifeboatError('standby-conflict', message, remedy, { cause: error })
  }
  const isServerError = typeof (error as { severity?: unknown }).severity === 'string'
  if (isServerError && !/^(57P|08)/.test(code)) return error
  const remedy = 'Look for a restart or failover of the server; then verify again.'
  return new LifeboatError('connection-lost', `The connection to the database was lost (${messageOf(error)})`, remedy, {
    cause: error,
  })
}

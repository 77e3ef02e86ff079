import type pg from 'pg'
import { codeOf, LifeboatError } from '../base/errors.ts'
import { formatCount, formatDuration } from '../base/units.ts'
import { isAmong, type TableChoice } from '../postgres/table-choice.ts'

export interface LockableTable {
  oid: number
  /** Quoted as in SQL. */
  identity: string
}

const LOCKS_PER_STATEMENT = 500

/** What `isDumped` will say of the inventory, asked before there is a snapshot to read an inventory in. */
export async function lockableTables(client: pg.Client, { dumped }: TableChoice): Promise<LockableTable[]> {
  const { rows } = await client.query<LockableTable>(`
    select c.oid, format('%I.%I', n.nspname, c.relname) as identity
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and c.relpersistence <> 't'
      and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_toast%'
      and (c.oid in (select unnest(extconfig) from pg_extension)
        or not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'))
    order by c.oid`)
  return rows.filter((table) => isAmong(dumped, table))
}

/**
 * Locks them for reading in the client's transaction. False if a table is gone, or if waiting for one closed a circle.
 * Errors: `locked`, `too-many-tables`.
 */
export async function lockTables(
  client: pg.Client,
  tables: readonly LockableTable[],
  lockWaitSeconds: number,
): Promise<boolean> {
  for (let start = 0; start < tables.length; start += LOCKS_PER_STATEMENT) {
    const names = tables.slice(start, start + LOCKS_PER_STATEMENT).map(({ identity }) => `only ${identity}`)
    try {
      await client.query(`lock table ${names.join(', ')} in access share mode`)
    } catch (error) {
      const code = codeOf(error)
      // undefined_table, invalid_schema_name, wrong_object_type: it changed since the list was made.
      // deadlock_detected: a migration holds one of the tables and wants another one that is locked here.
      if (code === '42P01' || code === '3F000' || code === '42809' || code === '40P01') return false
      if (code === '55P03') throw await lockedError(client, lockWaitSeconds)
      if (code === '53200') throw tooManyTables(tables.length)
      throw error
    }
  }
  return true
}

/** That a lock was not to be had, after the statement that waited for it failed: ends the transaction to ask who has it. */
export async function lockedError(client: pg.Client, lockWaitSeconds: number): Promise<LifeboatError> {
  await client.query('rollback')
  const locks = await describeExclusiveLocks(client)
  return new LifeboatError(
    'locked',
    `A table could not be locked for reading within ${formatDuration(lockWaitSeconds)}${locks.length === 0 ? '' : `: ${locks.join(', ')}`}`,
    'Wait for the migration or VACUUM FULL that holds the lock to end, or raise `lock-wait-timeout`.',
  )
}

/** Who in this database holds a relation exclusively, or waits to: a clause each, at most three, those that wait last. */
export async function describeExclusiveLocks(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ pid: number; application: string; relation: string; granted: boolean }>(`
    select a.pid, coalesce(nullif(a.application_name, ''), 'an unnamed application') as application,
      l.relation::regclass::text as relation, l.granted
    from pg_locks l join pg_stat_activity a using (pid)
    where l.mode = 'AccessExclusiveLock' and l.locktype = 'relation'
      and l.database = (select oid from pg_database where datname = current_database())
    order by l.granted desc, a.pid, l.relation
    limit 3`)
  return rows.map(
    ({ pid, application, relation, granted }) =>
      `${relation} is ${granted ? 'locked exclusively' : 'wanted exclusively'} by process ${pid} (${application})`,
  )
}

function tooManyTables(count: number): LifeboatError {
  return new LifeboatError(
    'too-many-tables',
    `The server has no room in shared memory for locks on ${formatCount(count)} tables`,
    'Raise max_locks_per_transaction on the server (ALTER SYSTEM SET max_locks_per_transaction = …; then restart it).',
  )
}

import type { Database } from '../postgres/database.ts'
import type { RestoreError } from './pg-restore.ts'
import { describeServerError, failureOf } from './server-messages.ts'

const TABLES_PER_STATEMENT = 500

/**
 * Everything that ANALYZE would visit, but nothing that lies, or has parts, on another server: ANALYZE of a table reads
 * samples of its foreign partitions and children too, and would connect to whatever the dumped server connects to. What
 * an ancestor covers is left to it.
 */
const TABLES = `
  with recursive foreign_trees (oid) as (
    select c.oid from pg_catalog.pg_class c where c.relkind = 'f'
    union
    select inh.inhparent from foreign_trees join pg_catalog.pg_inherits inh on inh.inhrelid = foreign_trees.oid
  )
  select c.oid::int8::text as oid
  from pg_catalog.pg_class c
  where c.relkind in ('r', 'p', 'm') and c.relpersistence <> 't' and c.oid not in (select oid from foreign_trees)
    and not (c.relispartition and exists (
      select from pg_catalog.pg_inherits inh
      where inh.inhrelid = c.oid and inh.inhparent not in (select oid from foreign_trees)))
  order by c.oid`

/** ANALYZE for the whole database, all of it local. By OID: this session does not decode names. */
export async function analyze(target: Database): Promise<RestoreError[]> {
  const client = await target.connect('analyze')
  try {
    const { rows } = await client.query<{ oid: string }>(TABLES)
    for (let start = 0; start < rows.length; start += TABLES_PER_STATEMENT) {
      const oids = rows.slice(start, start + TABLES_PER_STATEMENT).map(({ oid }) => oid)
      await client.query(`do $$ declare relation regclass; begin
        foreach relation in array '{${oids.join(',')}}'::oid[]::regclass[] loop execute 'analyze ' || relation; end loop;
        end $$`)
    }
    return []
  } catch (error) {
    // It evaluates the expressions of indexes, which may raise anything.
    const failure = failureOf(error)
    if (failure !== undefined) throw failure
    return [{ stage: 'analyze', subject: 'ANALYZE', message: describeServerError(error) }]
  } finally {
    await client.end()
  }
}

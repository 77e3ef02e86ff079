import type pg from 'pg'
import { allEnded } from '../base/concurrently.ts'
import { type Database, withClient } from '../postgres/database.ts'
import type { RestoreError } from './pg-restore.ts'
import { describeServerError, failureOf } from './server-messages.ts'

const TABLES_PER_STATEMENT = 500
/** A table of more bytes, and one that has partitions, is worth a statement of its own. */
const LARGE_BYTES = 8 << 20

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
  select c.oid::int8::text as oid,
    c.relkind = 'p' or pg_catalog.pg_relation_size(c.oid) > ${LARGE_BYTES} as large
  from pg_catalog.pg_class c
  where c.relkind in ('r', 'p', 'm') and c.relpersistence <> 't' and c.oid not in (select oid from foreign_trees)
    and not (c.relispartition and exists (
      select from pg_catalog.pg_inherits inh
      where inh.inhrelid = c.oid and inh.inhparent not in (select oid from foreign_trees)))
  order by c.relkind = 'p' desc, pg_catalog.pg_relation_size(c.oid) desc, c.oid`

/** ANALYZE for the whole database, all of it local, over `jobs` connections. By OID: these sessions do not decode names. */
export async function analyze(target: Database, jobs: number): Promise<RestoreError[]> {
  const errors: RestoreError[] = []
  const queue = await withClient(target, 'analyze', statements)
  const work = () =>
    withClient(target, 'analyze', async (client) => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await client.query(next)
    }).catch((error: unknown) => {
      queue.splice(0)
      // It evaluates the expressions of indexes, which may raise anything.
      const failure = failureOf(error)
      if (failure !== undefined) throw failure
      errors.push({ stage: 'analyze', subject: 'ANALYZE', message: describeServerError(error) })
    })
  await allEnded(Array.from({ length: Math.min(jobs, queue.length) }, work))
  return errors
}

/** The statements, what takes longest first. */
async function statements(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ oid: string; large: boolean }>(TABLES)
  const groups = rows.filter(({ large }) => large).map((row) => [row])
  const small = rows.filter(({ large }) => !large)
  for (let start = 0; start < small.length; start += TABLES_PER_STATEMENT) {
    groups.push(small.slice(start, start + TABLES_PER_STATEMENT))
  }
  return groups.map(
    (group) => `do $$ declare relation regclass; begin
      foreach relation in array '{${group.map(({ oid }) => oid).join(',')}}'::oid[]::regclass[] loop
        execute 'analyze ' || relation;
      end loop;
      end $$`,
  )
}

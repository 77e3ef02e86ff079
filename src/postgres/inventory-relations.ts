import type { ClientBase } from 'pg'
import type { SequenceFacts, TableFacts } from './inventory-types.ts'
import { ANY_INHERITS, only, qualified, relationName, userSchema } from './structure-sql.ts'

/** Statements are batched: a server takes a long one badly, and a round trip for each sequence is slow. */
const SEQUENCES_PER_QUERY = 500

const EXTENSION = `
  left join pg_depend dep
    on dep.classid = 'pg_class'::regclass and dep.objid = c.oid and dep.objsubid = 0 and dep.deptype = 'e'
  left join pg_extension ext on ext.oid = dep.refobjid`

const CONFIG_CONDITION = only(
  'ext.extconfig is not null',
  "(select coalesce(ext.extcondition[p], '') from generate_subscripts(ext.extconfig, 1) p where ext.extconfig[p] = c.oid)",
)

// Of the main fork and that of TOAST, where the rows are: pg_table_size asks the file system thrice as often.
const BYTES = only(
  "c.relkind in ('r', 'm')",
  'pg_relation_size(c.oid) + coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0)',
)

const PARENTS =
  '(select json_agg(inh.inhparent::int8 order by inh.inhseqno) from pg_inherits inh where inh.inhrelid = c.oid)'

const TABLES = `
  select
    c.oid::int8::text as oid, n.nspname as schema, c.relname as name,
    ${qualified('n.nspname', 'c.relname')} as identity,
    c.relkind as kind, c.relpersistence as persistence, pg_get_userbyid(c.relowner) as owner,
    pg_relation_filenode(c.oid)::int8::text as filenode, nullif(c.relfilenode, 0)::int8::text as "snapshotFilenode",
    ${only(ANY_INHERITS, PARENTS)} as parents,
    c.relispartition as "isPartition", ext.extname as extension, ${CONFIG_CONDITION} as "configCondition",
    c.relrowsecurity as "rowSecurity", c.relforcerowsecurity as "forceRowSecurity", c.reltuples as "approximateRows",
    coalesce(${BYTES}, 0)::text as bytes, c.relispopulated as populated
  from pg_class c join pg_namespace n on n.oid = c.relnamespace ${EXTENSION}
  where c.relkind in ('r', 'p', 'm', 'f') and c.relpersistence <> 't' and ${userSchema()}
  order by c.oid`

interface TableRow extends Omit<TableFacts, 'oid' | 'filenode' | 'snapshotFilenode' | 'bytes' | 'parents'> {
  oid: string
  filenode: string | null
  snapshotFilenode: string | null
  parents: number[] | null
  bytes: string
}

/**
 * Every table, partitioned table, materialized view and foreign table, those of extensions included, ordered by OID.
 * Waits for an ACCESS SHARE lock on tables that somebody is rewriting (their size is asked for): set `lock_timeout`
 * where that is not wanted.
 */
export async function readTables(client: ClientBase): Promise<TableFacts[]> {
  const { rows } = await client.query<TableRow>(TABLES)
  return rows.map(({ extension, configCondition, ...row }) => ({
    ...row,
    oid: Number(row.oid),
    filenode: row.filenode === null ? null : Number(row.filenode),
    snapshotFilenode: row.snapshotFilenode === null ? null : Number(row.snapshotFilenode),
    parents: row.parents ?? [],
    bytes: Number(row.bytes),
    ...(extension === null ? {} : { extension }),
    ...(configCondition === null ? {} : { configCondition }),
  }))
}

/** Whether pg_dump takes rows out of it: tables, and those tables of extensions that they mark as configuration. */
export function isDumped(table: TableFacts): boolean {
  if (table.kind !== 'r' && table.kind !== 'p') return false
  return table.extension === undefined || table.configCondition !== undefined
}

const SEQUENCES = `
  select
    c.oid::int8::text as oid, n.nspname as schema, c.relname as name,
    ${qualified('n.nspname', 'c.relname')} as identity,
    format_type(s.seqtypid, null) as "dataType", s.seqincrement::text as increment, s.seqmin::text as minimum,
    s.seqmax::text as maximum, s.seqstart::text as start, s.seqcache::text as cache, s.seqcycle as cycle,
    c.relpersistence as persistence, ext.extname as extension, ${CONFIG_CONDITION} as "configCondition",
    (
      select ${relationName('own.refobjid')} || '.' || quote_ident(a.attname)
      from pg_depend own join pg_attribute a on a.attrelid = own.refobjid and a.attnum = own.refobjsubid
      where own.classid = 'pg_class'::regclass and own.objid = c.oid and own.refclassid = 'pg_class'::regclass
        and own.deptype in ('a', 'i')
    ) as "ownedBy",
    has_schema_privilege(n.oid, 'usage') and has_sequence_privilege(c.oid, 'select')
      and not (c.relpersistence = 'u' and pg_is_in_recovery()) as readable
  from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace ${EXTENSION}
  where c.relpersistence <> 't' and ${userSchema()}
  order by c.oid`

type SequenceRow = Omit<SequenceFacts, 'oid' | 'lastValue' | 'isCalled'> & { oid: string; readable: boolean }

/** Every sequence with its value now (sequences are not transactional), ordered by OID. */
export async function readSequences(client: ClientBase): Promise<SequenceFacts[]> {
  const { rows } = await client.query<SequenceRow>(SEQUENCES)
  const values = await readSequenceValues(
    client,
    rows.filter((row) => row.readable),
  )
  return rows.map(({ oid, readable: _readable, extension, configCondition, ownedBy, ...row }) => ({
    ...row,
    oid: Number(oid),
    lastValue: values.get(oid)?.lastValue ?? null,
    isCalled: values.get(oid)?.isCalled ?? null,
    ...(ownedBy === null ? {} : { ownedBy }),
    ...(extension === null ? {} : { extension }),
    ...(configCondition === null ? {} : { configCondition }),
  }))
}

type SequenceValue = { lastValue: string; isCalled: boolean }

async function readSequenceValues(client: ClientBase, rows: SequenceRow[]): Promise<Map<string, SequenceValue>> {
  const values = new Map<string, SequenceValue>()
  for (let start = 0; start < rows.length; start += SEQUENCES_PER_QUERY) {
    const selects = rows
      .slice(start, start + SEQUENCES_PER_QUERY)
      .map(({ oid, identity }) => `select '${oid}' as oid, last_value::text as value, is_called from ${identity}`)
    const batch = await client.query<{ oid: string; value: string; is_called: boolean }>(selects.join('\nunion all\n'))
    for (const row of batch.rows) values.set(row.oid, { lastValue: row.value, isCalled: row.is_called })
  }
  return values
}

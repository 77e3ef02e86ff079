import type pg from 'pg'
import type { Contents } from '../backup-set/documents.ts'
import { allEnded } from '../base/concurrently.ts'
import type { Meter } from '../base/progress.ts'
import { formatBytes, formatCount } from '../base/units.ts'
import { copyOut } from '../postgres/copy-out.ts'
import { type Database, withClient } from '../postgres/database.ts'
import type { Inventory } from '../postgres/inventory.ts'
import { type Toc, tableDataEntries } from '../postgres/toc.ts'
import {
  addFingerprints,
  EMPTY_FINGERPRINT,
  type Fingerprint,
  LineFingerprinter,
  sameFingerprint,
} from '../streams/fingerprint.ts'
import { type Reading, readings, type TableRead } from './read-back.ts'
import type { RootRows } from './root-rows.ts'
import { describeServerError, failureOf } from './server-messages.ts'

/** What one restored table was found to be, against what was dumped. */
export interface TableProof {
  table: string
  rows: number
  bytes: number
  /** How many tables it stands for: more than one where partitions were dumped via their root. */
  members: number
  status: 'equal' | 'different' | 'missing' | 'not compared'
  /** Why, in a clause. */
  note?: string
}

export interface ProofOptions {
  contents: Contents
  inventory: Inventory
  toc: Toc
  rootRows: RootRows
  target: Database
  jobs: number
  signal: AbortSignal
  /** Told of the bytes that are read back. */
  meter: Meter
}

/** Tables that are compared together: one, or all leaves that pg_dump loads via one partition root. */
interface Comparison {
  label: string
  dumped: Fingerprint
  reads: TableRead[]
  /** The sum of what was read back so far. */
  restored: Fingerprint
  /** Why it cannot be equal, whatever else is read. */
  problem?: Pick<TableProof, 'status' | 'note'>
}

/**
 * Reads every restored table back with the archive's own column list and compares it with what was dumped, row for row in
 * any order. What was loaded via a partition root is compared as a whole: its rows may have changed places.
 */
export async function proveTables(options: ProofOptions): Promise<TableProof[]> {
  const { target, jobs } = options
  const comparisons = plan(options)
  const queue = await withClient(target, 'proof', (client) => readings(client, comparisons, jobs))
  const work = () =>
    withClient(target, 'proof', async (client) => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await take(client, next, options)
    }).finally(() => queue.splice(0))
  await allEnded(Array.from({ length: Math.max(1, jobs) }, work))
  return comparisons.map(judge).sort((a, b) => b.bytes - a.bytes || (a.table < b.table ? -1 : 1))
}

function plan({ contents, inventory, toc, rootRows }: ProofOptions): Comparison[] {
  const fingerprints = new Map(contents.tables.map(({ file, fingerprint }) => [file, fingerprint]))
  const conditions = new Map(inventory.tables.map((table) => [table.oid, table.configCondition]))
  const encoding = contents.databaseFacts.encoding
  const groups = new Map<string, Comparison>()
  for (const entry of tableDataEntries(toc)) {
    const own = `${quote(entry.schema)}.${quote(entry.name)}`
    const key = entry.viaPartitionRoot ? `root ${entry.table}` : own
    const name = `${readable(entry.schema)}.${readable(entry.name)}`
    const label = entry.viaPartitionRoot ? `${entry.table} (all partitions)` : name
    const group = groups.get(key) ?? { label, dumped: EMPTY_FINGERPRINT, reads: [], restored: EMPTY_FINGERPRINT }
    const dumped = rootRows.fingerprintOf(entry) ?? fingerprints.get(entry.fileName) ?? EMPTY_FINGERPRINT
    group.dumped = addFingerprints(group.dumped, dumped)
    const columns = rootRows.columnsOf(entry)
    group.reads.push({ own, columns, condition: conditions.get(entry.oid) ?? '', encoding, bytes: dumped.bytes })
    groups.set(key, group)
  }
  return [...groups.values()]
}

type Reporting = Pick<ProofOptions, 'signal' | 'meter'>

/** Reads one piece back, and adds it to its comparison. */
async function take(client: pg.Client, { of, statement }: Reading<Comparison>, reporting: Reporting): Promise<void> {
  if (of.problem !== undefined) return
  try {
    const piece = await readFingerprint(client, statement, reporting)
    // Other connections add to the same sum while this one reads.
    of.restored = addFingerprints(of.restored, piece)
  } catch (error) {
    reporting.signal.throwIfAborted()
    const code = (error as { code?: string }).code
    if (code === '42P01' || code === '3F000') {
      of.problem = { status: 'missing', note: 'the table is not there' }
      return
    }
    const failure = failureOf(error)
    if (failure !== undefined) throw failure
    of.problem = { status: 'different', note: `it cannot be read back: ${describeServerError(error)}` }
  }
}

function judge({ label, dumped, reads, restored, problem }: Comparison): TableProof {
  const facts = { table: label, rows: dumped.rows, bytes: dumped.bytes, members: reads.length }
  if (problem !== undefined) return { ...facts, ...problem }
  if (sameFingerprint(restored, dumped)) return { ...facts, status: 'equal' }
  return { ...facts, status: 'different', note: difference(dumped, restored) }
}

async function readFingerprint(
  client: pg.Client,
  statement: string,
  { signal, meter }: Reporting,
): Promise<Fingerprint> {
  const lines = new LineFingerprinter()
  let told = 0
  const updateMessages = (chunk: Buffer) => {
    const taken = lines.updateMessages(chunk)
    meter.add(lines.bytes - told)
    told = lines.bytes
    return taken
  }
  await copyOut(client, statement, { updateMessages }, signal)
  return lines.digest()
}

function difference(dumped: Fingerprint, restored: Fingerprint): string {
  if (restored.rows === 0) return `empty, instead of ${formatCount(dumped.rows)} rows`
  if (restored.rows !== dumped.rows) {
    const rows = restored.rows - dumped.rows
    return `${formatCount(Math.abs(rows))} rows ${rows < 0 ? 'fewer' : 'more'} than dumped`
  }
  if (restored.bytes === dumped.bytes) return 'as many rows of the same total length, but other content'
  return `as many rows, but ${formatBytes(Math.abs(restored.bytes - dumped.bytes))} ${restored.bytes < dumped.bytes ? 'less' : 'more'} text`
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** For people: quoted only where the name is not plain. */
function readable(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : quote(name)
}

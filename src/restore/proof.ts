import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import type { Contents } from '../backup-set/documents.ts'
import type { Meter } from '../base/progress.ts'
import { formatBytes, formatCount } from '../base/units.ts'
import type { Database } from '../postgres/database.ts'
import type { Inventory } from '../postgres/inventory.ts'
import { type Toc, tableDataEntries } from '../postgres/toc.ts'
import {
  addFingerprints,
  EMPTY_FINGERPRINT,
  type Fingerprint,
  LineFingerprinter,
  sameFingerprint,
} from '../streams/fingerprint.ts'
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
  /** How to read the rows back, each as one COPY TO statement. */
  statements: string[]
}

/**
 * Reads every restored table back with the archive's own column list and compares it with what was dumped, row for row in
 * any order. What was loaded via a partition root is compared as a whole: its rows may have changed places.
 */
export async function proveTables(options: ProofOptions): Promise<TableProof[]> {
  const comparisons = plan(options)
  const proofs: TableProof[] = []
  const work = async () => {
    const client = await options.target.connect('proof')
    try {
      for (let next = comparisons.shift(); next !== undefined; next = comparisons.shift()) {
        proofs.push(await compare(client, next, options))
      }
    } finally {
      await client.end().catch(() => undefined)
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, options.jobs) }, work))
  return proofs.sort((a, b) => b.bytes - a.bytes || (a.table < b.table ? -1 : 1))
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
    const group = groups.get(key) ?? { label, dumped: EMPTY_FINGERPRINT, statements: [] }
    const dumped = rootRows.fingerprintOf(entry) ?? fingerprints.get(entry.fileName) ?? EMPTY_FINGERPRINT
    group.dumped = addFingerprints(group.dumped, dumped)
    group.statements.push(readStatement(rootRows.columnsOf(entry), own, conditions.get(entry.oid), encoding))
    groups.set(key, group)
  }
  return [...groups.values()].sort((a, b) => b.dumped.bytes - a.dumped.bytes)
}

function readStatement(list: string, own: string, condition: string | undefined, encoding: string): string {
  const options = `to stdout (encoding '${encoding}')`
  if (condition === undefined || condition === '') return `copy ${own} ${list} ${options}`
  const columns = list.replace(/^\(|\)$/g, '')
  return `copy (select ${columns} from only ${own} ${condition}) ${options}`
}

type Reading = Pick<ProofOptions, 'signal' | 'meter'>

async function compare(client: pg.Client, comparison: Comparison, reading: Reading): Promise<TableProof> {
  const { label, dumped, statements } = comparison
  const facts = { table: label, rows: dumped.rows, bytes: dumped.bytes, members: statements.length }
  let restored = EMPTY_FINGERPRINT
  for (const statement of statements) {
    try {
      restored = addFingerprints(restored, await readFingerprint(client, statement, reading))
    } catch (error) {
      reading.signal.throwIfAborted()
      const code = (error as { code?: string }).code
      if (code === '42P01' || code === '3F000') return { ...facts, status: 'missing', note: 'the table is not there' }
      const failure = failureOf(error)
      if (failure !== undefined) throw failure
      return { ...facts, status: 'different', note: `it cannot be read back: ${describeServerError(error)}` }
    }
  }
  if (sameFingerprint(restored, dumped)) return { ...facts, status: 'equal' }
  return { ...facts, status: 'different', note: difference(dumped, restored) }
}

async function readFingerprint(client: pg.Client, statement: string, { signal, meter }: Reading): Promise<Fingerprint> {
  const lines = new LineFingerprinter()
  await pipeline(
    client.query(copyTo(statement)),
    async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) {
        meter.add(chunk.length)
        lines.update(chunk)
      }
    },
    { signal },
  )
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

import { rm } from 'node:fs/promises'
import { formatCount } from '../../src/base/units.ts'
import { type Action, runAction } from './action.ts'
import type { DatabaseName } from './databases.ts'
import { type Gateway, storageInputs } from './gateway.ts'
import { formatMebibytes } from './line.ts'
import type { Workbench } from './workbench.ts'

/** A stored set, and how an action reaches it. */
export interface StoredSet {
  database: DatabaseName
  dump: Action
  inputs: Record<string, string>
  env: Record<string, string>
  /** The storage's directory, if it is one. */
  folder?: string
}

export interface DumpOptions {
  inputs?: Record<string, string>
  watch?: { memory?: boolean; disk?: boolean }
  /** Default: a directory. `endpoint`: as seen through a proxy. */
  s3?: { gateway: Gateway; endpoint?: string }
}

/** Dumps a database of the source server to a new, encrypted storage of its own, with action-dump. */
export async function dumpSet(bench: Workbench, database: DatabaseName, options: DumpOptions = {}): Promise<StoredSet> {
  const { s3, watch } = options
  const folder = s3 ? undefined : await bench.directory('storage')
  const bucket = await s3?.gateway.bucket()
  const storage = (endpoint = '') =>
    bucket === undefined ? { storage: `file://${folder}` } : storageInputs(bucket, endpoint)
  const env = s3?.gateway.env ?? {}
  const dump = await runAction(bench, {
    action: 'action-dump',
    inputs: {
      ...storage(s3?.endpoint ?? s3?.gateway.endpoint),
      'database-url': bench.source.url(database),
      recipients: bench.recipient,
      label: 'bench',
      ...options.inputs,
    },
    env,
    readsSource: true,
    ...(watch && { watch }),
  })
  const inputs = { ...storage(s3?.gateway.endpoint), identity: bench.identity }
  return { database, dump, inputs, env, ...(folder !== undefined && { folder }) }
}

/** Keeps the newest of the sets that a round after the other writes; the ones before are removed. */
export class NewestSet {
  #set: StoredSet | undefined

  async replace(set: StoredSet): Promise<Action> {
    await this.remove()
    this.#set = set
    return set.dump
  }

  get set(): StoredSet {
    if (this.#set === undefined) throw new Error('no set was written')
    return this.#set
  }

  async remove(): Promise<void> {
    if (this.#set?.folder !== undefined) await rm(this.#set.folder, { recursive: true, force: true })
    this.#set = undefined
  }
}

const COUNT_ROWS = `
  select coalesce(sum((xpath('//c/text()', query_to_xml(
    format('select count(*) as c from %I.%I', schemaname, tablename), false, true, '')))[1]::text::bigint), 0)
  from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`

/**
 * Restores the set and proves it: no target is met by doing less. Rejects unless the restore test passed and proved as
 * many rows and large objects as the source database holds.
 */
export async function proveSet(bench: Workbench, set: StoredSet, restored?: Action): Promise<void> {
  const { inputs, env, dump, database } = set
  const proof = restored ?? (await runAction(bench, { action: 'action-restore-test', inputs, env }))
  const rows = Number(await bench.query(database, COUNT_ROWS))
  const objects = Number(await bench.query(database, 'select count(*) from pg_largeobject_metadata'))
  const counts = { dumped: Number(dump.outputs.rows), proven: Number(proof.outputs['rows-proven']) }
  if (counts.dumped !== rows || counts.proven !== rows || dump.report.totals?.largeObjects !== objects) {
    const found = `${counts.dumped} rows dumped, ${counts.proven} proven, ${dump.report.totals?.largeObjects} objects`
    throw new Error(`the set is not the database ${database}: ${found}, and it has ${rows} rows and ${objects} objects`)
  }
  const size = formatMebibytes(dump.report.totals?.plainBytes ?? 0)
  const what = `${formatCount(rows)} rows${objects > 0 ? ` and ${formatCount(objects)} large objects` : ''}`
  bench.say(`  proven: ${what} (${size} as pg_dump writes them) restored, equal to the source`)
}

import { LifeboatError } from '../base/errors.ts'
import type { Database } from '../postgres/database.ts'
import { ProcessGroup, type ToolEnd } from '../postgres/process-group.ts'
import { scrub, WITHHELD } from '../postgres/scrub.ts'
import type { TablePatterns } from '../postgres/table-choice.ts'
import { TOOL_CONNINFO } from '../postgres/tool-environment.ts'
import type { PostgresTools } from '../postgres/tools.ts'
import { diagnose } from './diagnoses.ts'

/** What of the database goes into the set. */
export interface Selection extends TablePatterns {
  content: 'all' | 'schema' | 'data'
}

export interface PgDumpOptions {
  tools: PostgresTools
  database: Database
  /** Does not exist yet: pg_dump makes it. */
  directory: string
  /** Removed if this process dies: holds `directory`. */
  spool: string
  snapshot: string
  /** The server's encoding: a setting of the database must not change the bytes. */
  encoding: string
  jobs: number
  lockWaitSeconds: number
  selection: Selection
  signal: AbortSignal
}

/**
 * The snapshot's own locks are held already. What pg_dump then waits for is somebody who waits for those: waiting long
 * would only keep a migration, and all who queue behind it, from going on.
 */
const MOST_LOCK_WAIT_SECONDS = 10

/** Starts `pg_dump -Fd`, uncompressed, in a process group of its own. */
export async function startPgDump(options: PgDumpOptions): Promise<ProcessGroup> {
  const { tools, database, directory, spool, signal } = options
  // Patterns without a schema are looked up in it; then pg_dump empties it by itself.
  const env = await database.toolEnvironment({ searchPath: 'own' })
  return ProcessGroup.start(tools.path('pg_dump'), pgDumpArguments(options, directory), {
    env,
    signal,
    removeOnDeath: spool,
  })
}

function pgDumpArguments(options: PgDumpOptions, directory: string): string[] {
  const { selection, jobs, snapshot, encoding, lockWaitSeconds } = options
  return [
    '--format=directory',
    `--file=${directory}`,
    '--compress=0',
    `--jobs=${jobs}`,
    '--no-sync',
    '--no-password',
    `--dbname=${TOOL_CONNINFO}`,
    `--snapshot=${snapshot}`,
    `--encoding=${encoding}`,
    `--lock-wait-timeout=${Math.ceil(Math.min(lockWaitSeconds, MOST_LOCK_WAIT_SECONDS) * 1_000)}`,
    ...(selection.content === 'schema' ? ['--schema-only'] : []),
    ...(selection.content === 'data' ? ['--data-only'] : []),
    ...selection.tables.map((pattern) => `--table=${pattern}`),
    ...selection.excludeTables.map((pattern) => `--exclude-table=${pattern}`),
    ...selection.excludeTableData.map((pattern) => `--exclude-table-data=${pattern}`),
  ]
}

/** The failure that pg_dump's end amounts to; undefined if it ended well. */
export function pgDumpFailure(end: ToolEnd, secrets: readonly string[]): LifeboatError | undefined {
  if (end.code === 0) return undefined
  const text = scrub(end.stderr, [...secrets])
  // Lines that say nothing any more would crowd out the one that says why.
  const lines = text.split('\n').filter((line) => /error|fatal|detail/i.test(line) && !line.endsWith(WITHHELD))
  const said = (lines.length > 0 ? lines : text.split('\n').filter(Boolean)).slice(-3).join(' · ')
  const how = end.code === null ? `was ended by ${end.signal}` : `ended with exit code ${end.code}`
  const diagnosis = diagnose(end.stderr, text)
  return new LifeboatError(
    diagnosis?.code ?? 'pg-dump-failed',
    `pg_dump ${how}${said === '' ? '' : `: ${said}`}`,
    diagnosis?.remedy ?? 'Nothing was published. Mend what pg_dump says, and dump again.',
  )
}

/** What pg_dump warned of although it ended well: one line each, without the tool's name. */
export function pgDumpWarnings(end: ToolEnd, secrets: readonly string[]): string[] {
  const lines = scrub(end.stderr, [...secrets]).split('\n')
  return [...new Set(lines.flatMap((line) => /^pg_dump: warning: (.+)$/.exec(line)?.[1] ?? []))]
}

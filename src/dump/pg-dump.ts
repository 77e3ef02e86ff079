import { LifeboatError } from '../base/errors.ts'
import type { Database } from '../postgres/database.ts'
import { ProcessGroup, type ToolEnd } from '../postgres/process-group.ts'
import { scrub } from '../postgres/scrub.ts'
import { TOOL_CONNINFO } from '../postgres/tool-environment.ts'
import type { PostgresTools } from '../postgres/tools.ts'

/** What of the database goes into the set. Lists are patterns as pg_dump takes them. */
export interface Selection {
  content: 'all' | 'schema' | 'data'
  tables: readonly string[]
  excludeTables: readonly string[]
  excludeTableData: readonly string[]
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
  const env = await database.toolEnvironment()
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

/** Known ends of pg_dump, by its (untranslated) words, and what to do about each. */
const DIAGNOSES: readonly [RegExp, string][] = [
  [/row-level security/, 'Let the backup role bypass row security: ALTER ROLE … BYPASSRLS (as superuser).'],
  [
    /permission denied/,
    'Grant the backup role what it lacks: GRANT pg_read_all_data TO … ; large objects need their owner or a superuser.',
  ],
  [/version mismatch/, 'Install the client tools of the server’s major version (postgresql-client-N).'],
  [
    /could not obtain lock|lock timeout/,
    'A migration wants a table exclusively: dump when it is over, or let both share a `concurrency` group.',
  ],
  [/No space left on device/, 'Free disk space on the runner, or lower `spool-limit`.'],
  [
    /no matching (tables|schemas) were found/,
    'Correct the patterns in `tables`: names with capitals need double quotes.',
  ],
  [
    /invalid snapshot identifier/,
    'Use a direct connection: a pooler between runner and server gives each connection another session.',
  ],
  [
    /invalid memory alloc|out of memory/,
    'A value is larger than pg_dump can write as text (about 500 MB): shrink it, or move it out of the database.',
  ],
  [
    /server closed the connection|terminating connection|connection to server was lost/,
    'Look at the server’s log for a restart, a failover or a cancelled backend; then dump again.',
  ],
  [
    /too many clients|remaining connection slots/,
    'Lower `jobs`, or raise max_connections: a dump takes jobs + 2 connections.',
  ],
]

/** The failure that pg_dump's end amounts to; undefined if it ended well. */
export function pgDumpFailure(end: ToolEnd, secrets: readonly string[]): LifeboatError | undefined {
  if (end.code === 0) return undefined
  const text = scrub(end.stderr, [...secrets])
  const lines = text.split('\n').filter((line) => /error|fatal|detail/i.test(line))
  const said = (lines.length > 0 ? lines : text.split('\n').filter(Boolean)).slice(-3).join(' · ')
  const how = end.code === null ? `was ended by ${end.signal}` : `ended with exit code ${end.code}`
  const remedy = DIAGNOSES.find(([pattern]) => pattern.test(text))?.[1]
  return new LifeboatError(
    'pg-dump-failed',
    `pg_dump ${how}${said === '' ? '' : `: ${said}`}`,
    remedy ?? 'Nothing was published. Mend what pg_dump says, and dump again.',
  )
}

import { LifeboatError } from '../base/errors.ts'
import type { Database } from '../postgres/database.ts'
import { ProcessGroup } from '../postgres/process-group.ts'
import { scrub } from '../postgres/scrub.ts'
import { TOOL_CONNINFO } from '../postgres/tool-environment.ts'
import type { PostgresTools } from '../postgres/tools.ts'

/** One statement of the schema or of section data that the server refused. */
export interface RestoreError {
  /** `pre-data`, `rows`, `large objects`, `data`, `post-data`. */
  stage: string
  /** What it is about: `FK CONSTRAINT bookings bookings_user_fkey`, or a table. */
  subject: string
  /** The server's words without row content. */
  message: string
}

export interface PgRestoreOptions {
  tools: PostgresTools
  target: Database
  /** Holds toc.dat; no data file is needed. */
  archive: string
  section: 'pre-data' | 'data' | 'post-data'
  /** A file that lists the entries to restore; default all of the section. */
  list?: string
  jobs?: number
  signal: AbortSignal
}

/**
 * Runs pg_restore over one section and collects what the server refused, all of it: pg_restore goes on after an error.
 * Error: `pg-restore-failed` if pg_restore itself fails.
 */
export async function runPgRestore(options: PgRestoreOptions): Promise<RestoreError[]> {
  const { tools, target, archive, section, list, jobs = 1, signal } = options
  const args = [
    '--format=directory',
    `--section=${section}`,
    '--no-password',
    '--no-tablespaces',
    '--no-security-labels',
    // Statistics are no content, and a crafted one could run code on an old 18.
    ...(tools.major >= 18 ? ['--no-statistics'] : []),
    ...(list === undefined ? [] : [`--use-list=${list}`]),
    ...(jobs > 1 ? [`--jobs=${jobs}`] : []),
    `--dbname=${TOOL_CONNINFO}`,
    archive,
  ]
  const env = await target.toolEnvironment()
  const process = await ProcessGroup.start(tools.path('pg_restore'), args, { env, signal })
  const { code, stderr } = await process.ended
  signal.throwIfAborted()
  const errors = parsePgRestoreErrors(stderr, section)
  if (code === 0 && errors.length === 0) return []
  if (errors.length > 0 && code !== null) return errors
  const said = scrub(stderr, []).trim().split('\n').slice(-3).join(' · ')
  throw new LifeboatError(
    'pg-restore-failed',
    `pg_restore of section ${section} ended with ${code === null ? 'a signal' : `exit code ${code}`}: ${said}`,
    'Look at the words of pg_restore; an archive that it cannot read means that the set is damaged: try another set.',
  )
}

const ENTRY = /from TOC entry \d+; \d+ \d+ (.*)$/
const REFUSED = /error: could not execute query: (?:ERROR|FATAL|PANIC): {2}(.*)$/
const OTHER = /^pg_restore(?:: \[[^\]]*\])?: error: (.*)$/

/** The errors in what pg_restore wrote with untranslated messages. Commands, details and contexts are left out: they hold values. */
export function parsePgRestoreErrors(stderr: string, stage: string): RestoreError[] {
  const errors: RestoreError[] = []
  let subject = 'the archive'
  for (const line of stderr.split('\n')) {
    const entry = ENTRY.exec(line)
    if (entry?.[1] !== undefined) subject = entry[1]
    const message = REFUSED.exec(line)?.[1] ?? OTHER.exec(line)?.[1]
    if (message !== undefined) errors.push({ stage, subject, message: withoutValues(scrub(message, [])) })
  }
  return errors
}

/** A message of the server without the value that some of them quote (`invalid input syntax for type integer: "…"`). */
export function withoutValues(message: string): string {
  return message.replace(/((?:invalid|malformed|out of range|too long|syntax|violates)[^:"]*): ".*$/is, '$1')
}

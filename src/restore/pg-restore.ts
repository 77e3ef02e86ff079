import { LifeboatError } from '../base/errors.ts'
import type { Database } from '../postgres/database.ts'
import { ProcessGroup } from '../postgres/process-group.ts'
import { scrub } from '../postgres/scrub.ts'
import { TOOL_CONNINFO } from '../postgres/tool-environment.ts'
import type { PostgresTools } from '../postgres/tools.ts'
import { scratchServerFailed, tellsInability, withoutValues } from './server-messages.ts'

/** One statement of the schema or of section data that the server refused. */
export interface RestoreError {
  /** `pre-data`, `rows`, `large objects`, `data`, `post-data`. */
  stage: string
  /** What it is about: the beginning of a command (`ALTER TABLE ONLY public.bookings`), or `TABLE DATA public.bookings`. */
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
  /** What is not to be restored at all, as options: `--no-owner`. */
  leaveOut?: readonly string[]
  signal: AbortSignal
}

/**
 * Runs pg_restore over one section and collects what the server refused, all of it: pg_restore goes on after an error.
 * Errors: `unreadable-archive` if pg_restore cannot read it, `pg-restore-failed` if it fails otherwise,
 * `scratch-server-failed` if the server cannot go on.
 */
export async function runPgRestore(options: PgRestoreOptions): Promise<RestoreError[]> {
  const { tools, target, archive, section, list, jobs = 1, leaveOut = [], signal } = options
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
    ...leaveOut,
    `--dbname=${TOOL_CONNINFO}`,
    archive,
  ]
  const env = await target.toolEnvironment()
  const process = await ProcessGroup.start(tools.path('pg_restore'), args, { env, signal })
  const { code, stderr } = await process.ended
  signal.throwIfAborted()
  const errors = parsePgRestoreErrors(stderr, section)
  const inability = errors.find(({ message }) => tellsInability(message))
  if (inability) throw scratchServerFailed(inability.message)
  if (code === 0 && errors.length === 0) return []
  // It counts what it passed over when it has come to its end, and only then.
  if (errors.length > 0 && /^pg_restore(?:: \[[^\]]*\])?: warning: errors ignored on restore: \d+$/m.test(stderr))
    return errors
  throw toolFailure(section, code, stderr)
}

/** What pg_restore says of an archive that it cannot make sense of (pg_backup_archiver.c); its bytes were proven before. */
const UNREADABLE =
  /magic string|unsupported version|sanity check on integer size|perhaps a corrupt TOC|unexpected section code|invalid (?:ENCODING|STDSTRINGS|SEARCHPATH) item|unrecognized encoding|could not read from input file|unexpected end of file|WITH OIDS/

/** Only of what it cannot read the set is to blame: it may have been killed, or lacked the server. */
function toolFailure(section: string, code: number | null, stderr: string): LifeboatError {
  const said = scrub(stderr, []).trim().split('\n').slice(-3).join(' · ')
  const isUnreadable = code !== null && UNREADABLE.test(stderr)
  const end = code === null ? 'a signal' : `exit code ${code}`
  return isUnreadable
    ? new LifeboatError(
        'unreadable-archive',
        `pg_restore cannot read the archive, although it is what the dump stored: ${said}`,
        'Restore test the set before this one, and take a new dump.',
      )
    : new LifeboatError(
        'pg-restore-failed',
        `pg_restore of section ${section} ended with ${end}${said === '' ? '' : `: ${said}`}`,
        'Nothing was learnt of the set. Look at the words of pg_restore, and at memory and disk of this machine; run the test again.',
      )
}

const REFUSED = /error: could not execute query: (?:ERROR|FATAL|PANIC): {2}(.*)$/
const OTHER = /^pg_restore(?:: \[[^\]]*\])?: error: (.*)$/
const COMMAND = /^Command was: (.*)$/
const SUBJECT_LENGTH = 100

/**
 * The errors in what pg_restore wrote with untranslated messages. What an error is about is the first line of its command
 * (entries are named to those only who ask for everything to be told, and that is megabytes). Details and contexts, and
 * the literals of a command, hold values: they are left out.
 */
export function parsePgRestoreErrors(stderr: string, stage: string): RestoreError[] {
  const errors: RestoreError[] = []
  for (const line of stderr.split('\n')) {
    const message = REFUSED.exec(line)?.[1] ?? OTHER.exec(line)?.[1]
    if (message !== undefined)
      errors.push({ stage, subject: 'the archive', message: withoutValues(scrub(message, [])) })
    const command = COMMAND.exec(line)?.[1]
    const last = errors.at(-1)
    if (command !== undefined && last !== undefined) last.subject = subjectOf(command)
  }
  return errors
}

function subjectOf(command: string): string {
  const plain = command.replaceAll(/'(?:[^']|'')*'?/g, "'…'").replace(/\s*[;(]?\s*$/, '')
  return plain.length <= SUBJECT_LENGTH ? plain : `${plain.slice(0, SUBJECT_LENGTH)}…`
}

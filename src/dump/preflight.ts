import { LifeboatError } from '../base/errors.ts'
import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import type { Database } from '../postgres/database.ts'
import { findUnreadable, mendingStatements, type NeededToRead, type Unreadable } from '../postgres/privileges.ts'
import { chooseTables, type TableChoice } from '../postgres/table-choice.ts'
import { findUnseen, type Unseen } from '../postgres/unseen.ts'
import type { Selection } from './pg-dump.ts'

/** What stops a dump before it has begun: all of it at once, each with its way out. */
export class PreflightError extends LifeboatError {
  readonly findings: readonly Finding[]

  constructor(findings: readonly Finding[], message: string, remedy: string) {
    super('unreadable', message, remedy)
    this.name = 'PreflightError'
    this.findings = findings
  }
}

/** What a dump will not have, although nothing stops it. */
export interface Foreseen {
  /** What pg_dump will leave out, or cut short, without failing. */
  unseen: Unseen[]
  /** Patterns that match nothing. */
  idle: TableChoice['idle']
}

/** A remedy of more statements than this is no line any more. */
const MOST_STATEMENTS = 4

/**
 * Fails unless the connected role can read everything that a dump of the selection reads: pg_dump itself names one missing
 * grant per run. Errors: PreflightError with a finding and a GRANT statement for each object, `bad-pattern`,
 * `nothing-selected`.
 */
export async function assertReadable(database: Database, selection: Selection): Promise<Foreseen> {
  const client = await database.connect('preflight')
  try {
    const choice = await chooseTables(client, selection, database.serverEncoding)
    const unreadable = await findUnreadable(client, neededOf(choice, selection))
    if (unreadable.length === 0) return { unseen: await findUnseen(client), idle: choice.idle }
    const findings = unreadable.map(
      ({ kind, identity, reason, grant }): Finding => ({
        severity: 'failure',
        message: `${kind} ${identity}: ${reason}`,
        remedy: grant,
      }),
    )
    throw new PreflightError(
      findings,
      `The role ${database.settings.user} cannot read ${formatCount(unreadable.length)} objects, so no complete backup is possible`,
      remedyFor(unreadable),
    )
  } finally {
    await client.end()
  }
}

/** Whatever is dumped is locked, which takes SELECT; rows, values and large objects are read where they are asked for. */
function neededOf({ dumped, read }: TableChoice, { content, tables }: Selection): NeededToRead {
  if (content === 'schema') return { dumped, read: new Set(), largeObjects: false }
  return { dumped, read, largeObjects: tables.length === 0 }
}

function remedyFor(unreadable: readonly Unreadable[]): string {
  const statements = mendingStatements(unreadable)
  if (statements.length > MOST_STATEMENTS) {
    return 'Run the statements that the findings list, as a superuser or the owner, and dump again.'
  }
  return `As a superuser or the owner, run: ${statements.join(' ')} Then dump again.`
}

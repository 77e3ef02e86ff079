import { LifeboatError } from '../base/errors.ts'
import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import type { Database } from '../postgres/database.ts'
import { findUnreadable } from '../postgres/privileges.ts'
import { findUnseen, type Unseen } from '../postgres/unseen.ts'

/** What stops a dump before it has begun: all of it at once, each with its way out. */
export class PreflightError extends LifeboatError {
  readonly findings: readonly Finding[]

  constructor(findings: readonly Finding[], message: string, remedy: string) {
    super('unreadable', message, remedy)
    this.name = 'PreflightError'
    this.findings = findings
  }
}

/**
 * Fails unless the connected role can read everything that a dump reads: pg_dump itself names one missing grant per run.
 * Returns what pg_dump will leave out, or cut short, without failing.
 * Error: PreflightError with a finding and a GRANT statement for each object.
 */
export async function assertReadable(database: Database): Promise<Unseen[]> {
  const client = await database.connect('preflight')
  try {
    const unreadable = await findUnreadable(client)
    if (unreadable.length === 0) return await findUnseen(client)
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
      'Run the statements that the findings list, as a superuser or the owner, and dump again.',
    )
  } finally {
    await client.end()
  }
}

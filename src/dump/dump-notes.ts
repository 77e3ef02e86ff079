import type { Contents } from '../backup-set/documents.ts'
import type { Finding } from '../base/findings.ts'
import type { Unseen } from '../postgres/unseen.ts'
import type { DumpedDatabase } from './dump-run.ts'
import type { Selection } from './pg-dump.ts'
import type { Foreseen } from './preflight.ts'
import type { RolesSource } from './roles-source.ts'

/** What the set does not have, or has only in part, although the dump went well. */
export function notesOn(contents: Contents, dumped: DumpedDatabase, roles: RolesSource): Finding[] {
  const findings: Finding[] = []
  const left = contents.excluded.filter(({ reason }) => reason !== 'not selected')
  if (left.length > 0) {
    const names = left.map(({ schema, name, reason }) => `${schema}.${name} (${reason})`)
    findings.push({ severity: 'note', message: `Not in the set by their nature: ${listed(names)}` })
  }
  if (roles.incomplete !== undefined) {
    findings.push({
      severity: 'warning',
      message: `The set has only the roles that the schema names, since the server did not list them all: ${roles.incomplete}`,
      remedy: 'Let the backup role read pg_roles, or keep a list of roles and memberships elsewhere.',
    })
  }
  // Told with their names, see unseenFindings.
  const warnings = dumped.warnings.filter((warning) => !warning.startsWith('subscriptions not dumped'))
  for (const warning of warnings) findings.push({ severity: 'warning', message: `pg_dump warns: ${warning}` })
  return findings
}

/** What could be told before the dump began. */
export function foreseenFindings({ unseen, idle }: Foreseen, selection: Selection): Finding[] {
  const findings = idle.map(
    ({ input, pattern }): Finding => ({
      severity: 'warning',
      message: `${input}: the pattern ${pattern} matches nothing in this database`,
      remedy: 'Correct it: schema.table, with * and ? as wildcards; what needs upper case, in double quotes.',
    }),
  )
  return [...findings, ...unseenFindings(unseen, selection)]
}

/** What pg_dump leaves out for this role, as far as it is asked for at all. */
function unseenFindings(unseen: readonly Unseen[], { content, tables }: Selection): Finding[] {
  if (content === 'data' || tables.length > 0) return []
  const namesOf = (kind: Unseen['kind']) => unseen.filter((one) => one.kind === kind).map(({ identity }) => identity)
  const subscriptions = namesOf('subscription')
  const mappings = namesOf('user mapping')
  const findings: Finding[] = []
  if (subscriptions.length > 0) {
    findings.push({
      severity: 'warning',
      message: `Not in the set, since only superusers can read them: the subscriptions ${listed(subscriptions)}`,
      remedy: 'Keep their CREATE SUBSCRIPTION statements elsewhere, or dump as a superuser.',
    })
  }
  if (mappings.length > 0) {
    findings.push({
      severity: 'warning',
      message: `In the set without their options (remote user, password), since only superusers can read those: the user mappings ${listed(mappings)}`,
      remedy: 'Keep their CREATE USER MAPPING statements elsewhere, or dump as a superuser.',
    })
  }
  return findings
}

function listed(names: readonly string[]): string {
  const more = names.length > 5 ? ` and ${names.length - 5} more` : ''
  return `${names.slice(0, 5).join(', ')}${more}`
}

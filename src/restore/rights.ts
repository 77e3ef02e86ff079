import type { CheckResult, Finding } from '../base/findings.ts'
import type { InventoryDifference } from '../postgres/inventory.ts'
import type { RestoreError } from './pg-restore.ts'

const LACKING =
  /must be superuser|permission denied|must be (?:able to|owner of|member of)|only superusers|superuser-only/i

/** Facts and objects that are owners and grants. */
const FACTS = ['owner', 'acl']
const KINDS = ['default privileges', 'large objects']

/** The differences that are none of owners and grants: whoever is no superuser restores neither. */
export function withoutRights(differences: readonly InventoryDifference[]): InventoryDifference[] {
  return differences.filter(({ kind, fact }) => !KINDS.includes(kind) && !FACTS.includes(fact ?? ''))
}

export const LEFT_OUT: Finding = {
  severity: 'note',
  message: 'owners, grants and default privileges were left out, for the role of target-url is no superuser',
}

/**
 * The checks of a restore by somebody who is no superuser. Where the server refused something for want of rights, it says
 * nothing of the backup, and neither does what is missing for its sake.
 */
export function judgedByRights(checks: readonly CheckResult[], errors: readonly RestoreError[]): CheckResult[] {
  const lacks = errors.some(({ message }) => LACKING.test(message))
  return checks.map((check) => (lacks && check.status === 'failed' ? { ...check, status: 'unverified' } : check))
}

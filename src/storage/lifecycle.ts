import type { LifecycleRule as S3Rule } from '@aws-sdk/client-s3'
import type { LifecycleRule } from './posture.ts'

/** Storage classes from which an object comes back after minutes or hours, and only when somebody asks for it first. */
const ARCHIVES: readonly string[] = ['GLACIER', 'DEEP_ARCHIVE']

/**
 * The rules that expire or archive objects whose keys begin with `prefix`, or some of them. What old versions come to is
 * left out: only what readers see can be missed. Undefined: this is no answer to the question (a service may answer
 * another one, or in a language of its own).
 */
export function appliedRules(rules: readonly S3Rule[] | undefined, prefix: string): LifecycleRule[] | undefined {
  if (rules === undefined || !rules.every(isUnderstood)) return undefined
  return rules.filter((rule) => rule.Status === 'Enabled' && mayMatch(rule, prefix)).flatMap(effectsOf)
}

function isUnderstood({ Expiration, Transitions, ...rule }: S3Rule): boolean {
  const { NoncurrentVersionExpiration, NoncurrentVersionTransitions, AbortIncompleteMultipartUpload } = rule
  const known = [Expiration, Transitions, NoncurrentVersionExpiration, NoncurrentVersionTransitions]
  return [...known, AbortIncompleteMultipartUpload].some((action) => action !== undefined)
}

/** A set's objects carry no tags. Their sizes are many, so a rule about sizes always concerns some of them. */
function mayMatch({ Filter, Prefix }: S3Rule, prefix: string): boolean {
  const { And } = Filter ?? {}
  if (Filter?.Tag !== undefined || (And?.Tags ?? []).length > 0) return false
  const own = Filter?.Prefix ?? And?.Prefix ?? Prefix ?? ''
  return own.startsWith(prefix) || prefix.startsWith(own)
}

function effectsOf({ ID, Expiration, Transitions = [] }: S3Rule): LifecycleRule[] {
  const id = ID ?? 'without a name'
  const rules: LifecycleRule[] = Transitions.filter(({ StorageClass = '' }) => ARCHIVES.includes(StorageClass)).map(
    ({ StorageClass, Days, Date: date }) => ({ id, does: 'archive', storageClass: StorageClass, days: Days, date }),
  )
  const { Days, Date: date } = Expiration ?? {}
  return Days === undefined && date === undefined ? rules : [...rules, { id, does: 'expire', days: Days, date }]
}

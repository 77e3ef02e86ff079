import type { LifeboatError } from '../base/errors.ts'
import type { Finding } from '../base/findings.ts'
import { formatDuration } from '../base/units.ts'
import type { SetDeletion } from './delete-set.ts'
import { newestFirst } from './layout.ts'
import type { ForeignSet } from './retainable.ts'
import type { RetainableSet, RetentionPolicy } from './retention.ts'

/** When a restore test is overdue: as long as `max-restore-test-age` of action-verify waits by default. */
const PROOF_DUE_SECONDS = 35 * 86_400

/** Credentials that can only write are a good idea: they cannot look, and need not. */
export function couldNotRead({ message, remedy }: LifeboatError): Finding {
  return {
    severity: 'note',
    message: `Retention could not look at the backups, so none was deleted: ${message}`,
    remedy: `Set \`retention: off\` if these credentials shall not delete. Else: ${remedy}`,
  }
}

/** Where the newest set is not known to be good, the older ones are what there is. */
export function withheldFinding(titles: readonly string[]): Finding {
  return {
    severity: 'note',
    message: `Retention deleted nothing, since the newest backup is not known to be good: ${titles.join(', ')}`,
    remedy: 'See to that; the next run whose checks of the backup pass deletes what may go.',
  }
}

/** What should have gone and is still there, wholly or in part. */
export function deletionFailures(deletions: readonly SetDeletion[]): Finding[] {
  const findings: Finding[] = []
  const failed = deletions.filter(({ outcome }) => outcome === 'failed')
  const [first] = failed
  if (first !== undefined) {
    const remedy = first.remedy ?? 'Allow what the message names on the storage.'
    findings.push({
      severity: 'warning',
      message: `${backups(failed.length)} that should go could not be deleted: ${first.reason}`,
      remedy: `${remedy} If these credentials shall not delete, set \`retention: off\`: storage then grows.`,
    })
  }
  const [partly, ...others] = deletions.filter(({ outcome, reason }) => outcome === 'deleted' && reason !== undefined)
  if (partly !== undefined) {
    findings.push({
      severity: 'warning',
      message: `${backups(1 + others.length)} went, but not wholly: ${partly.reason}`,
      remedy: 'Allow what the message names on the storage: a later sweep takes what is left.',
    })
  }
  return findings
}

/** What is locked. */
export function retainedFindings(sets: readonly { outcome: string; reasons: readonly string[] }[]): Finding[] {
  const retained = sets.filter(({ outcome }) => outcome === 'retained')
  const last = retained.map(({ reasons }) => reasons[0] ?? '').sort()
  if (retained.length === 0) return []
  return [
    {
      severity: 'note',
      message: `${backups(retained.length)} would go, but cannot yet: ${last.at(-1)}, for the longest`,
      remedy: 'Nothing, if `lock-days` shall outlast the keep counts: they go with the first retention after that.',
    },
  ]
}

/** What is neither counted nor deleted. */
export function foreignFindings(foreign: readonly ForeignSet[]): Finding[] {
  if (foreign.length === 0) return []
  const reasons = [...Map.groupBy(foreign, ({ reason }) => reason)].map(([reason, { length }]) => `${length} ${reason}`)
  return [
    {
      severity: 'note',
      message: `Retention left ${backups(foreign.length)} alone, neither counted nor deleted: ${reasons.join(', ')}`,
      remedy: 'Delete by hand what is no longer needed: below heads/ first, then below sets/ and evidence/.',
    },
  ]
}

/** The newest proven set is kept, however old; somebody has to hear that it grows old. */
export function proofFindings(sets: readonly RetainableSet[], now: Date): Finding[] {
  const whole = sets.filter(({ content, takenAt }) => content === 'whole' && takenAt <= now).sort(newestFirst)
  const proven = whole.find(({ state }) => state === 'proven')
  const since = proven ?? whole.at(-1)
  const seconds = since === undefined ? 0 : (now.getTime() - since.takenAt.getTime()) / 1_000
  if (seconds <= PROOF_DUE_SECONDS) return []
  const age = formatDuration(seconds)
  const message = proven
    ? `The newest proven backup, ${proven.id}, is ${age} old; retention keeps it, and nothing newer is proven`
    : `No whole backup is proven by a restore test, and the oldest is ${age} old`
  return [{ severity: 'warning', message, remedy: 'Run action-restore-test now, and see why it does not pass.' }]
}

/** Where locks outlast what the policy keeps, with a whole dump a day. */
export function lockFindings({ keepLast, keepDaily, keepWeekly, keepMonthly }: RetentionPolicy, lockDays?: number) {
  const days = Math.max(keepLast, keepDaily, keepWeekly * 7, keepMonthly * 31)
  if (lockDays === undefined || lockDays <= days) return []
  const finding: Finding = {
    severity: 'note',
    message: `Backups are locked for ${lockDays} days, longer than retention keeps them (about ${days} days, with one a day)`,
    remedy: 'Nothing, if that is meant: they stay until they are unlocked. Else lower `lock-days`.',
  }
  return [finding]
}

function backups(count: number): string {
  return count === 1 ? '1 backup' : `${count} backups`
}

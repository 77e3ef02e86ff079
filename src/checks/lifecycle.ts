import { formatDuration } from '../base/units.ts'
import type { LifecycleRule } from '../storage/posture.ts'
import type { Limits } from './context.ts'
import { type Judgement, postureCheck } from './posture.ts'

export const lifecycleCheck = postureCheck<LifecycleRule[]>({
  id: 'lifecycle',
  title: 'No rule of the bucket takes backups away',
  question: 'whether a lifecycle rule deletes or archives backups',
  fact: ({ lifecycle }) => lifecycle,
  judge(rules, context) {
    const [first] = rules.filter(({ does }) => does === 'expire').toSorted(bySpeed)
    if (first) return expiring(first, context)
    const [archiving] = rules.toSorted(bySpeed)
    if (archiving) return archived(archiving)
    return { summary: 'none deletes or archives them' }
  },
})

function bySpeed(a: LifecycleRule, b: LifecycleRule): number {
  return (a.days ?? 0) - (b.days ?? 0)
}

/** Retention never takes the newest proven backup; such a rule does not ask. */
function expiring(rule: LifecycleRule, { maxRestoreTestAge }: Pick<Limits, 'maxRestoreTestAge'>): Judgement {
  const beforeTest = rule.days !== undefined && rule.days * 86_400 <= maxRestoreTestAge
  const sooner = beforeTest
    ? `, before the next restore test is due (${formatDuration(maxRestoreTestAge)})`
    : ', the newest proven one included'
  return {
    summary: `“${rule.id}” deletes them ${when(rule)}`,
    weakness: {
      message: `The lifecycle rule “${rule.id}” deletes backups ${when(rule)}${sooner}`,
      remedy:
        'Leave the deletion of backups to `retention`: let lifecycle rules expire only noncurrent versions and incomplete uploads.',
    },
  }
}

function archived(rule: LifecycleRule): Judgement {
  return {
    summary: `“${rule.id}” archives them ${when(rule)}`,
    weakness: {
      message: `The lifecycle rule “${rule.id}” moves backups to ${rule.storageClass} ${when(rule)}: they cannot be read until somebody has them brought back, which takes hours`,
      remedy:
        'Use a storage class that answers at once (STANDARD_IA, GLACIER_IR), as long as backups are to be restored.',
    },
  }
}

function when({ days, date }: LifecycleRule): string {
  return days === undefined ? `on ${date?.toISOString().slice(0, 10)}` : `${days} days after they were written`
}

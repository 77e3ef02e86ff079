import { formatDuration } from '../base/units.ts'
import type { Posture } from '../storage/posture.ts'
import { type Judgement, postureCheck } from './posture.ts'

type Lock = Extract<Posture['lock'], { value: unknown }>['value']

export const objectLockCheck = postureCheck<Lock>({
  id: 'object-lock',
  title: 'Nobody can delete the backup',
  question: 'whether anything locks the backup',
  fact: ({ lock }) => lock,
  async judge(lock, context) {
    const { lockUntil } = context.head
    const now = context.clock.now()
    if (lock === null || lock.until <= now) return unlocked(lock, await context.posture())
    if (lockUntil !== undefined && lock.until.getTime() < new Date(lockUntil).getTime() - 1_000) {
      return {
        summary: 'locked for less long than the dump asked for',
        weakness: {
          message: `The lock on the backup ends at ${lock.until.toISOString()}, before ${lockUntil}, which the dump asked for`,
          remedy: 'Find out who changed it; then restore test the backup, and take a new dump.',
        },
        severity: 'warning',
      }
    }
    const left = formatDuration((lock.until.getTime() - now.getTime()) / 1_000)
    if (lock.mode === 'COMPLIANCE') return { summary: `COMPLIANCE, for another ${left}` }
    return {
      summary: `GOVERNANCE, for another ${left}`,
      weakness: {
        message: 'The lock is of the mode GOVERNANCE: whoever has s3:BypassGovernanceRetention can delete the backup',
        remedy:
          'Give s3:BypassGovernanceRetention to nobody who works with these backups (whether these credentials have it cannot be asked without deleting), or lock with `lock-days`, which is COMPLIANCE.',
      },
    }
  },
})

function unlocked(lock: Lock, { lockDefault }: Posture): Judgement {
  const canLock = !('value' in lockDefault) || lockDefault.value !== 'off'
  return {
    summary: lock === null ? 'no lock' : 'the lock has ended',
    weakness: {
      message: 'Nothing locks the backup: whoever may delete objects, the job that dumps perhaps, can delete it',
      remedy: canLock
        ? 'Give `lock-days` to action-dump, or the bucket a default retention.'
        : 'Keep backups in a bucket that was created with Object Lock, and give `lock-days` to action-dump.',
    },
  }
}

import { formatDuration } from '../base/units.ts'
import type { Check } from './check.ts'

export const backupAgeCheck: Check = {
  id: 'backup-age',
  title: 'The newest backup is fresh',
  modes: ['smoke'],
  async run({ head, newest, maxAge, clock }) {
    const seconds = (clock.now().getTime() - new Date(head.takenAt).getTime()) / 1_000
    const age = formatDuration(Math.max(0, seconds))
    if (!newest) return { status: 'not run', summary: `${age} old, but not chosen as the newest`, findings: [] }
    if (seconds < -300) {
      const message = `The snapshot of ${head.id} lies ${formatDuration(-seconds)} in the future`
      const remedy = 'Set the clock of the database server or of this runner; if both are right, the set was forged.'
      return { summary: 'from the future', findings: [{ severity: 'failure', message, remedy }] }
    }
    if (seconds <= maxAge) return { summary: `${age} old`, findings: [] }
    return {
      summary: `${age} old`,
      findings: [
        {
          severity: 'failure',
          message: `The newest whole backup is ${age} old, more than ${formatDuration(maxAge)}`,
          remedy:
            'Look at the last runs of the dump workflow: failed, disabled (after 60 days without activity) or delayed; start it by hand.',
        },
      ],
    }
  },
}

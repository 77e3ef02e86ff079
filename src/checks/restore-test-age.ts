import { formatDuration } from '../base/units.ts'
import type { Check } from './check.ts'

export const restoreTestAgeCheck: Check = {
  id: 'restore-test-age',
  title: 'A restore was tested recently',
  modes: ['smoke'],
  async run({ catalog, maxRestoreTestAge, clock }) {
    const last = await catalog.evidence.lastRehearsal()
    const first = catalog.sets.at(-1)
    // Before the first test is due there is nothing to complain of: day one is green.
    const since = last?.at ?? first?.takenAt ?? clock.now()
    const seconds = Math.max(0, (clock.now().getTime() - since.getTime()) / 1_000)
    const summary = last
      ? `last passed ${formatDuration(seconds)} ago, with ${last.id}`
      : `never yet; first backup ${formatDuration(seconds)} ago`
    if (seconds <= maxRestoreTestAge) {
      return last ? { summary, findings: [] } : { status: 'not run', summary, findings: [] }
    }
    return {
      summary,
      findings: [
        {
          severity: 'failure',
          message: `No restore test has passed for ${formatDuration(seconds)}, more than ${formatDuration(maxRestoreTestAge)}`,
          remedy: remedyFor(catalog.evidence.unsignedRehearsals),
        },
      ],
    }
  },
}

function remedyFor(unsigned: number): string {
  return unsigned === 0
    ? 'Start the restore test workflow by hand and see why it does not pass.'
    : 'Some passed and are not signed: give action-restore-test the input `signing-key`, and start it by hand.'
}

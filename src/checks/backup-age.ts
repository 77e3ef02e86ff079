import type { Catalog } from '../backup-set/find.ts'
import { FUTURE_SECONDS } from '../backup-set/retention.ts'
import type { Finding } from '../base/findings.ts'
import { formatDuration } from '../base/units.ts'
import type { Check } from './check.ts'

export const backupAgeCheck: Check = {
  id: 'backup-age',
  title: 'The newest backup is fresh',
  modes: ['smoke'],
  async run({ head, newest, maxAge, clock, catalog }) {
    const seconds = (clock.now().getTime() - new Date(head.takenAt).getTime()) / 1_000
    const age = formatDuration(Math.max(0, seconds))
    if (!newest) return { status: 'not run', summary: `${age} old, but not chosen as the newest`, findings: [] }
    if (seconds < -FUTURE_SECONDS) {
      const message = `The snapshot of ${head.id} lies ${formatDuration(-seconds)} in the future`
      const remedy = 'Set the clock of the database server or of this runner; if both are right, the set was forged.'
      return { summary: 'from the future', findings: [{ severity: 'failure', message, remedy }] }
    }
    const passedOver = await damagedSince(head.id, catalog)
    const warnings = passedOver.map((id): Finding => {
      const message = `The newer backup ${id} is damaged: this is the newest one that is not`
      return { severity: 'warning', message, remedy: 'Take a new dump, and see what the evidence of that one says.' }
    })
    if (seconds <= maxAge) return { summary: `${age} old`, findings: warnings }
    return {
      summary: `${age} old`,
      findings: [
        ...warnings,
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

async function damagedSince(chosen: string, { sets, evidence }: Catalog): Promise<string[]> {
  const damaged: string[] = []
  for (const { id } of sets) {
    if (id === chosen) break
    if (await evidence.isDamaged(id)) damaged.push(id)
  }
  return damaged
}

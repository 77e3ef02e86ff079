import { wholeHeads } from '../backup-set/find.ts'
import { formatBytes } from '../base/units.ts'
import type { Check } from './check.ts'

export const sizeChangeCheck: Check = {
  id: 'size-change',
  title: 'The size is near that of the backup before',
  modes: ['smoke'],
  async run({ storage, catalog, head, sizeChangeWarn, sizeChangeFail }) {
    const taken = new Date(head.takenAt)
    const older = catalog.sets.filter((set) => set.id !== head.id && set.takenAt < taken)
    const previous = (await wholeHeads(storage, catalog.database, older).next()).value
    const size = head.totals.plainBytes
    if (!previous) return { status: 'not run', summary: `${formatBytes(size)}, and no backup before it`, findings: [] }
    const before = previous.totals.plainBytes
    const change = before === 0 ? (size === 0 ? 0 : 1) : size / before - 1
    const percent = `${change < 0 ? '−' : '+'}${(Math.abs(change) * 100).toFixed(1)} %`
    const summary = `${formatBytes(size)} after ${formatBytes(before)} (${percent})`
    if (Math.abs(change) <= sizeChangeWarn) return { summary, findings: [] }
    return {
      summary,
      findings: [
        {
          severity: Math.abs(change) <= sizeChangeFail ? 'warning' : 'failure',
          message: `The dump changed by ${percent} since ${previous.id}`,
          remedy:
            'If rows were deleted or loaded on purpose, nothing; else compare the tables in both job summaries, and restore test the older set now.',
        },
      ],
    }
  },
}

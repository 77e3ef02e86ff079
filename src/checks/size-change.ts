import { formatBytes } from '../base/units.ts'
import { ABOUT_ALL_TABLES, changeBetween, formatChange, severityOf } from './change.ts'
import type { Check } from './check.ts'

export const sizeChangeCheck: Check = {
  id: 'size-change',
  title: 'The size is near that of the backup before',
  modes: ['smoke'],
  vouches: true,
  async run(context) {
    if (await context.named()) return ABOUT_ALL_TABLES
    const previous = await context.previous()
    const size = context.head.totals.plainBytes
    if (!previous) return { status: 'not run', summary: `${formatBytes(size)}, and no backup before it`, findings: [] }
    const before = previous.plainBytes
    const change = changeBetween(before, size)
    const percent = formatChange(change)
    const summary = `${formatBytes(size)} after ${formatBytes(before)} (${percent})`
    const severity = severityOf(change, context)
    if (severity === undefined) return { summary, findings: [] }
    return {
      summary,
      findings: [
        {
          severity,
          message: `The dump changed by ${percent} since ${previous.id}`,
          remedy:
            'If rows were deleted or loaded on purpose, nothing; else compare the tables in both job summaries, and restore test the older set now.',
        },
      ],
    }
  },
}

import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import { ABOUT_ALL_TABLES, changeBetween, formatChange, severityOf } from './change.ts'
import type { Check } from './check.ts'

interface Counted {
  name: 'tables' | 'rows' | 'largeObjects'
  title: string
  /** A change by fewer than so many is large only in relation to little, and no more than a warning. */
  few: number
}

const COUNTED: readonly Counted[] = [
  { name: 'tables', title: 'tables', few: 5 },
  { name: 'rows', title: 'rows', few: 1_000 },
  { name: 'largeObjects', title: 'large objects', few: 100 },
]

export const totalsCheck: Check = {
  id: 'totals',
  title: 'Tables, rows and large objects are about as many as before',
  modes: ['smoke'],
  vouches: true,
  async run(context) {
    if (await context.named()) return ABOUT_ALL_TABLES
    const { totals } = context.head
    const summary = `${formatCount(totals.tables)} tables, ${formatCount(totals.rows)} rows, ${formatCount(totals.largeObjects)} large objects`
    const previous = await context.previous()
    if (!previous) return { status: 'not run', summary: `${summary}, and no backup before it`, findings: [] }
    const findings = COUNTED.flatMap((counted): Finding[] => {
      const { [counted.name]: before } = previous
      const { [counted.name]: now } = totals
      const severity = before === undefined ? undefined : severityOfChange(counted, before, now, context)
      if (before === undefined || severity === undefined) return []
      return [{ severity, ...describe(counted, before, now, previous.id) }]
    })
    return { summary, findings }
  },
}

function severityOfChange(
  { few }: Counted,
  before: number,
  now: number,
  bands: Parameters<typeof severityOf>[1],
): Finding['severity'] | undefined {
  const severity = severityOf(changeBetween(before, now), bands)
  // Nothing at all after something is an empty database, whose dump ends well.
  if (severity === undefined || (now === 0 && before > 0)) return severity
  return Math.abs(now - before) < few ? 'warning' : severity
}

function describe({ title }: Counted, before: number, now: number, previous: string): Omit<Finding, 'severity'> {
  const change = before === 0 ? '' : ` (${formatChange(changeBetween(before, now))})`
  return {
    message: `${formatCount(now)} ${title} instead of the ${formatCount(before)} of ${previous}${change}`,
    remedy:
      now < before
        ? 'If they were deleted on purpose, nothing; else compare the tables in both job summaries, see that `database-url` names the right database, and restore test the older set now.'
        : 'If they were loaded on purpose, nothing; else compare the tables in both job summaries.',
  }
}

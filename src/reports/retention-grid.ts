import { formatBytes } from '../base/units.ts'
import { code, words } from './escape.ts'
import { count, type Fact, formatMinute, type Grid } from './page.ts'
import type { RetentionReport } from './report.ts'

/** A run that may have applied retention. */
interface Retained {
  retention?: RetentionReport
}

/** What retention came to, in a line. */
export function retentionFacts({ retention }: Retained): Fact[] {
  if (retention === undefined || retention.sets.length === 0) return []
  const { mode, sets, freedBytes } = retention
  const gone = sets.filter(({ outcome }) => outcome === 'deleted' || outcome === 'would be deleted').length
  const left = count(sets.length - gone, 'backup')
  const freed = gone > 0 ? ` (${formatBytes(freedBytes)})` : ''
  return [
    [
      'Retention',
      mode === 'plan'
        ? words`a plan only: would keep ${left}, delete ${gone}${freed}`
        : words`keeps ${left}, deleted ${gone}${freed}`,
    ],
  ]
}

const PARTIAL = { whole: '', schema: ', schema only', data: ', data only', filtered: ', filtered' } as const

/** Every backup, what became of it, and why. */
export function retentionGrid({ retention }: Retained): Grid[] {
  if (retention === undefined || retention.sets.length === 0) return []
  const columns = [
    { title: 'Backup' },
    { title: 'Shows the moment' },
    { title: 'State' },
    { title: 'Stored', right: true },
    { title: 'Retention' },
    { title: 'Why' },
  ]
  const rows = retention.sets.map(({ id, takenAt, state, content, bytes, outcome, reasons }) => {
    const kind = content === undefined ? '' : PARTIAL[content]
    const stored = content === undefined ? '?' : formatBytes(bytes)
    return [
      words`${code(id)}`,
      words`${formatMinute(takenAt)}`,
      words`${state}${kind}`,
      words`${stored}`,
      words`${outcome}`,
      words`${reasons.join('; ')}`,
    ]
  })
  return [{ title: `Retention: ${describePolicy(retention)}`, folded: true, columns, rows }]
}

function describePolicy({ policy: { keepLast, keepDaily, keepWeekly, keepMonthly, keepPartial } }: RetentionReport) {
  const periods = [
    [keepDaily, 'daily'],
    [keepWeekly, 'weekly'],
    [keepMonthly, 'monthly'],
  ] as const
  const kept = periods.flatMap(([number, name]) => (number > 0 ? [`${number} ${name}`] : []))
  return [`last ${keepLast}`, ...kept, `${keepPartial} partial`].join(', ')
}

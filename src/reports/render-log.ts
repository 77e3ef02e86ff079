import type { CheckResult, CheckStatus } from '../base/findings.ts'
import { formatCount, formatDuration } from '../base/units.ts'
import { clip, plainText, prose } from './escape.ts'
import type { Opening } from './loss-budget.ts'
import { formatTime, type Grid, type Item, type Page } from './page.ts'

/** A log is searched rather than read: more of it than in the summary, but no screenfuls of equal tables. */
const MOST_ROWS = 200
/** What was is told of again by every run. */
const MOST_POINTS = 10
const LONGEST_LINE = 2_000

const SYMBOLS: Record<CheckStatus, string> = { passed: '✓', failed: '✗', unverified: '!', 'not run': '—' }

/** The page as lines of plain text. Whoever prints them keeps a runner from obeying them. */
export function renderPageLog(page: Page): string[] {
  const width = Math.max(...page.facts.map(([label]) => label.length)) + 1
  const lines = [
    `${SYMBOLS[page.verdict]} ${page.verdict.toUpperCase()}: ${plainText(page.headline)}`,
    ...renderOpening(page.opening),
    ...page.problems.flatMap((item) => renderItem(SYMBOLS[item.verdict], item)),
    ...page.warnings.flatMap((item) => renderItem('warning:', item)),
    ...page.notes.flatMap((item) => renderItem('note:', item)),
    ...page.facts.map(([label, value]) => `${`${label}:`.padEnd(width)} ${plainText(value)}`),
    ...page.checks.map(renderCheck),
    ...page.grids.flatMap((grid) => renderGrid(grid)),
    ...(page.trends ?? []).flatMap(({ grid }) => renderGrid(grid, MOST_POINTS)),
    `Started ${formatTime(page.startedAt)}, took ${formatDuration(page.seconds)}`,
  ]
  return lines.map((line) => clip(line, LONGEST_LINE))
}

function renderOpening(opening: Opening | undefined): string[] {
  if (opening === undefined) return []
  const { message, remedy } = opening
  return [plainText(message), ...(remedy ? [`  → ${plainText(remedy)}`] : [])]
}

function renderItem(symbol: string, { subject, message, remedy }: Item): string[] {
  const line = `${symbol} ${subject ? `${subject}: ` : ''}${plainText(message)}`
  return remedy ? [line, `  → ${plainText(remedy)}`] : [line]
}

function renderCheck({ status, title, summary, seconds }: CheckResult): string {
  const time = status === 'not run' ? '' : ` (${formatDuration(seconds)})`
  return `${SYMBOLS[status]} ${status}: ${title}: ${plainText(prose(summary))}${time}`
}

function renderGrid(grid: Grid, most = MOST_ROWS): string[] {
  const rows = grid.rows.slice(0, most).map((cells) => {
    const parts = cells.map(plainText).filter((part) => part !== '')
    return `  ${parts.join(' · ')}`
  })
  const rest = grid.rows.length - rows.length
  return [`${grid.title}:`, ...rows, ...(rest > 0 ? [`  … and ${formatCount(rest)} more`] : [])]
}

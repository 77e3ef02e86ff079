import type { CheckResult, CheckStatus, Verdict } from '../base/findings.ts'
import { formatCount, formatDuration } from '../base/units.ts'
import { clip, clipWords, escapeText, markdown, prose, type Words } from './escape.ts'
import type { Opening } from './loss-budget.ts'
import { count, type Fact, formatTime, type Grid, type Item, type Page } from './page.ts'
import { mermaidChart, type Trend } from './trends.ts'

/** A step may show 1 MiB; a page that a person reads, and twenty of them in a job, stay far below. */
const LARGEST_PAGE = 200_000

/** How much is shown at most: rows of a table, findings of a kind, characters of a text. */
interface Limits {
  rows: number
  items: number
  text: number
}

/** Tried in this order until the page is small enough. */
const LIMITS: readonly Limits[] = [
  { rows: 100, items: 25, text: 600 },
  { rows: 40, items: 10, text: 200 },
  { rows: 10, items: 5, text: 80 },
]

const TREND_ROWS = 10

const VERDICTS: Record<Verdict, string> = { passed: '✅ Passed', failed: '❌ Failed', unverified: '❓ Unverified' }

const STATUSES: Record<CheckStatus, string> = {
  passed: '✅ passed',
  failed: '❌ failed',
  unverified: '❓ unverified',
  'not run': '— not run',
}

/** The page as GitHub's Markdown, with as much as fits. */
export function renderPageMarkdown(page: Page): string {
  const pages = LIMITS.values().map((limits) => renderWithin(page, limits))
  return pages.find((text) => Buffer.byteLength(text) < LARGEST_PAGE) ?? `## ${VERDICTS[page.verdict]}\n`
}

function renderWithin(page: Page, limits: Limits): string {
  const blocks = [
    `## ${VERDICTS[page.verdict]}: ${render(page.headline, limits)}`,
    ...renderOpening(page.opening, limits),
    ...renderItems('What is wrong', page.problems, (item) => (item.verdict === 'failed' ? '❌' : '❓'), limits),
    ...renderItems('Warnings', page.warnings, () => '⚠️', limits),
    renderFacts(page.facts, limits),
    ...renderChecks(page.checks, limits),
    ...page.grids.map((grid) => renderGrid(grid, limits)),
    ...(page.trends ?? []).map((trend) => renderTrend(trend, limits)),
    ...renderNotes(page.notes, limits),
    renderFooter(page),
  ]
  return `${blocks.join('\n\n')}\n`
}

function render(sentence: Words, { text }: Limits): string {
  return markdown(clipWords(sentence, text))
}

function renderOpening(opening: Opening | undefined, limits: Limits): string[] {
  if (opening === undefined) return []
  const { message, remedy } = opening
  return [`${render(message, limits)}${remedy ? `<br>→ ${render(remedy, limits)}` : ''}`]
}

function renderItems(title: string, items: readonly Item[], symbol: (item: Item) => string, limits: Limits): string[] {
  if (items.length === 0) return []
  return [`### ${title}`, listItems(items, symbol, limits)]
}

function renderNotes(notes: readonly Item[], limits: Limits): string[] {
  if (notes.length === 0) return []
  return [
    fold(
      count(notes.length, 'note'),
      listItems(notes, () => 'ℹ️', limits),
    ),
  ]
}

function listItems(items: readonly Item[], symbol: (item: Item) => string, limits: Limits): string {
  const lines = items.slice(0, limits.items).map((item) => {
    const subject = item.subject ? `**${escapeText(clip(item.subject, limits.text)).trim()}**: ` : ''
    const remedy = item.remedy ? `<br>→ ${render(item.remedy, limits)}` : ''
    return `- ${symbol(item)} ${subject}${render(item.message, limits)}${remedy}`
  })
  if (items.length > limits.items) lines.push(`- … and ${formatCount(items.length - limits.items)} more, in the report`)
  return lines.join('\n')
}

/** The first fact is the table's head, which Markdown insists on. */
function renderFacts(facts: readonly Fact[], limits: Limits): string {
  const [head = '', ...rows] = facts.map(([label, value], index) => {
    const name = escapeText(label)
    return row([index === 0 ? name : `**${name}**`, render(value, limits)])
  })
  return [head, row(['---', '---']), ...rows].join('\n')
}

function renderChecks(checks: readonly CheckResult[], limits: Limits): string[] {
  if (checks.length === 0) return []
  const rows = checks
    .slice(0, limits.rows)
    .map((check) =>
      row([
        statusOf(check),
        escapeText(clip(check.title, limits.text)),
        render(prose(check.summary), limits),
        check.status === 'not run' ? '—' : formatDuration(check.seconds),
      ]),
    )
  const head = ['| Result | Check | What was found | Time |', '| --- | --- | --- | ---: |']
  return ['### Checks', withRest([...head, ...rows], checks.length - rows.length)]
}

function statusOf({ status, findings }: CheckResult): string {
  const warnings = findings.filter((finding) => finding.severity === 'warning').length
  return status === 'passed' && warnings > 0 ? `${STATUSES.passed}, ${count(warnings, 'warning')}` : STATUSES[status]
}

function renderGrid(grid: Grid, limits: Limits): string {
  const body = renderTable(grid, limits)
  return grid.folded ? fold(grid.title, body) : `### ${escapeText(grid.title)}\n\n${body}`
}

function renderTable(grid: Grid, limits: Limits): string {
  const shown = grid.rows.slice(0, limits.rows)
  const lines = [
    row(grid.columns.map((column) => escapeText(column.title))),
    row(grid.columns.map((column) => (column.right ? '---:' : '---'))),
    ...shown.map((cells) => row(cells.map((cell) => render(cell, limits)))),
  ]
  return withRest(lines, grid.rows.length - shown.length)
}

/** The newest rows, then the charts, which not every reader of Markdown draws, then the other rows. */
function renderTrend({ title, grid, charts }: Trend, limits: Limits): string {
  const newest = renderTable({ ...grid, rows: grid.rows.slice(0, TREND_ROWS) }, limits)
  const others = grid.rows.slice(TREND_ROWS)
  const drawn = charts.flatMap((chart) => mermaidChart(chart) ?? [])
  const blocks = [
    newest,
    ...drawn.map((text) => `\`\`\`mermaid\n${text}\n\`\`\``),
    ...(others.length > 0
      ? [fold(`${others.length} earlier ones`, renderTable({ ...grid, rows: others }, limits))]
      : []),
  ]
  return fold(title, blocks.join('\n\n'))
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

function withRest(lines: readonly string[], rest: number): string {
  return lines.join('\n') + (rest > 0 ? `\n\n… and ${formatCount(rest)} more, in the report` : '')
}

/** Markdown inside is only read as such after an empty line. */
function fold(title: string, body: string): string {
  return `<details>\n<summary>${escapeText(title)}</summary>\n\n${body}\n\n</details>`
}

function renderFooter({ startedAt, seconds, runUrl }: Page): string {
  const log = runUrl !== undefined && /^https?:\/\/[\w.:/-]+$/.test(runUrl) ? ` · [log of the run](${runUrl})` : ''
  return `Started ${escapeText(formatTime(startedAt))}, took ${formatDuration(seconds)}${log}`
}

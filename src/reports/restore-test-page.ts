import { formatBytes, formatCount, formatDuration } from '../base/units.ts'
import { code, type Words, words } from './escape.ts'
import {
  basePage,
  checkTitles,
  count,
  countChecks,
  type Fact,
  formatMinute,
  formatTime,
  type Grid,
  type Page,
  stageGrid,
  whereFacts,
} from './page.ts'
import type { RestoreTestReport, TableProof } from './report.ts'

/** What a restore test's report says; never where the kept database is, since that holds its password. */
export function restoreTestPage(report: RestoreTestReport): Page {
  return {
    ...basePage(report),
    headline: headline(report),
    facts: [...whereFacts(report), ...proofFacts(report), ...timeFacts(report)],
    grids: [...stageGrid(report.stages, formatDuration), ...tableGrids(report)],
  }
}

function headline(report: RestoreTestReport): Words {
  const { checks, error, verdict, tables, tablesProven, rtoSeconds } = report
  if (report.backupId === undefined) return words`no backup of ${code(report.database)} could be restored.`
  const time = rtoSeconds === undefined ? '' : ` in ${formatDuration(rtoSeconds)}`
  const whole = report.part === undefined
  const proven = whole
    ? words`${subject(report)} was restored and proven${time}: ${provenTables(report)}`
    : words`a part of ${subject(report)} was restored: ${provenTables(report)}; the rest was not looked at`
  if (verdict === 'passed') return words`${proven}.`
  const wrong = tables.filter((table) => table.status === 'different' || table.status === 'missing').length
  if (wrong > 0) {
    return words`${formatCount(wrong)} of ${count(countTables(tables), 'table')} of ${subject(report)} did not come back as dumped.`
  }
  if (error) return words`${subject(report)} is not proven, the restore test ended early.`
  const status = verdict === 'failed' ? 'failed' : 'unverified'
  const outcome = status === 'failed' ? 'failed' : 'could not be carried out'
  const number = `${countChecks(checks, status)} of ${count(countChecks(checks), 'check')}`
  const but = `${number} ${outcome}: ${checkTitles(checks, status)}.`
  return tablesProven > 0
    ? words`${whole ? '' : 'a part of '}${subject(report)} was restored with ${provenTables(report)}, but ${but}`
    : words`${subject(report)} is not proven, ${but}`
}

function subject({ database, takenAt }: RestoreTestReport): Words {
  return takenAt === undefined
    ? words`the backup of ${code(database)}`
    : words`${code(database)} as of ${formatMinute(takenAt)}`
}

function provenTables({ tables, tablesProven, rowsProven }: RestoreTestReport): string {
  const others = tables.filter((table) => table.status === 'not compared').length
  const rest = others > 0 ? ` (${formatCount(others)} not compared)` : ''
  return `${count(tablesProven, 'table')} with ${count(rowsProven, 'row')} equal to what was dumped${rest}`
}

function proofFacts({ takenAt, tables, tablesProven, rowsProven, server, part }: RestoreTestReport): Fact[] {
  const facts: Fact[] = []
  if (takenAt !== undefined) facts.push(['Shows the moment', words`${formatTime(takenAt)}`])
  if (part !== undefined)
    facts.push(['Restored', words`${formatCount(part.tables)} of ${count(part.of, 'table')} in the backup`])
  if (server?.host !== undefined) {
    facts.push(['Restored into', words`a new database on ${code(server.host)}, PostgreSQL ${server.version}`])
  } else if (server !== undefined) facts.push(['Restored into', words`a throw-away PostgreSQL ${server.version}`])
  if (tables.length > 0) {
    const of = `${formatCount(tablesProven)} of ${count(countTables(tables), 'table')}`
    facts.push(['Proven', words`${of}, ${count(rowsProven, 'row')}`])
  }
  return facts
}

function timeFacts(report: RestoreTestReport): Fact[] {
  const { rtoSeconds, rtoTarget, rpoSeconds, rpoTarget, restoreSeconds, part } = report
  const facts: Fact[] = []
  // How soon all of it is back, and how much would be lost, a part does not tell.
  if (part === undefined) {
    facts.push(['RTO (recovery time, measured in this rehearsal)', words`${againstTarget(rtoSeconds, rtoTarget)}`])
    facts.push(['RPO (age of the newest proven backup)', words`${againstTarget(rpoSeconds, rpoTarget)}`])
  }
  if (restoreSeconds !== undefined) facts.push(['Restore alone', words`${formatDuration(restoreSeconds)}`])
  return facts
}

function againstTarget(seconds: number | undefined, target: number): string {
  if (seconds === undefined) return `— not measured (target ${formatDuration(target)})`
  const met = seconds <= target ? '✅ within' : '❌ above'
  return `${formatDuration(seconds)}, ${met} the target of ${formatDuration(target)}`
}

const STATUS_WORDS: Record<TableProof['status'], string> = {
  equal: '✅ equal',
  different: '❌ different',
  missing: '❌ missing',
  'not compared': '— not compared',
}

const STATUS_ORDER: TableProof['status'][] = ['missing', 'different', 'not compared', 'equal']

/** What is not equal, worst first, in sight; all tables, largest first, folded. */
function tableGrids({ tables }: RestoreTestReport): Grid[] {
  const bySize = tables.toSorted((a, b) => b.bytes - a.bytes)
  const unequal = bySize
    .filter((table) => table.status !== 'equal')
    .toSorted((a, b) => STATUS_ORDER.indexOf(a.status) - STATUS_ORDER.indexOf(b.status))
  const grids = []
  if (unequal.length > 0)
    grids.push(tableGrid(`Tables that are not proven (${formatCount(unequal.length)})`, false, unequal))
  if (tables.length > 0)
    grids.push(tableGrid(`Every table, largest first (${formatCount(tables.length)})`, true, bySize))
  return grids
}

function tableGrid(title: string, folded: boolean, tables: readonly TableProof[]): Grid {
  const columns = [
    { title: 'Table' },
    { title: 'Rows', right: true },
    { title: 'Size', right: true },
    { title: 'Restored rows' },
    { title: 'Note' },
  ]
  const rows = tables.map((table) => [
    words`${code(table.table)}`,
    words`${formatCount(table.rows)}`,
    words`${formatBytes(table.bytes)}`,
    words`${STATUS_WORDS[table.status]}`,
    words`${table.note ?? ''}`,
  ])
  return { title, folded, columns, rows }
}

function countTables(tables: readonly TableProof[]): number {
  return tables.reduce((sum, { members = 1 }) => sum + members, 0)
}

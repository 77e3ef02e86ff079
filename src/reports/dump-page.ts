import { formatBytes, formatCount, formatDuration } from '../base/units.ts'
import { code, type Words, words } from './escape.ts'
import {
  basePage,
  checkTitles,
  count,
  type Fact,
  formatSizes,
  formatTime,
  type Grid,
  type Page,
  stageGrid,
  whereFacts,
} from './page.ts'
import type { DumpReport } from './report.ts'
import { retentionFacts, retentionGrid } from './retention-grid.ts'

/** What a dump's report says. */
export function dumpPage(report: DumpReport): Page {
  return {
    ...basePage(report),
    headline: headline(report),
    facts: [...whereFacts(report), ...backupFacts(report), ...sourceFacts(report), ...retentionFacts(report)],
    grids: [...stageGrid(report.stages, formatDuration), ...largestTables(report), ...retentionGrid(report)],
  }
}

function headline(report: DumpReport): Words {
  const database = code(report.database)
  if (report.backupId === undefined) return words`no backup of ${database} was written; earlier backups are untouched.`
  if (report.verdict === 'passed') return words`${subject(report)} is backed up${totals(report)}.`
  const unverified = report.verdict === 'unverified'
  const checks = checkTitles(report.checks, unverified ? 'unverified' : 'failed')
  const what = unverified ? 'not everything that is required could be checked' : 'something is wrong with the run'
  return words`${subject(report)} is backed up, but ${what}${checks === '' ? '' : `: ${checks}`}.`
}

function subject({ database, content, partial }: DumpReport): Words {
  if (content === 'schema') return words`the schema of ${code(database)}, without rows,`
  if (content === 'data') return words`the data of ${code(database)}, without the schema,`
  return partial === undefined ? words`${code(database)}` : words`a part of ${code(database)}`
}

function totals(report: DumpReport): string {
  if (report.totals === undefined) return ''
  const { tables, rows, storedBytes } = report.totals
  return `: ${count(tables, 'table')}, ${count(rows, 'row')}, ${formatBytes(storedBytes)} stored`
}

/** What a backup that does not exist would have been like helps nobody. */
function backupFacts(report: DumpReport): Fact[] {
  return report.backupId === undefined ? [] : [...contentFacts(report), ...keepingFacts(report)]
}

function contentFacts({ takenAt, content, partial, totals }: DumpReport): Fact[] {
  const facts: Fact[] = []
  if (takenAt !== undefined) facts.push(['Shows the moment', words`${formatTime(takenAt)}`])
  const contents = { all: 'everything', schema: 'the schema alone', data: 'the data alone' }[content]
  facts.push(['Content', partial === undefined ? words`${contents}` : words`partial: ${partial}`])
  if (totals === undefined) return facts
  const { tables, rows, largeObjects, plainBytes, storedBytes, parts } = totals
  const objects = largeObjects > 0 ? `, ${count(largeObjects, 'large object')}` : ''
  facts.push(['Holds', words`${count(tables, 'table')}, ${count(rows, 'row')}${objects}`])
  facts.push(['Size', words`${formatSizes(plainBytes, storedBytes)}, in ${count(parts, 'part')}`])
  return facts
}

function keepingFacts({ encryptedTo, signed, lockedUntil }: DumpReport): Fact[] {
  const encryption = encryptedTo > 0 ? `age, to ${count(encryptedTo, 'recipient')}` : 'none'
  const facts: Fact[] = [
    ['Encryption', words`${encryption}`],
    ['Signature', words`${signed ? 'Ed25519' : 'none'}`],
  ]
  if (lockedUntil !== undefined) facts.push(['Locked until', words`${formatTime(lockedUntil)}`])
  return facts
}

function sourceFacts({ server, tools, snapshotHeldSeconds, pausedSeconds }: DumpReport): Fact[] {
  const facts: Fact[] = []
  if (server) facts.push(['Server', words`PostgreSQL ${server.version} at ${code(server.host)}`])
  if (tools) facts.push(['Tools', words`PostgreSQL ${tools.version} from ${code(tools.origin)}`])
  if (snapshotHeldSeconds !== undefined) {
    const paused = pausedSeconds > 0 ? `paused for ${formatDuration(pausedSeconds)}` : 'never paused'
    facts.push([
      'Load on the server',
      words`snapshot and read locks held for ${formatDuration(snapshotHeldSeconds)}, ${paused}`,
    ])
  }
  return facts
}

function largestTables({ largest }: DumpReport): Grid[] {
  if (largest.length === 0) return []
  const columns = [{ title: 'Table' }, { title: 'Rows', right: true }, { title: 'Dumped', right: true }]
  const rows = largest.map((entry) => [
    words`${code(entry.table)}`,
    words`${formatCount(entry.rows)}`,
    words`${formatBytes(entry.plainBytes)}`,
  ])
  return [{ title: 'Largest tables', folded: true, columns, rows }]
}

import type { CheckResult } from '../base/findings.ts'
import { formatBytes, formatDuration } from '../base/units.ts'
import { code, prose, type Words, words } from './escape.ts'
import {
  basePage,
  checkTitles,
  count,
  countChecks,
  type Fact,
  formatMinute,
  formatSizes,
  formatTime,
  type Grid,
  type Page,
  whereFacts,
} from './page.ts'
import type { SetFacts, VerifyReport } from './report.ts'
import { retentionFacts, retentionGrid } from './retention-grid.ts'

/** What a verification's report says. */
export function verifyPage(report: VerifyReport): Page {
  return {
    ...basePage(report),
    headline: headline(report),
    facts: [
      ...whereFacts(report),
      ...runFacts(report),
      ...(report.set ? setFacts(report.set) : []),
      ...retentionFacts(report),
    ],
    grids: [...detailGrids(report.checks), ...retentionGrid(report)],
  }
}

function headline(report: VerifyReport): Words {
  const limitation = report.limitation === undefined ? [] : [' ', ...prose(report.limitation)]
  return [...words`${verdictSentence(report)}`, ...limitation]
}

function verdictSentence(report: VerifyReport): Words {
  const { checks, error, mode, verdict, backupId } = report
  const all = countChecks(checks)
  if (backupId === undefined) return words`no backup of ${code(report.database)} could be examined.`
  const backup = subject(report)
  if (verdict === 'passed') {
    const read = mode === 'smoke' && report.limitation === undefined ? '; its contents were not read' : ''
    return words`${backup} passed ${all === 1 ? 'the one' : `all ${all}`} ${mode} ${all === 1 ? 'check' : 'checks'}${read}.`
  }
  if (verdict === 'unverified') {
    const titles = checkTitles(checks, 'unverified')
    const which = titles === '' ? '' : `: ${titles}`
    return words`${backup} could not be verified, ${countChecks(checks, 'unverified')} of ${count(all, 'check')} could not be carried out${which}.`
  }
  const failed = countChecks(checks, 'failed')
  if (failed === 0) return words`the examination of ${backup} ${error ? 'ended early' : 'found something wrong'}.`
  return words`${backup} failed ${failed} of ${count(all, 'check')}: ${checkTitles(checks, 'failed')}.`
}

function subject({ database, set, backupAgeSeconds, state }: VerifyReport): Words {
  const age = backupAgeSeconds === undefined ? '' : `, ${formatDuration(backupAgeSeconds)} old,`
  const taken = set ? ` from ${formatMinute(set.takenAt)}` : ''
  return words`the ${state === 'damaged' ? 'damaged ' : ''}backup of ${code(database)}${taken}${age}`
}

function runFacts({ mode, slice, tables, server, state, backupAgeSeconds, bytesRead }: VerifyReport): Fact[] {
  const facts: Fact[] = [['Mode', words`${mode}${slice ? `, slice ${slice.number} of ${slice.of}` : ''}`]]
  if (tables) facts.push(['Only the tables', words`${code(tables.join(', '))}`])
  if (server) facts.push(['Held against', words`PostgreSQL ${server.version} at ${code(server.host)}`])
  if (state !== undefined) facts.push(['State', words`${state} (${STATES[state]})`])
  if (backupAgeSeconds !== undefined) facts.push(['Age', words`${formatDuration(backupAgeSeconds)}`])
  facts.push([
    'Read',
    words`${bytesRead > 0 ? `${formatBytes(bytesRead)} of stored parts` : 'no parts, only what describes them'}`,
  ])
  return facts
}

/** What checks have to show beyond their findings, a click away. */
function detailGrids(checks: readonly CheckResult[]): Grid[] {
  return checks.flatMap(({ details }) => {
    if (details === undefined) return []
    const { title, columns } = details
    const cellOf = (text: string, column: number) => (columns[column]?.code ? words`${code(text)}` : words`${text}`)
    const rows = details.rows.map((cells) => cells.map(cellOf))
    return [
      { title, folded: true, columns: columns.map(({ title, right }) => ({ title, ...(right && { right }) })), rows },
    ]
  })
}

const STATES: Record<NonNullable<VerifyReport['state']>, string> = {
  written: 'complete when it was written; no run has read every byte since',
  intact: 'every byte was read and is as it was written',
  proven: 'restored, and every row was compared',
  damaged: 'the last examination found it damaged',
}

function setFacts(set: SetFacts): Fact[] {
  const signature = {
    verified: 'made by the given key',
    'not checked': 'there is one, not checked: no `verify-key` was given',
    wrong: 'made by none of the given keys',
    none: 'none',
  }[set.signature]
  return [
    ['Shows the moment', words`${formatTime(set.takenAt)}`],
    ['Label', words`${code(set.label)}${set.whole ? '' : ', a partial backup'}`],
    ['Holds', words`${count(set.tables, 'table')}, ${count(set.rows, 'row')} of PostgreSQL ${set.serverVersion}`],
    ['Size', words`${formatSizes(set.plainBytes, set.storedBytes)}, in ${count(set.parts, 'part')}`],
    ['Encryption', words`${set.encrypted ? 'age' : 'none'}`],
    ['Signature', prose(signature)],
  ]
}

import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import { changeBetween, formatChange } from './change.ts'
import type { Check } from './check.ts'
import { type Beside, besideServer } from './database.ts'

/** The server estimates: a small table may be off by all of itself. */
const FEW = 1_000
const LISTED = 5
const SHOWN = 50

interface Grown {
  identity: string
  before: number
  now: number
}

export const rowGrowthCheck: Check = {
  id: 'row-growth',
  title: 'The database has about as many rows as the backup',
  modes: ['database'],
  run: besideServer((beside, { sizeChangeWarn }) => {
    const tables = estimates(beside)
    if (tables.length === 0) return { status: 'not run', summary: 'the server has no estimates yet', findings: [] }
    const sum = (of: (table: Grown) => number) => tables.reduce((total, table) => total + of(table), 0)
    const [before, now] = [sum((table) => table.before), sum((table) => table.now)]
    const change = changeBetween(before, now)
    const findings: Finding[] = []
    if (Math.abs(change) > sizeChangeWarn && Math.abs(now - before) >= FEW) {
      const message = `The database has about ${formatCount(now)} rows, the backup ${formatCount(before)} (${formatChange(change)})`
      findings.push({ severity: 'warning', message, remedy: now < before ? REMEDY : 'Take a new dump.' })
    }
    const emptied = tables.filter((table) => table.before >= FEW && table.now <= table.before / 100)
    for (const table of emptied.slice(0, LISTED)) {
      const message = `${table.identity} has about ${formatCount(table.now)} rows, of ${formatCount(table.before)} in the backup`
      findings.push({ severity: 'warning', message, remedy: REMEDY })
    }
    const summary = `about ${formatCount(now)} rows in ${formatCount(tables.length)} tables (${formatChange(change)})`
    return { summary, findings, details: detailsOf(tables) }
  }),
}

const REMEDY =
  'If they were deleted on purpose, nothing; else restore them from this backup before retention deletes it.'

/** Tables that both know, and that the server has counted since they came into being. */
function estimates({ contents, live, isAbout }: Beside): Grown[] {
  const now = new Map(live.inventory.tables.map((table) => [JSON.stringify([table.schema, table.name]), table]))
  return contents.tables.filter(isAbout).flatMap(({ schema, name, fingerprint }) => {
    const table = now.get(JSON.stringify([schema, name]))
    if (table === undefined || table.approximateRows < 0) return []
    return [{ identity: table.identity, before: fingerprint.rows, now: Math.round(table.approximateRows) }]
  })
}

function detailsOf(tables: readonly Grown[]) {
  const changed = tables
    .filter(({ before, now }) => Math.abs(now - before) >= FEW)
    .toSorted((a, b) => Math.abs(b.now - b.before) - Math.abs(a.now - a.before))
  if (changed.length === 0) return undefined
  return {
    title: 'Tables that grew or shrank most since the backup',
    columns: [
      { title: 'Table', code: true },
      { title: 'Rows in the backup', right: true },
      { title: 'Rows now (estimated)', right: true },
      { title: 'Change', right: true },
    ],
    rows: changed
      .slice(0, SHOWN)
      .map(({ identity, before, now }) => [
        identity,
        formatCount(before),
        formatCount(now),
        before === 0 ? 'new' : formatChange(changeBetween(before, now)),
      ]),
  }
}

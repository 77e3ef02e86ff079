import type { Finding } from '../base/findings.ts'
import { formatBytes, formatCount } from '../base/units.ts'
import { isDumped, type TableFacts } from '../postgres/inventory.ts'
import type { Check } from './check.ts'
import { type Beside, besideServer } from './database.ts'

const LISTED = 20

export const liveTablesCheck: Check = {
  id: 'live-tables',
  title: 'Every table of the database is in the backup',
  modes: ['database'],
  run: besideServer((beside) => {
    const { inventory, live, isAbout } = beside
    const now = live.inventory.tables.filter((table) => hasRows(table) && isAbout(table))
    const then = inventory.tables.filter((table) => hasRows(table) && isAbout(table))
    const known = new Set(then.map(keyOf))
    const there = new Set(now.map(keyOf))
    const findings = [
      ...then.flatMap((table) => lacking(table, beside)),
      ...now.filter((table) => !known.has(keyOf(table))).map((table) => unknown(table, beside)),
      ...then.filter((table) => !there.has(keyOf(table))).map(gone),
    ]
    const covered = now.filter((table) => known.has(keyOf(table))).length
    const summary = `${formatCount(covered)} of ${formatCount(now.length)} tables of the database`
    return { summary, findings: findings.slice(0, LISTED) }
  }),
}

function hasRows(table: TableFacts): boolean {
  return table.kind === 'r' && isDumped(table)
}

function keyOf({ schema, name }: { schema: string; name: string }): string {
  return JSON.stringify([schema, name])
}

/** A table that was there in the snapshot, and of which the set has no rows. */
function lacking(table: TableFacts, { contents }: Beside): Finding[] {
  const isIt = (one: { schema: string; name: string }) => keyOf(one) === keyOf(table)
  if (contents.tables.some(isIt)) return []
  const reason = contents.excluded.find(isIt)?.reason
  if (reason !== undefined) return [{ severity: 'note', message: `Not in the backup: ${table.identity} (${reason})` }]
  const message = `${table.identity} was there in the snapshot, and the backup has no rows of it`
  return [{ severity: 'failure', message, remedy: 'Restore from another set, and take a new dump.' }]
}

/** A table that the snapshot did not show. What was committed before the snapshot must have been seen by it. */
function unknown(table: TableFacts, { contents, live, sameCluster }: Beside): Finding {
  const written = live.tableWrites.get(table.oid)
  const { snapshotXmin } = contents
  const existed = sameCluster && written !== undefined && snapshotXmin !== undefined && written < BigInt(snapshotXmin)
  if (existed) {
    return {
      severity: 'failure',
      message: `${table.identity} was there before the snapshot, and the backup knows nothing of it`,
      remedy: 'The set was changed, or made by something else than pg-lifeboat: take a new dump, and use `verify-key`.',
    }
  }
  const empty = table.bytes === 0
  return {
    severity: empty ? 'note' : 'warning',
    message: `${table.identity} (${empty ? 'empty' : formatBytes(table.bytes)}) is in no backup yet: it was created, or got its name, after the snapshot`,
    ...(!empty && { remedy: 'Take a new dump if its rows matter.' }),
  }
}

function gone({ identity }: TableFacts): Finding {
  return {
    severity: 'warning',
    message: `${identity} is in the backup, and not in the database any more`,
    remedy:
      'If it was dropped or renamed on purpose, nothing; else restore it from this backup before retention deletes it.',
  }
}

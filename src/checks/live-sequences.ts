import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import type { SequenceFacts } from '../postgres/inventory.ts'
import type { Check } from './check.ts'
import { type Beside, besideServer } from './database.ts'

const LISTED = 10

/** Sequences only go on. One that stands before where the backup has it was set back, with the database or without. */
export const liveSequencesCheck: Check = {
  id: 'live-sequences',
  title: 'No sequence stands before where the backup has it',
  modes: ['database'],
  run: besideServer((beside) => {
    const pairs = pairsOf(beside)
    if (pairs.length === 0) return { status: 'not run', summary: 'none that both know', findings: [] }
    const behind = pairs.filter(({ before, now }) => isBehind(now, before))
    const findings = behind.slice(0, LISTED).map(
      ({ before, now }): Finding => ({
        severity: 'warning',
        message: `The sequence ${now.identity} stands at ${now.lastValue}, in the backup at ${before.lastValue}`,
        remedy:
          'Find out whether the database was restored from something older than this backup, or a sequence was set back: the next rows may get keys that were in use.',
      }),
    )
    return {
      summary: `${formatCount(pairs.length - behind.length)} of ${formatCount(pairs.length)} sequences`,
      findings,
    }
  }),
}

function pairsOf({ inventory, live, named }: Beside): { before: SequenceFacts; now: SequenceFacts }[] {
  const now = new Map(live.inventory.sequences.map((sequence) => [sequence.identity, sequence]))
  const owners = named && new Set(live.inventory.tables.filter(named.has).map(({ identity }) => identity))
  return inventory.sequences.flatMap((before) => {
    const sequence = now.get(before.identity)
    if (sequence?.lastValue == null || before.lastValue === null) return []
    // Of named tables, those that belong to them: `schema.table.column`.
    const owner = sequence.ownedBy?.replace(/\.(?:"(?:[^"]|"")+"|[^".]+)$/, '')
    return owners === undefined || (owner !== undefined && owners.has(owner)) ? [{ before, now: sequence }] : []
  })
}

function isBehind(now: SequenceFacts, before: SequenceFacts): boolean {
  // One that starts anew at its end, or goes the other way by now, says nothing.
  if (now.cycle || now.increment !== before.increment) return false
  const gone = BigInt(now.lastValue ?? 0) - BigInt(before.lastValue ?? 0)
  if (gone === 0n) return before.isCalled === true && now.isCalled === false
  return gone > 0n !== BigInt(now.increment) > 0n
}

import type { Contents } from '../backup-set/documents.ts'
import { allEnded } from '../base/concurrently.ts'
import { type CheckResult, type Finding, statusOf } from '../base/findings.ts'
import type { Clock } from '../base/ports.ts'
import { type Meter, silentMeter } from '../base/progress.ts'
import { formatBytes, formatCount } from '../base/units.ts'
import { type Database, withClient } from '../postgres/database.ts'
import type { OwnSetting } from '../postgres/database-settings.ts'
import {
  compareInventories,
  type Inventory,
  type InventoryDifference,
  readInventory,
  type SequenceFacts,
} from '../postgres/inventory.ts'
import { sequencesBehind } from '../postgres/sequence-standing.ts'
import { sequenceSets, type Toc } from '../postgres/toc.ts'
import { addFingerprints, sameFingerprint } from '../streams/fingerprint.ts'
import { foreignViews } from './foreign-views.ts'
import { readLargeObjects } from './large-objects.ts'
import type { RestoreError } from './pg-restore.ts'
import { proveTables, type TableProof } from './proof.ts'
import { errorFindings, errorSummary } from './refusals.ts'
import { judgedByRights, LEFT_OUT, withoutRights } from './rights.ts'
import type { RootRows } from './root-rows.ts'
import { type Scope, withinScope } from './scope.ts'
import { judgeSettings } from './settings-check.ts'

export interface ExamineOptions {
  contents: Contents
  toc: Toc
  rootRows: RootRows
  target: Database
  /** What of the set was restored; undefined: all of it. */
  scope?: Scope | undefined
  /** Whether owners and grants were left out (see `Place`). */
  restricted?: boolean
  errors: readonly RestoreError[]
  /** Settings of the database that the server does not take. */
  refusedSettings: readonly OwnSetting[]
  jobs: number
  clock: Clock
  signal: AbortSignal
  /** Told of the bytes that are read back. */
  meter?: Meter
}

export interface Examination {
  checks: CheckResult[]
  tables: TableProof[]
}

/** Findings of one kind beyond this are counted, not listed. */
const MAX_FINDINGS = 50

/** The proof: whether what stands in the scratch server is what the set says was dumped. */
export async function examine(options: ExamineOptions): Promise<Examination> {
  const {
    contents,
    toc,
    rootRows,
    target,
    scope,
    restricted = false,
    errors,
    jobs,
    signal,
    meter = silentMeter,
  } = options
  const inventory = contents.inventory as Inventory
  const timed = timer(options.clock)
  const dumped = [...contents.tables, contents.largeObjects].map(({ fingerprint }) => fingerprint)
  meter.expect(addFingerprints(...dumped).bytes, 'exactly')
  // No more connections at a time than pg_restore has: one besides its jobs.
  const [tables, { largeObjects, restored }] = await allEnded([
    timed(() => proveTables({ contents, inventory, toc, rootRows, target, jobs, signal, meter })),
    withClient(target, 'proof', async (client) => ({
      largeObjects: await timed(() => readLargeObjects(client, signal, meter)),
      restored: await timed(() => readInventory(client)),
    })),
  ])
  const checks = [
    result(
      'restore-errors',
      'The server took everything',
      0,
      errorFindings(errors, scope !== undefined),
      errorSummary(errors),
    ),
    result('tables', 'Every table holds the rows that were dumped', tables.seconds, ...judgeTables(tables.value)),
    largeObjectCheck(
      contents,
      largeObjects,
      scope === undefined ? 'the database has none' : 'only tables were asked for',
    ),
    result('sequences', 'Every sequence goes on where it stood', 0, ...judgeSequences(toc, restored.value, inventory)),
    result(
      'structure',
      'The schema is the schema that was dumped',
      restored.seconds,
      ...judgeStructure(inventory, restored.value, scope, restricted),
    ),
    settingsCheck(inventory, restored.value, options.refusedSettings),
  ]
  return { checks: restricted ? judgedByRights(checks, errors) : checks, tables: tables.value }
}

function result(id: string, title: string, seconds: number, findings: Finding[], summary: string): CheckResult {
  return { id, title, status: statusOf(findings), summary, findings: limited(findings), seconds }
}

function limited(findings: Finding[]): Finding[] {
  if (findings.length <= MAX_FINDINGS) return findings
  const more = findings.length - MAX_FINDINGS
  return [
    ...findings.slice(0, MAX_FINDINGS),
    { severity: 'note', message: `and ${formatCount(more)} more of this kind` },
  ]
}

function judgeTables(tables: readonly TableProof[]): [Finding[], string] {
  const wrong = tables.filter(({ status }) => status !== 'equal')
  const findings = wrong.map(
    ({ table, note = '' }): Finding => ({
      severity: 'failure',
      message: `${table}: ${note}`,
      remedy: 'See the errors of the restore for the cause; until it is mended, this table would not come back.',
    }),
  )
  const rows = tables.reduce((sum, table) => sum + (table.status === 'equal' ? table.rows : 0), 0)
  const all = countMembers(tables)
  return [
    findings,
    `${formatCount(all - countMembers(wrong))} of ${formatCount(all)} tables equal, ${formatCount(rows)} rows`,
  ]
}

function countMembers(tables: readonly TableProof[]): number {
  return tables.reduce((sum, { members }) => sum + members, 0)
}

function largeObjectCheck(
  { largeObjects: dumped }: Contents,
  { value: restored, seconds }: Timed<Awaited<ReturnType<typeof readLargeObjects>>>,
  none: string,
): CheckResult {
  const title = 'Every large object holds what was dumped'
  const equal = restored.count === dumped.count && sameFingerprint(restored.fingerprint, dumped.fingerprint)
  if (dumped.count === 0 && equal) {
    return { id: 'large-objects', title, status: 'not run', summary: none, findings: [], seconds }
  }
  const came = `${formatCount(restored.count)} of ${formatCount(dumped.count)} large objects, ${formatBytes(restored.fingerprint.bytes)}`
  const findings: Finding[] = equal
    ? []
    : [{ severity: 'failure', message: `${came}: not what was dumped`, remedy: 'See the errors of the restore.' }]
  return result('large-objects', title, seconds, findings, came)
}

function judgeSequences(toc: Toc, restored: Inventory, source: Inventory): [Finding[], string] {
  const after = new Map(
    restored.sequences.map((sequence) => [JSON.stringify([sequence.schema, sequence.name]), sequence]),
  )
  const dumped = sequenceSets(toc)
  const findings = dumped.flatMap(({ schema, name, lastValue, isCalled }): Finding[] => {
    const sequence = after.get(JSON.stringify([schema, name]))
    if (sequence && sequence.lastValue === lastValue && sequence.isCalled === isCalled) return []
    const now = sequence
      ? `stands at ${standing(sequence)}, not at ${standing({ lastValue, isCalled })}`
      : 'is not there'
    return [
      { severity: 'failure', message: `sequence ${schema}.${name} ${now}`, remedy: 'See the errors of the restore.' },
    ]
  })
  const behind = sequencesBehind(source, toc).map(
    ({ schema, name, dumped, before }): Finding => ({
      severity: 'failure',
      message: `sequence ${schema}.${name} was dumped at ${dumped}, and stood at ${before} before the dump`,
      remedy: 'If it was set back while the dump ran, dump again; else restore from another set.',
    }),
  )
  findings.push(...behind)
  return [findings, `${formatCount(dumped.length - findings.length)} of ${formatCount(dumped.length)} sequences`]
}

function standing({ lastValue, isCalled }: Pick<SequenceFacts, 'lastValue' | 'isCalled'>): string {
  return isCalled === false ? `${lastValue} (not called yet)` : `${lastValue}`
}

function judgeStructure(
  source: Inventory,
  restored: Inventory,
  scope: Scope | undefined,
  restricted: boolean,
): [Finding[], string] {
  const all = compareInventories(source, restored)
  const inScope = scope === undefined ? all : withinScope(all, source, scope)
  const differences = restricted ? withoutRights(inScope) : inScope
  const unfilled = new Set(foreignViews(source).values())
  const findings = differences.map((difference): Finding => {
    const message = describeDifference(difference)
    if (difference.fact === 'unpopulated' && unfilled.has(difference.identity)) {
      const reason = 'was not refreshed, for it shows tables of another server, and a rehearsal connects to none'
      return { severity: 'note', message: `${difference.kind} ${difference.identity} ${reason}` }
    }
    if (difference.expected) return { severity: 'note', message }
    return { severity: 'failure', message, remedy: 'See the errors of the restore for the cause.' }
  })
  const compared = (scope === undefined ? source : restored).objects.length
  return [
    [...findings, ...(scope?.notes ?? []), ...(restricted ? [LEFT_OUT] : [])],
    `${formatCount(compared)} objects compared, ${formatCount(differences.length)} differences`,
  ]
}

function describeDifference({ kind, identity, difference, fact, restored, expected }: InventoryDifference): string {
  if (difference === 'missing') return `${kind} ${identity} did not come back`
  if (difference === 'extra' && expected) return `${kind} ${identity} is there again, as in every new database`
  if (difference === 'extra') return `${kind} ${identity} came out of nowhere`
  if (fact === 'comment' && restored === undefined) return `${kind} ${identity} came back without its comment`
  return `${kind} ${identity} came back with another ${fact}`
}

function settingsCheck(source: Inventory, restored: Inventory, refused: readonly OwnSetting[]): CheckResult {
  const title = 'The settings of the database'
  const { findings, summary } = judgeSettings(source, restored, refused)
  if (summary !== undefined) return result('settings', title, 0, findings, summary)
  const none = 'the database has none of its own'
  return { id: 'settings', title, status: 'not run', summary: none, findings, seconds: 0 }
}

interface Timed<T> {
  value: T
  seconds: number
}

function timer(clock: Clock) {
  return async <T>(work: () => Promise<T>): Promise<Timed<T>> => {
    const began = clock.now().getTime()
    const value = await work()
    return { value, seconds: (clock.now().getTime() - began) / 1_000 }
  }
}

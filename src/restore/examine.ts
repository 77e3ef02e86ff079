import type { Contents } from '../backup-set/documents.ts'
import { type CheckResult, type Finding, statusOf } from '../base/findings.ts'
import type { Clock } from '../base/ports.ts'
import { type Meter, silentMeter } from '../base/progress.ts'
import { formatBytes, formatCount } from '../base/units.ts'
import type { Database } from '../postgres/database.ts'
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
import type { RootRows } from './root-rows.ts'

export interface ExamineOptions {
  contents: Contents
  toc: Toc
  rootRows: RootRows
  target: Database
  errors: readonly RestoreError[]
  refusedSettings: readonly string[]
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
  const { contents, toc, rootRows, target, errors, jobs, signal, meter = silentMeter } = options
  const inventory = contents.inventory as Inventory
  const timed = timer(options.clock)
  const dumped = [...contents.tables, contents.largeObjects].map(({ fingerprint }) => fingerprint)
  meter.expect(addFingerprints(...dumped).bytes, 'exactly')
  const tables = await timed(() => proveTables({ contents, inventory, toc, rootRows, target, jobs, signal, meter }))
  const largeObjects = await timed(() => withClient(target, (client) => readLargeObjects(client, signal, meter)))
  const restored = await timed(() => withClient(target, readInventory))
  const checks = [
    result('restore-errors', 'The server took everything', 0, errorFindings(errors), errorSummary(errors)),
    result('tables', 'Every table holds the rows that were dumped', tables.seconds, ...judgeTables(tables.value)),
    largeObjectCheck(contents, largeObjects),
    result('sequences', 'Every sequence goes on where it stood', 0, ...judgeSequences(toc, restored.value, inventory)),
    result(
      'structure',
      'The schema is the schema that was dumped',
      restored.seconds,
      ...judgeStructure(inventory, restored.value),
    ),
    result('settings', 'The settings of the database', 0, ...judgeSettings(contents, options.refusedSettings)),
  ]
  return { checks, tables: tables.value }
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

/** Known refusals, by the server's words, and what lies behind them. */
const CAUSES: readonly [RegExp, string][] = [
  [
    /^(relation|function|type|operator) .* does not exist|^schema .* does not exist/,
    'A function or constraint names it without its schema, and a restore runs with an empty search_path: qualify the name, or give the function SET search_path.',
  ],
  [
    /is not available|could not open extension control file/,
    'Install the extension on the server that is restored into.',
  ],
  [
    /must be superuser|permission denied/,
    'On a managed service this needs the service’s own way; restore as its highest role.',
  ],
  [
    /violates foreign key constraint/,
    'The dumped rows break the constraint: on production it is NOT VALID, or was broken with triggers disabled.',
  ],
  [
    /could not create unique index|violates (unique|check|not-null)/,
    'The dumped rows break the constraint: look for a damaged index or another collation on production (REINDEX, amcheck).',
  ],
  [/role .* does not exist/, 'The role is missing from the set’s roles: please report it.'],
]

/** Values that name something (regclass, aclitem, …), which is not there while rows are loaded, or not any more. */
const VALUE_CAUSES: readonly [RegExp, string][] = [
  [
    /^relation "[^"]+\.[^"]+" does not exist/,
    'A value (regclass) names an index, or something else that is only made after the rows: PostgreSQL itself cannot load it again. Keep such names as text.',
  ],
  [
    /^role "\d+" does not exist/,
    'A value (aclitem, regrole) names a role that was dropped: PostgreSQL itself cannot load it again. Find it on production by this number, and delete or replace it.',
  ],
  [
    /partition on another server$/,
    'It is partitioned by the hash of an enum, which differs from database to database: rows would be sent to the other server. PostgreSQL itself cannot load it again; partition by list, or detach the foreign table.',
  ],
  [
    /violates partition constraint/,
    'It is partitioned by the hash of a value that holds an OID (an array or range of an enum, a regclass), which differs from database to database: PostgreSQL itself cannot load it again; partition by list, or by the hash of its text.',
  ],
]

function errorFindings(errors: readonly RestoreError[]): Finding[] {
  return errors.map(({ stage, subject, message }) => {
    const causes = stage === 'rows' ? [...VALUE_CAUSES, ...CAUSES] : CAUSES
    return {
      severity: 'failure',
      message: `${subject} (${stage}): ${message}`,
      remedy:
        causes.find(([pattern]) => pattern.test(message))?.[1] ??
        'Mend the cause on production, dump again, and run this restore test again.',
    }
  })
}

function errorSummary(errors: readonly RestoreError[]): string {
  if (errors.length === 0) return 'no statement was refused'
  return errors.length === 1 ? '1 statement was refused' : `${formatCount(errors.length)} statements were refused`
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
): CheckResult {
  const title = 'Every large object holds what was dumped'
  const equal = restored.count === dumped.count && sameFingerprint(restored.fingerprint, dumped.fingerprint)
  if (dumped.count === 0 && equal) {
    return { id: 'large-objects', title, status: 'not run', summary: 'the database has none', findings: [], seconds }
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

function judgeStructure(source: Inventory, restored: Inventory): [Finding[], string] {
  const differences = compareInventories(source, restored)
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
  return [
    findings,
    `${formatCount(source.objects.length)} objects compared, ${formatCount(differences.length)} differences`,
  ]
}

function describeDifference({ kind, identity, difference, fact, restored, expected }: InventoryDifference): string {
  if (difference === 'missing') return `${kind} ${identity} did not come back`
  if (difference === 'extra' && expected) return `${kind} ${identity} is there again, as in every new database`
  if (difference === 'extra') return `${kind} ${identity} came out of nowhere`
  if (fact === 'comment' && restored === undefined) return `${kind} ${identity} came back without its comment`
  return `${kind} ${identity} came back with another ${fact}`
}

function judgeSettings(contents: Contents, refused: readonly string[]): [Finding[], string] {
  const count = contents.databaseFacts.settings.filter(({ role }) => role === null).length
  const findings = refused.map(
    (name): Finding => ({ severity: 'note', message: `the scratch server does not take the setting ${name}` }),
  )
  return [findings, count === 0 ? 'the database has none of its own' : `${count - refused.length} of ${count} taken`]
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

async function withClient<T>(
  target: Database,
  work: (client: Awaited<ReturnType<Database['connect']>>) => Promise<T>,
): Promise<T> {
  const client = await target.connect('proof')
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

import { rm } from 'node:fs/promises'
import { isDamage } from '../backup-set/damage.ts'
import { type Catalog, chooseSet } from '../backup-set/find.ts'
import { type CheckResult, verdictOf } from '../base/findings.ts'
import { systemClock } from '../base/ports.ts'
import { checksOf, runChecks } from '../checks/check.ts'
import type { CheckContext, Facts, Limits } from '../checks/context.ts'
import { factsAbout } from '../checks/facts.ts'
import { CHECKS } from '../checks/modes.ts'
import { runMain } from '../github/run-main.ts'
import type { Runner } from '../github/runner.ts'
import { type LiveDatabase, lookAtDatabase } from '../postgres/live-database.ts'
import type { VerifyReport } from '../reports/report.ts'
import type { Storage } from '../storage/storage.ts'
import { type AgeIdentity, parseIdentities } from '../streams/age.ts'
import { connect, readSettings } from './connection-inputs.ts'
import { describeSet } from './describe-set.ts'
import { openCatalog } from './find-backup.ts'
import { keepEvidence } from './keep-evidence.ts'
import { retainAfterVerify } from './retain-after-verify.ts'
import { openStorageOf, reporting, startReport } from './session.ts'
import { tellStanding } from './standing.ts'
import { looksAround, looksAtServer, readsParts, readVerifyInputs, type VerifyInputs } from './verify-inputs.ts'
import { watchWorkflows } from './watch-workflows.ts'

async function verify(runner: Runner, report: VerifyReport): Promise<void> {
  const inputs = await readVerifyInputs(runner, process.env)
  report.mode = inputs.mode
  if (inputs.slice) report.slice = inputs.slice
  if (inputs.tables.length > 0) report.tables = inputs.tables.map(({ text }) => text)
  const identities = inputs.identity === undefined ? [] : await parseIdentities(inputs.identity)
  const storage = await openStorageOf(runner, inputs, report)
  let catalog: Catalog | undefined
  try {
    catalog = await openCatalog(storage, inputs, report)
    await examine(runner, report, { inputs, identities, storage, catalog })
  } finally {
    await tellStanding(runner, report, inputs, async () => catalog)
    storage.close()
  }
}

/** What is examined, and with what. */
interface Subject {
  inputs: VerifyInputs
  identities: readonly AgeIdentity[]
  storage: Storage
  catalog: Catalog
}

async function examine(runner: Runner, report: VerifyReport, subject: Subject): Promise<void> {
  const { inputs, identities, catalog } = subject
  const context = await contextOf(runner, report, subject)
  const { head } = context
  await refuseUnknownTables(context)
  // Older backups are deleted for this one's sake: then what the quick look finds against it counts, too.
  const checks = checksOf(inputs.mode, CHECKS, { vouching: inputs.retention !== 'off' })
  report.checks = await runner.log.group(`Verify ${head.id} (${inputs.mode})`, () => runChecks(checks, context))
  report.verdict = verdictOf(report.checks)
  report.set = await describeSet(head, context.openSet)
  const set = await context.openSet().catch(() => undefined)
  const isClosed = identities.length === 0 && set?.encrypted !== false
  await limit(report, context, isClosed && set !== undefined)
  if (readsParts(inputs.mode) && inputs.tables.length === 0 && !(await isDisowned(context.openSet))) {
    await record(runner, report, context, { inputs, isClosed })
  }
  const examined = catalog.sets.find(({ id }) => id === head.id)
  if (examined) await retainAfterVerify(runner, subject.storage, report, { inputs, examined })
  report.state = await catalog.evidence.stateOf(head.id)
}

async function contextOf(runner: Runner, report: VerifyReport, subject: Subject): Promise<CheckContext> {
  const { inputs, identities, storage, catalog } = subject
  const { mode, backup, tables, slice, verifyKeys } = inputs
  const head = await chooseSet(storage, catalog, backup)
  report.backupId = head.id
  report.backupAgeSeconds = (systemClock.now().getTime() - new Date(head.takenAt).getTime()) / 1_000
  const { signal, log } = runner
  const about = { storage, catalog, head, ...(slice && { slice }) }
  const facts = factsAbout({
    ...about,
    identities,
    verifyKeys,
    tables,
    progress: (work) => runner.progress('Read the stored parts', work, inputs.stallTimeout, 'storage'),
    ...(looksAtServer(mode) && { live: () => lookAtServer(runner, report, inputs) }),
    ...(inputs.watchWorkflows.length > 0 && { workflows: () => watchWorkflows(runner, inputs) }),
    signal,
  })
  if (looksAround(mode)) begin(facts)
  return {
    ...about,
    newest: backup.kind === 'latest',
    looksAtServer: looksAtServer(mode),
    ...limitsOf(inputs),
    clock: systemClock,
    log,
    signal,
    ...facts,
  }
}

function limitsOf(inputs: VerifyInputs): Limits {
  const { maxAge, sizeChangeWarn, sizeChangeFail, maxRestoreTestAge, walLagWarn, walLagFail } = inputs
  const { acceptSource, require, storageQuota } = inputs
  const limits = { maxAge, sizeChangeWarn, sizeChangeFail, maxRestoreTestAge, walLagWarn, walLagFail, acceptSource }
  return { ...limits, required: new Set(require), ...(storageQuota !== undefined && { storageQuota }) }
}

/** What does not wait for anything else is asked for at once; whoever needs it hears what became of it. */
function begin({ openSet, stored, previous, posture, workflows }: Facts): void {
  for (const fact of [openSet, stored, previous, posture, workflows]) fact().catch(() => undefined)
}

async function lookAtServer(runner: Runner, report: VerifyReport, inputs: VerifyInputs): Promise<LiveDatabase> {
  const { settings } = await readSettings(runner, inputs)
  const database = await connect(runner, settings)
  try {
    report.server = { version: database.serverVersionText, host: database.label.replace(/^.*@/, '') }
    const { tables, walLagWarn: walLagSeconds } = inputs
    return await lookAtDatabase({ database, tables, walLagSeconds, clock: systemClock, signal: runner.signal })
  } finally {
    await database.close()
  }
}

/** A name that names nothing ends the run: nobody could tell what it was about. What else goes wrong the checks tell. */
async function refuseUnknownTables({ named }: Facts): Promise<void> {
  await named().catch((error: unknown) => {
    if ((error as { code?: unknown }).code === 'invalid-input') throw error
  })
}

/**
 * Whether the set is refused for the caller's keys alone. That fails the run, and says nothing of the set to others: a
 * forgotten key must not condemn one good set after the other.
 */
async function isDisowned(opened: Facts['openSet']): Promise<boolean> {
  const code = await opened().then(
    () => undefined,
    (error: unknown) => (error as { code?: unknown }).code,
  )
  return code === 'bad-signature' || code === 'unsigned-set'
}

/** What this run did not look at, for the headline. */
async function limit(report: VerifyReport, context: CheckContext, isClosed: boolean): Promise<void> {
  const { mode, slice, tables } = report
  const sentences: string[] = []
  if (readsParts(mode)) {
    const reading = await context.reading().catch(() => undefined)
    report.bytesRead = reading?.bytesRead ?? 0
    const unread = 'The backup is encrypted and no identity was given: its contents were not read.'
    if (isClosed && reading?.damage.length === 0) sentences.push(unread)
  } else if (mode === 'database' && isClosed) {
    sentences.push('The backup is encrypted and no identity was given: it was not compared with the database.')
  }
  if (slice) sentences.push(`This was slice ${slice.number} of ${slice.of}: what is in the others was not read.`)
  if (tables) sentences.push('Only the named tables were looked at: the state of the backup is what it was.')
  if (sentences.length > 0) report.limitation = sentences.join(' ')
}

/** Keeps what reading the stored bytes brought to light, beside the set. Without an identity it says nothing of what is inside. */
async function record(
  runner: Runner,
  report: VerifyReport,
  { storage, catalog, head, slice }: CheckContext,
  { inputs, isClosed }: { inputs: VerifyInputs; isClosed: boolean },
): Promise<void> {
  // Ages, sizes and the server say nothing of the set's bytes.
  const own = new Set(checksOf('integrity', CHECKS).map(({ id }) => id))
  const checks = report.checks
    .filter(({ id }) => own.has(id))
    // What an earlier check met, one that is not among these perhaps, kept from being looked at: nothing is known of it.
    .map((check): CheckResult => (check.blocked ? { ...check, status: 'unverified' } : check))
  const seconds = checks.reduce((sum, check) => sum + check.seconds, 0)
  // Evidence of one kind is overruled by later evidence of that kind: what this run could not pass it must not fail.
  const test = isClosed ? 'stored-bytes' : 'integrity'
  const found = { test, verdict: verdictOf(checks), seconds, checks, ...(slice && { slice }) } as const
  await keepEvidence(runner, report, { storage, catalog, head, inputs }, found)
}

await runMain('action-verify', {
  main: (runner) =>
    reporting(
      runner,
      { ...startReport(runner), kind: 'verify', mode: 'smoke', bytesRead: 0 } as VerifyReport,
      (report) => verify(runner, report),
      // There is no backup, or it is damaged: that is a result. Anything else kept us from looking.
      (error) => (isDamage(error) || (error as { code?: string }).code === 'no-set' ? 'failed' : 'unverified'),
    ),
  post: (runner) => rm(runner.temp, { recursive: true, force: true }),
})

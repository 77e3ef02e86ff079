import { rm } from 'node:fs/promises'
import { isDamage } from '../backup-set/damage.ts'
import type { Head } from '../backup-set/documents.ts'
import { type Catalog, chooseSet } from '../backup-set/find.ts'
import { parseSetId } from '../backup-set/layout.ts'
import { type OpenSet, openSet } from '../backup-set/open-set.ts'
import { verdictOf } from '../base/findings.ts'
import { systemClock } from '../base/ports.ts'
import { type CheckContext, runChecks } from '../checks/check.ts'
import { CHECKS } from '../checks/modes.ts'
import { type Reading, readEverything } from '../checks/reading.ts'
import { runMain } from '../github/run-main.ts'
import type { Runner } from '../github/runner.ts'
import type { SetFacts, VerifyReport } from '../reports/report.ts'
import type { Storage } from '../storage/storage.ts'
import { type AgeIdentity, parseIdentities } from '../streams/age.ts'
import { openCatalog } from './find-backup.ts'
import { type Keeping, keepEvidence } from './keep-evidence.ts'
import { openStorageOf, reporting, startReport } from './session.ts'
import { tellStanding } from './standing.ts'
import { readVerifyInputs, type VerifyInputs } from './verify-inputs.ts'

async function verify(runner: Runner, report: VerifyReport): Promise<void> {
  const inputs = await readVerifyInputs(runner, process.env)
  report.mode = inputs.mode
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
  identities: AgeIdentity[]
  storage: Storage
  catalog: Catalog
}

async function examine(runner: Runner, report: VerifyReport, subject: Subject): Promise<void> {
  const { inputs, identities, storage, catalog } = subject
  const head = await chooseSet(storage, catalog, inputs.backup)
  report.backupId = head.id
  report.backupAgeSeconds = (systemClock.now().getTime() - new Date(head.takenAt).getTime()) / 1_000
  const opened = once(() => openSet(storage, head, inputs.verifyKeys))
  const reading = once(() =>
    runner.progress('Read every byte', async (meter) =>
      readEverything(await opened(), identities, runner.signal, meter),
    ),
  )
  const context: CheckContext = {
    storage,
    catalog,
    head,
    newest: inputs.backup.kind === 'latest',
    state: await catalog.evidence.stateOf(head.id),
    identities,
    verifyKeys: inputs.verifyKeys,
    ...limitsOf(inputs),
    clock: systemClock,
    log: runner.log,
    signal: runner.signal,
    openSet: opened,
    reading,
  }
  report.checks = await runner.log.group(`Verify ${head.id} (${inputs.mode})`, () =>
    runChecks(CHECKS, inputs.mode, context),
  )
  report.verdict = verdictOf(report.checks)
  await describe(report, head, opened)
  if (inputs.mode === 'integrity' && !(await isDisowned(opened))) {
    const canOpen = identities.length > 0 || (await opened().catch(() => undefined))?.encrypted === false
    const kept = { storage, catalog, head, inputs }
    await record(runner, report, kept, { canOpen, reading: await reading().catch(() => undefined) })
  }
  report.state = await catalog.evidence.stateOf(head.id)
}

/**
 * Whether the set is refused for the caller's keys alone. That fails the run, and says nothing of the set to others: a
 * forgotten key must not condemn one good set after the other.
 */
async function isDisowned(opened: () => Promise<OpenSet>): Promise<boolean> {
  const code = await opened().then(
    () => undefined,
    (error: unknown) => (error as { code?: unknown }).code,
  )
  return code === 'bad-signature' || code === 'unsigned-set'
}

function limitsOf({ maxAge, sizeChangeWarn, sizeChangeFail, maxRestoreTestAge }: VerifyInputs) {
  return { maxAge, sizeChangeWarn, sizeChangeFail, maxRestoreTestAge }
}

async function describe(report: VerifyReport, head: Head, opened: () => Promise<OpenSet>): Promise<void> {
  let code: unknown
  const set = await opened().catch((error: unknown) => {
    code = (error as { code?: unknown }).code
    return undefined
  })
  const unopened = head.signature === null ? 'none' : code === 'bad-signature' ? 'wrong' : 'not checked'
  const signature = set === undefined ? unopened : SIGNATURES[set.signature]
  const { tables, rows, plainBytes, storedBytes, parts } = head.totals
  report.set = {
    takenAt: head.takenAt,
    label: parseSetId(head.id)?.label ?? '',
    whole: head.content === 'whole',
    serverVersion: set?.manifest.source.serverVersion ?? 'unknown',
    tables,
    rows,
    plainBytes,
    storedBytes,
    parts,
    encrypted: set?.encrypted ?? false,
    signature,
  }
}

const SIGNATURES: Record<OpenSet['signature'], SetFacts['signature']> = {
  checked: 'verified',
  unchecked: 'not checked',
  none: 'none',
}

/** Keeps what an integrity check found, beside the set. Without an identity it says nothing of what is inside. */
async function record(
  runner: Runner,
  report: VerifyReport,
  keeping: Keeping,
  { canOpen, reading }: { canOpen: boolean; reading: Reading | undefined },
): Promise<void> {
  report.bytesRead = reading?.bytesRead ?? 0
  const readInside = reading?.inside !== undefined
  if (!readInside && reading !== undefined && reading.damage.length === 0) {
    report.limitation = 'The backup is encrypted and no identity was given: its contents were not read.'
  }
  const { verdict, checks } = report
  const seconds = checks.reduce((sum, check) => sum + check.seconds, 0)
  // Evidence of one kind is overruled by later evidence of that kind: what this run could not pass it must not fail.
  const test = canOpen ? 'integrity' : 'stored-bytes'
  await keepEvidence(runner, report, keeping, { test, verdict, seconds, checks })
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined
  return () => {
    result ??= work()
    return result
  }
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

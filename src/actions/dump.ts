import type { KeyObject } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { type Catalog, readCatalog } from '../backup-set/find.ts'
import { lockFindings } from '../backup-set/retention-findings.ts'
import { publicKeyOf } from '../backup-set/signature.ts'
import { InputError } from '../base/errors.ts'
import { systemClock } from '../base/ports.ts'
import type { Meter } from '../base/progress.ts'
import { VERSION } from '../base/version.ts'
import { type DumpResult, dumpDatabase, setContent } from '../dump/dump.ts'
import { PreflightError } from '../dump/preflight.ts'
import { runMain } from '../github/run-main.ts'
import type { Runner } from '../github/runner.ts'
import type { ConnectionSettings } from '../postgres/connection.ts'
import type { Database } from '../postgres/database.ts'
import { findTools, type PostgresTools } from '../postgres/tools.ts'
import type { DumpReport } from '../reports/report.ts'
import type { Storage } from '../storage/storage.ts'
import { connect, readSettings } from './connection-inputs.ts'
import { type DumpInputs, readDumpInputs } from './dump-inputs.ts'
import { retain } from './retain.ts'
import { openStorageOf, type RunStage, reporting, stageRunner, startReport } from './session.ts'
import { tellStanding } from './standing.ts'

function emptyReport(runner: Runner): DumpReport {
  return {
    ...startReport(runner),
    kind: 'dump',
    label: '',
    content: 'all',
    largest: [],
    stages: [],
    encryptedTo: 0,
    signed: false,
    pausedSeconds: 0,
  }
}

async function dump(runner: Runner, report: DumpReport): Promise<void> {
  const inputs = await readDumpInputs(runner, availableParallelism(), process.env)
  announce(report, inputs)
  const storage = await openStorageOf(runner, inputs, report)
  let database: string | undefined
  try {
    const { settings, secrets } = await readSettings(runner, inputs)
    // Known from here on, whether the server answers or not: an alert is about a database.
    database = databaseName(inputs, settings)
    report.database = database
    const stage = stageRunner(runner, report.stages, systemClock)
    const source = await stage('connect', 'Connect', () => connect(runner, settings))
    try {
      report.server = { version: source.serverVersionText, host: source.label.replace(/^.*@/, '') }
      const { log, signal, temp } = runner
      const tools = await stage('tools', 'Client tools', () => clientTools(runner, source))
      report.tools = { version: tools.version, origin: tools.bin }
      const common = { storage, source, tools, temp, database, secrets, clock: systemClock, log, signal }
      const options = { ...common, lifeboatVersion: VERSION, stage, ...optionsOf(inputs) }
      describe(report, await dumpDatabase(options))
      await retainAfterDump(runner, storage, report, inputs, stage)
    } finally {
      await source.close()
    }
  } catch (error) {
    if (error instanceof PreflightError) report.findings.push(...error.findings)
    throw error
  } finally {
    await tellStanding(runner, report, inputs, async () =>
      database === undefined ? undefined : catalogOf(storage, database, inputs),
    )
    storage.close()
  }
}

/** What the set will be like, if there will be one. */
function announce(report: DumpReport, inputs: DumpInputs): void {
  Object.assign(report, { label: inputs.label, content: inputs.content, encryptedTo: inputs.recipients.length })
  const kind = setContent(inputs)
  if (kind !== 'whole') report.partial = PARTIAL[kind]
}

/** Whoever signs counts only evidence that is signed alike, as everybody will who is given the public half. */
function catalogOf(storage: Storage, database: string, inputs: DumpInputs): Promise<Catalog> {
  return readCatalog(storage, database, verifyKeysOf(inputs))
}

function verifyKeysOf({ signingKey }: DumpInputs): KeyObject[] {
  return signingKey === undefined ? [] : [publicKeyOf(signingKey)]
}

/** Now that the new set exists: whatever comes of it, the dump has passed. */
async function retainAfterDump(
  runner: Runner,
  storage: Storage,
  report: DumpReport,
  inputs: DumpInputs,
  stage: RunStage,
): Promise<void> {
  const { retention: mode, policy, lockDays } = inputs
  if (mode === 'off') return
  const written = report.backupId === undefined ? {} : { written: report.backupId }
  const retaining = { mode, policy, verifyKeys: verifyKeysOf(inputs), ...written }
  const work = (meter: Meter) => retain(runner, storage, report, retaining, meter)
  report.findings.push(...(await stage('retention', 'Retention', work, 'storage')))
  // Once locks keep something, that is told with the facts.
  const isRetaining = report.retention?.sets.some(({ outcome }) => outcome === 'retained')
  if (!isRetaining) report.findings.push(...lockFindings(policy, lockDays))
}

function clientTools({ log, signal, context }: Runner, { serverMajor: major }: Database): Promise<PostgresTools> {
  const packageCache = !context.isPullRequest
  return findTools({ major, need: 'client', env: process.env, log, signal, install: true, packageCache })
}

/** What the user calls the database; by default the name that the server knows it by. */
function databaseName(inputs: DumpInputs, settings: ConnectionSettings): string {
  const name = inputs.database ?? settings.database
  if (/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/.test(name)) return name
  const problem = 'is missing, and the name that the server knows the database by cannot be the name of a folder'
  const accepted = 'letters, digits and . _ - (at most 100, the first no . or -), such as shop-production'
  throw new InputError([{ input: 'database', problem, accepted }])
}

function optionsOf(inputs: DumpInputs) {
  const { label, jobs, compressionLevel, recipients, signingKey, lockDays, storageClass } = inputs
  const { content, tables, excludeTables, excludeTableData } = inputs
  return {
    label,
    jobs,
    compressionLevel,
    recipients,
    selection: { content, tables, excludeTables, excludeTableData },
    spoolLimitBytes: inputs.spoolLimit,
    maxPauseSeconds: inputs.maxPause,
    lockWaitSeconds: inputs.lockWaitTimeout,
    ...(signingKey !== undefined && { signingKey }),
    ...(lockDays !== undefined && { lockDays }),
    ...(storageClass !== undefined && { storageClass }),
  }
}

const PARTIAL = {
  schema: 'it holds the schema without rows',
  data: 'it holds rows without their schema',
  filtered: 'the inputs `tables`, `exclude-tables` or `exclude-table-data` leave something out',
} as const

function describe(report: DumpReport, result: DumpResult): void {
  const { head, contents, snapshotHeldSeconds, pausedSeconds, findings } = result
  report.verdict = 'passed'
  report.backupId = head.id
  report.takenAt = head.takenAt
  report.totals = head.totals
  report.signed = head.signature !== null
  report.snapshotHeldSeconds = snapshotHeldSeconds
  report.pausedSeconds = pausedSeconds
  report.findings.push(...findings)
  if (head.lockUntil !== undefined) report.lockedUntil = head.lockUntil
  report.largest = contents.tables
    .map(({ schema, name, fingerprint }) => ({
      table: `${schema}.${name}`,
      rows: fingerprint.rows,
      plainBytes: fingerprint.bytes,
    }))
    .sort((a, b) => b.plainBytes - a.plainBytes)
    .slice(0, 10)
}

await runMain('action-dump', {
  main: (runner) => reporting(runner, emptyReport(runner), (report) => dump(runner, report)),
  post: (runner) => rm(runner.temp, { recursive: true, force: true }),
})

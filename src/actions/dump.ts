import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { InputError } from '../base/errors.ts'
import { systemClock } from '../base/ports.ts'
import { VERSION } from '../base/version.ts'
import { type DumpResult, dumpDatabase, setContent } from '../dump/dump.ts'
import { PreflightError } from '../dump/preflight.ts'
import { runMain } from '../github/run-main.ts'
import type { Runner } from '../github/runner.ts'
import { type Database, openDatabase } from '../postgres/database.ts'
import { findTools } from '../postgres/tools.ts'
import type { DumpReport } from '../reports/report.ts'
import { parseRecipients } from '../streams/age.ts'
import { connectionOf } from './connection-inputs.ts'
import { type DumpInputs, readDumpInputs } from './dump-inputs.ts'
import { openStorageOf, reporting, stageRunner, startReport } from './session.ts'

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
  const inputs = readDumpInputs(runner, availableParallelism(), process.env)
  const { log, signal, temp } = runner
  const stage = stageRunner(runner, report.stages, systemClock)
  Object.assign(report, { label: inputs.label, content: inputs.content, encryptedTo: inputs.recipients.length })
  // Checked before anything is connected to: a typo in a recipient must not cost a night.
  const recipients = await parseRecipients(inputs.recipients.join('\n'))
  const storage = await openStorageOf(runner, inputs, report)
  const { source, secrets } = await stage('connect', 'Connect', () => connect(runner, inputs))
  try {
    report.database = databaseName(inputs, source)
    report.server = { version: source.serverVersionText, host: source.label.replace(/^.*@/, '') }
    const tools = await stage('tools', 'Client tools', () => {
      const packageCache = !runner.context.isPullRequest
      return findTools({
        major: source.serverMajor,
        need: 'client',
        env: process.env,
        log,
        signal,
        install: true,
        packageCache,
      })
    })
    report.tools = { version: tools.version, origin: tools.bin }
    const result = await dumpDatabase({
      storage,
      source,
      tools,
      temp,
      database: report.database,
      recipients,
      lifeboatVersion: VERSION,
      secrets,
      clock: systemClock,
      log,
      signal,
      stage,
      ...optionsOf(inputs),
    })
    describe(report, inputs, result)
  } catch (error) {
    if (error instanceof PreflightError) report.findings.push(...error.findings)
    throw error
  } finally {
    await source.close()
    storage.close()
  }
}

async function connect(runner: Runner, inputs: DumpInputs): Promise<{ source: Database; secrets: string[] }> {
  const { settings, secrets } = await connectionOf(runner, inputs, 'database-url')
  const { temp, log, signal } = runner
  return { source: await openDatabase(settings, { temp, log, env: process.env, signal }), secrets }
}

/** What the user calls the database; by default the name that the server knows it by. */
function databaseName(inputs: DumpInputs, source: Database): string {
  const name = inputs.database ?? source.settings.database
  if (/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/.test(name)) return name
  const problem = 'is missing, and the name that the server knows the database by cannot be the name of a folder'
  const accepted = 'letters, digits and . _ - (at most 100, the first no . or -), such as shop-production'
  throw new InputError([{ input: 'database', problem, accepted }])
}

function optionsOf(inputs: DumpInputs) {
  const { label, jobs, compressionLevel, signingKey, lockDays, storageClass } = inputs
  const { content, tables, excludeTables, excludeTableData } = inputs
  return {
    label,
    jobs,
    compressionLevel,
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

function describe(report: DumpReport, inputs: DumpInputs, result: DumpResult): void {
  const { head, contents, snapshotHeldSeconds, pausedSeconds, findings } = result
  const kind = setContent(inputs)
  report.verdict = 'passed'
  report.backupId = head.id
  report.takenAt = head.takenAt
  report.totals = head.totals
  report.signed = head.signature !== null
  report.snapshotHeldSeconds = snapshotHeldSeconds
  report.pausedSeconds = pausedSeconds
  report.findings.push(...findings)
  if (head.lockUntil !== undefined) report.lockedUntil = head.lockUntil
  if (kind !== 'whole') report.partial = PARTIAL[kind]
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

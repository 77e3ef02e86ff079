import { join } from 'node:path'
import { expect } from '@jest/globals'
import type { StepResult } from '../../scripts/lib/local-runner.ts'
import type { CheckResult } from '../../src/base/findings.ts'
import type { DumpReport, RestoreTestReport, VerifyReport } from '../../src/reports/report.ts'
import { fetchSet, Guided } from '../e2e/guide.ts'
import { expectSame } from '../e2e/same-database.ts'
import { expectExit, type Lab, reportOf, type TestStorage } from '../e2e/support.ts'
import type { TestServer } from '../support/postgres.ts'
import { CANARIES } from './support.ts'

/** The folder that holds the actions' folders; by default the bundled ones of this repository. */
const ACTIONS = process.env.LIFEBOAT_TEST_ACTIONS ?? ''

export interface Trip {
  lab: Lab
  source: TestServer
  database: string
  storage: TestStorage
  keys?: { recipient: string; identity: string }
}

export interface Travelled {
  dump: { step: StepResult; report: DumpReport }
  verify: { step: StepResult; report: VerifyReport }
  restore: { step: StepResult; report: RestoreTestReport }
}

/** Dump, verify, restore test, in one job, whatever they come to; nothing may be left running. The dump must succeed. */
export async function travel({ lab, source, database, storage, keys }: Trip): Promise<Travelled> {
  for (const canary of CANARIES) lab.secrets.add(canary)
  const job = await lab.job(storage)
  const run = async <R>(action: string, inputs: Record<string, string>, more: Record<string, string> = {}) => {
    const all = { ...storage.inputs, ...inputs, ...more }
    const step = await job.run({ action: join(ACTIONS, action), inputs: all })
    return { step, report: await reportOf<R>(step) }
  }
  const from = { 'database-url': source.url(database), database: 'gauntlet' }
  const dump = await run<DumpReport>('action-dump', from, keys && { recipients: keys.recipient })
  expectExit(dump.step, 0)
  const identity = keys && { identity: keys.identity }
  const verify = await run<VerifyReport>('action-verify', { mode: 'integrity' }, identity)
  const restore = await run<RestoreTestReport>('action-restore-test', {}, identity)
  const { orphans } = await job.finish()
  expect(orphans).toEqual([])
  return { dump, verify, restore }
}

/** A dump that need not succeed. */
export async function dumpOnly({ lab, source, database, storage }: Trip): Promise<StepResult> {
  const job = await lab.job(storage)
  const inputs = { ...storage.inputs, 'database-url': source.url(database), database: 'gauntlet' }
  const step = await job.run({ action: join(ACTIONS, 'action-dump'), inputs })
  await job.finish()
  return step
}

/** The checks that a healthy set must have passed: `not run` is green as well. */
const EXAMINED = ['manifest', 'parts', 'stored-bytes', 'contents', 'rows']
const PROVEN = ['restore-errors', 'tables', 'sequences', 'structure']
/** What there has to be of it for a check to be carried out. */
const ASKED = {
  'large-objects': 'select exists (select from pg_largeobject_metadata)',
  settings:
    'select exists (select from pg_db_role_setting where setdatabase = (select oid from pg_database where datname = current_database()))',
}

function passedOf({ checks }: { checks: readonly CheckResult[] }): string[] {
  return checks.filter(({ status }) => status === 'passed').map(({ id }) => id)
}

/** The same, all green: every table proven, and no finding that is more than a note. Resolves with the set's id. */
export async function roundTrip(trip: Trip): Promise<string> {
  const { source, database } = trip
  const { dump, verify, restore } = await travel(trip)
  for (const { step, report } of [verify, restore]) {
    const wrong = report.checks.filter(({ status }) => status !== 'passed' && status !== 'not run')
    expect(wrong).toEqual([])
    expectExit(step, 0)
  }
  expect(passedOf(verify.report)).toEqual(expect.arrayContaining(EXAMINED))
  const present: string[] = []
  for (const [id, sql] of Object.entries(ASKED)) if ((await source.psql(database, sql)) === 't') present.push(id)
  expect(passedOf(restore.report)).toEqual(expect.arrayContaining([...PROVEN, ...present]))
  const findings = [dump, verify, restore].flatMap(({ report }) => report.findings)
  expect(findings.filter(({ severity }) => severity !== 'note')).toEqual([])
  expect(restore.report.tables.filter(({ status }) => status !== 'equal')).toEqual([])
  expect(restore.report.tablesProven).toBe(dump.report.totals?.tables)
  expect(restore.report.rowsProven).toBe(dump.report.totals?.rows)
  return dump.step.outputs['backup-id'] ?? ''
}

export interface ByHand extends Trip {
  /** Of the set. */
  id: string
  identityFile?: string | undefined
}

/** RESTORE.md, to the letter, into a server that knows nothing of us; psql finds the same there as on the source. */
export async function restoreByHand({ lab, source, database, storage, id, identityFile }: ByHand): Promise<void> {
  const target = await lab.server(source.major, 'target')
  const folder = await fetchSet(lab, storage, `gauntlet/sets/${id}/`)
  const guided = new Guided(folder, { lab, target, database, identityFile })
  for (const { code, stderr } of [await guided.createDatabase(), await guided.restore()]) {
    // The server's own warnings are of settings that name what this server does not have: a tablespace.
    expect([code, stderr.replaceAll(/^(?:WARNING|DETAIL): .*\n/gm, '')]).toEqual([0, ''])
  }
  await expectSame(source, target, database)
}

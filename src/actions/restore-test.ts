import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { isDamage } from '../backup-set/damage.ts'
import type { Contents } from '../backup-set/documents.ts'
import { type Catalog, chooseSet, newestProven } from '../backup-set/find.ts'
import { rehearsalsBefore } from '../backup-set/history.ts'
import { type OpenSet, openSet, readContents } from '../backup-set/open-set.ts'
import { LifeboatError } from '../base/errors.ts'
import { type CheckResult, type Verdict, verdictOf } from '../base/findings.ts'
import { systemClock } from '../base/ports.ts'
import { runMain } from '../github/run-main.ts'
import type { Runner } from '../github/runner.ts'
import type { PostgresTools } from '../postgres/tools.ts'
import type { RestoreTestReport } from '../reports/report.ts'
import { type Examination, examine } from '../restore/examine.ts'
import { restoreSet } from '../restore/restore.ts'
import { checkTargets, targetsOfPart } from '../restore/targets.ts'
import { runAssertions, runUserCommand } from '../restore/user-checks.ts'
import type { Storage } from '../storage/storage.ts'
import { type AgeIdentity, parseIdentities } from '../streams/age.ts'
import { openCatalog } from './find-backup.ts'
import { keepEvidence } from './keep-evidence.ts'
import { openRestoreTarget, type RestoreTarget, removeRestoreTarget } from './restore-target.ts'
import { type RestoreTestInputs, readRestoreTestInputs } from './restore-test-inputs.ts'
import { runSelfTest } from './self-test.ts'
import { openStorageOf, type RunStage, reporting, stageRunner, startReport } from './session.ts'
import { tellStanding } from './standing.ts'

/** What is wrong with the set is a result; anything else kept it from being tested. */
function verdictOn(error: unknown): Verdict {
  const code = (error as { code?: unknown }).code
  return isDamage(error) || code === 'no-set' ? 'failed' : 'unverified'
}

/** The set under test, opened. */
interface Subject {
  inputs: RestoreTestInputs
  storage: Storage
  catalog: Catalog
  set: OpenSet
  contents: Contents
  identities: AgeIdentity[]
}

class RestoreTest {
  readonly report: RestoreTestReport
  readonly #runner: Runner
  readonly #stage: RunStage
  readonly #began = systemClock.now().getTime()
  #catalog: Catalog | undefined

  constructor(runner: Runner) {
    this.#runner = runner
    this.report = {
      ...startReport(runner),
      kind: 'restore-test',
      rtoTarget: 0,
      rpoTarget: 0,
      stages: [],
      tablesProven: 0,
      rowsProven: 0,
      tables: [],
    }
    this.#stage = stageRunner(runner, this.report.stages, systemClock)
  }

  async run(): Promise<void> {
    const inputs = await readRestoreTestInputs(this.#runner, availableParallelism(), process.env)
    Object.assign(this.report, { rtoTarget: inputs.rtoTarget, rpoTarget: inputs.rpoTarget })
    const storage = await openStorageOf(this.#runner, inputs, this.report)
    try {
      const subject = await this.#stage('choose', 'Choose and open the set', () => this.#open(storage, inputs))
      await this.#test(subject)
    } finally {
      await tellStanding(this.#runner, this.report, inputs, async () => this.#catalog)
      storage.close()
    }
  }

  async #open(storage: Storage, inputs: RestoreTestInputs): Promise<Subject> {
    const identities = inputs.identity === undefined ? [] : await parseIdentities(inputs.identity)
    const catalog = await openCatalog(storage, inputs, this.report)
    this.#catalog = catalog
    const head = await chooseSet(storage, catalog, inputs.backup)
    this.report.backupId = head.id
    if (head.content !== 'whole') {
      throw new LifeboatError(
        'partial-set',
        `The set ${head.id} is partial (${head.content}): it cannot bring a database back by itself`,
        'Give the id of a whole set as `backup`, or `latest`.',
      )
    }
    this.report.takenAt = head.takenAt
    // Before any PostgreSQL tool reads a byte: a crafted archive can run code in pg_restore.
    const set = await openSet(storage, head, inputs.verifyKeys)
    const opened = { inputs, storage, catalog, set, identities }
    const contents = await this.#judging(opened, () => readContents(set, identities, this.#runner.signal))
    this.#runner.log.info(`set ${head.id}`)
    return { ...opened, contents }
  }

  async #test(subject: Subject): Promise<void> {
    const { report } = this
    const target = await openRestoreTarget(this.#runner, this.#stage, subject.set.manifest, subject.inputs)
    report.server = target.server
    report.findings.push(...target.findings)
    try {
      const { url, proven } = await this.#judging(subject, () => this.#restore(subject, target))
      const kept = subject.inputs.keepRunning
      if (kept) {
        this.#runner.mask(url)
        report.databaseUrl = url
      }
      await this.#conclude(subject, { proven, target })
      if (kept) await target.keep()
    } finally {
      if (report.databaseUrl === undefined || this.#runner.signal.aborted) {
        report.findings.push(...(await target.remove()))
      }
    }
  }

  /** Restores, proves, and asks what the user wants to be asked. `proven`: the checks that speak of the set itself. */
  async #restore(
    { inputs, set, contents: all, identities }: Subject,
    { place, tools, cluster }: RestoreTarget,
  ): Promise<{ url: string; proven: CheckResult[] }> {
    const { report } = this
    const { temp, log, signal } = this.#runner
    const { jobs, tables: patterns, command } = inputs
    const stage = this.#stage
    const began = systemClock.now().getTime()
    const work = { set, contents: all, patterns, identities, place, tools, temp, jobs, log, signal, stage }
    const { target, ...restored } = await restoreSet(work)
    report.restoreSeconds = (systemClock.now().getTime() - began) / 1_000
    const clock = systemClock
    const { restricted } = place
    const examination = await stage('proof', 'Proof', (meter) =>
      examine({ ...restored, target, restricted, jobs, clock, signal, meter }),
    )
    if (restored.scope === undefined) report.rtoSeconds = (clock.now().getTime() - this.#began) / 1_000
    else report.part = { tables: restored.contents.tables.length, of: all.tables.length }
    this.#noteTables(examination)
    const url = place.url(target.settings.database)
    const proven = [signatureCheck(set), ...upgradeCheck(set, tools, examination), ...examination.checks]
    const { selfTest: asked } = inputs
    const { contents, toc } = restored
    report.checks.push(
      ...proven,
      await runSelfTest({ asked, proven, set, contents, toc, identities, cluster, clock, signal, stage }),
      await stage('assertions', 'Assertions', () => runAssertions(target, inputs.assertions, clock)),
      await runUserCommand(
        command === undefined ? undefined : { command, url, target, env: process.env, clock, log, signal },
      ),
    )
    return { url, proven }
  }

  #noteTables({ tables }: Examination): void {
    const { report } = this
    const equal = tables.filter(({ status }) => status === 'equal')
    report.tables = tables
    report.tablesProven = equal.reduce((sum, { members }) => sum + members, 0)
    report.rowsProven = equal.reduce((sum, { rows }) => sum + rows, 0)
  }

  async #conclude(
    subject: Subject,
    { proven, target }: { proven: readonly CheckResult[]; target: RestoreTarget },
  ): Promise<void> {
    const { report } = this
    const verdict = verdictOf(proven)
    if (report.part === undefined) {
      // A newer major or a server of the user's may refuse what the source's own takes: that is red, but no damage.
      const evidence = verdict === 'failed' && !target.isOwnGround ? 'unverified' : verdict
      const rpoSeconds = await rpoOf(subject, evidence)
      if (rpoSeconds !== undefined) report.rpoSeconds = rpoSeconds
      const { rtoTarget, rpoTarget } = subject.inputs
      report.checks.push(...checkTargets({ rtoSeconds: report.rtoSeconds ?? 0, rtoTarget, rpoSeconds, rpoTarget }))
      await this.#record(subject, evidence, proven)
    } else report.checks.push(...targetsOfPart())
    report.verdict = verdictOf(report.checks)
  }

  /** Damage that ends the test is evidence too: the set must not be chosen again. */
  async #judging<T>(subject: Omit<Subject, 'contents'>, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      const check = { id: 'restore', title: 'The set can be restored', findings: [], seconds: 0 }
      if (isDamage(error)) {
        await this.#record(subject, 'failed', [{ ...check, status: 'failed', summary: 'the set is damaged' }])
      }
      throw error
    }
  }

  async #record(
    { inputs, storage, catalog, set: { head } }: Omit<Subject, 'contents'>,
    verdict: Verdict,
    proven: readonly CheckResult[],
  ): Promise<void> {
    const { rowsProven, rtoSeconds, rpoSeconds, restoreSeconds } = this.report
    const before = verdict === 'passed' ? await rehearsalsBefore(catalog.evidence) : []
    await keepEvidence(
      this.#runner,
      this.report,
      { storage, catalog, head, inputs },
      {
        test: 'restore-test',
        verdict,
        seconds: (systemClock.now().getTime() - this.#began) / 1_000,
        checks: proven,
        rowsProven,
        plainBytes: head.totals.plainBytes,
        ...(rtoSeconds !== undefined && { rtoSeconds }),
        ...(rpoSeconds !== undefined && { rpoSeconds }),
        ...(restoreSeconds !== undefined && { restoreSeconds }),
        ...(before.length > 0 && { history: before }),
      },
    )
  }
}

/** Of a restore into a newer major than the source's: that it went well as a whole is what is to be learnt. */
function upgradeCheck({ manifest }: OpenSet, { major }: PostgresTools, { checks }: Examination): CheckResult[] {
  const { serverMajor } = manifest.source
  if (major === serverMajor) return []
  const common = { id: 'upgrade', title: 'A newer PostgreSQL takes it', findings: [], seconds: 0 }
  return [{ ...common, status: verdictOf(checks), summary: `dumped from ${serverMajor}, restored into ${major}` }]
}

function signatureCheck({ signature }: OpenSet): CheckResult {
  const common = { id: 'signature', title: 'The signature is by a known key', findings: [], seconds: 0 }
  if (signature === 'checked') return { ...common, status: 'passed', summary: 'made by a key in verify-key' }
  const summary = signature === 'none' ? 'the set is not signed' : 'signed, but no verify-key was given'
  return { ...common, status: 'not run', summary }
}

/** Age of the newest proven set: what a loss of production would cost now. This run may just have proven it. */
async function rpoOf({ catalog, set }: Subject, verdict: Verdict): Promise<number | undefined> {
  const judged = { id: set.head.id, isProven: verdict === 'passed' }
  const newest = await newestProven(catalog, verdict === 'unverified' ? undefined : judged)
  return newest === undefined ? undefined : (systemClock.now().getTime() - newest.takenAt.getTime()) / 1_000
}

await runMain('action-restore-test', {
  main: (runner) => {
    const test = new RestoreTest(runner)
    return reporting(runner, test.report, () => test.run(), verdictOn)
  },
  post: async (runner) => {
    await removeRestoreTarget(runner)
    await rm(runner.temp, { recursive: true, force: true })
  },
})

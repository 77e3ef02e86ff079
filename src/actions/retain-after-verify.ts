import type { SetId } from '../backup-set/layout.ts'
import { FUTURE_SECONDS } from '../backup-set/retention.ts'
import { withheldFinding } from '../backup-set/retention-findings.ts'
import { sweepLeftOvers } from '../backup-set/sweep.ts'
import { type CheckResult, type Finding, statusOf, verdictOf } from '../base/findings.ts'
import { systemClock } from '../base/ports.ts'
import type { Meter } from '../base/progress.ts'
import { CHECKS } from '../checks/modes.ts'
import type { Runner } from '../github/runner.ts'
import type { RetentionReport, VerifyReport } from '../reports/report.ts'
import type { Storage } from '../storage/storage.ts'
import { retain } from './retain.ts'
import type { VerifyInputs } from './verify-inputs.ts'

const VOUCHING = new Set(CHECKS.filter(({ vouches }) => vouches).map(({ id }) => id))

/**
 * Older backups go once the one that was examined is known to be good, as far as this run could tell; and what belongs to
 * none goes. Whoever asks for that here relies on it: that it could not be done is a check that fails.
 */
export async function retainAfterVerify(
  runner: Runner,
  storage: Storage,
  report: VerifyReport,
  { inputs, examined }: { inputs: VerifyInputs; examined: Pick<SetId, 'id' | 'takenAt'> },
): Promise<void> {
  const { retention: mode, policy, verifyKeys, stallTimeout } = inputs
  if (mode === 'off') return
  const began = systemClock.now().getTime()
  const reasons = against(report)
  const withheld = reasons.length > 0 ? [withheldFinding(reasons)] : []
  const failures: Finding[] = []
  const { log } = runner
  await log.group('Retention', async () => {
    if (mode === 'plan' || withheld.length === 0) {
      if (mode !== 'plan') report.findings.push(...(await sweepLeftOvers(storage, report.database, systemClock, log)))
      const retaining = { mode, policy, verifyKeys, examined }
      const work = (meter: Meter) => retain(runner, storage, report, retaining, meter)
      failures.push(...(await runner.progress('Retention', work, stallTimeout, 'storage')))
    }
  })
  const findings = [...failures.map((finding) => ({ ...finding, severity: 'failure' as const })), ...withheld]
  const seconds = (systemClock.now().getTime() - began) / 1_000
  report.checks.push({ ...resultOf(findings, withheld.length > 0, report.retention), findings, seconds })
  report.verdict = verdictOf(report.checks)
}

/** What speaks against the set; what could not be carried out does, too. */
function against({ checks, backupAgeSeconds = 0 }: VerifyReport): string[] {
  const isGood = ({ status, blocked }: CheckResult) => status === 'passed' || (status === 'not run' && !blocked)
  const bad = checks.filter((check) => VOUCHING.has(check.id) && !isGood(check)).map(({ title }) => title)
  return backupAgeSeconds < -FUTURE_SECONDS ? [...bad, 'its time lies in the future'] : bad
}

function resultOf(
  findings: readonly Finding[],
  isWithheld: boolean,
  retention: RetentionReport | undefined,
): Pick<CheckResult, 'id' | 'title' | 'status' | 'summary'> {
  const check = { id: 'retention', title: 'Older backups go when their time is over' }
  const failed = statusOf(findings) === 'failed'
  if (isWithheld && !failed) {
    return { ...check, status: 'not run', summary: 'the newest backup is not known to be good' }
  }
  const gone = (retention?.sets ?? []).filter(({ outcome }) => /^(would be )?deleted$/.test(outcome)).length
  const would = retention?.mode === 'plan' ? 'would be deleted' : 'deleted'
  return { ...check, status: failed ? 'failed' : 'passed', summary: `${gone} ${would}` }
}

import type { CheckResult, Finding } from '../base/findings.ts'
import { statusOf } from '../base/findings.ts'
import { formatDuration } from '../base/units.ts'

/** Seconds measured in this rehearsal, and what they shall not exceed. */
export interface RecoveryTimes {
  rtoSeconds: number
  rtoTarget: number
  /** Undefined if no set is proven. */
  rpoSeconds: number | undefined
  rpoTarget: number
}

const RTO = 'Back in time (RTO, rehearsed)'
const RPO = 'Little enough lost (RPO)'

/** What a restore of some tables says of recovery time and data loss: nothing. */
export function targetsOfPart(): CheckResult[] {
  const summary = 'only a part of the set was restored'
  return [notJudged('rto', RTO, summary), notJudged('rpo', RPO, summary)]
}

function notJudged(id: string, title: string, summary: string): CheckResult {
  return { id, title, status: 'not run', summary, findings: [], seconds: 0 }
}

/** Holds the measured recovery time and data loss against their targets. They say nothing of the set itself. */
export function checkTargets({ rtoSeconds, rtoTarget, rpoSeconds, rpoTarget }: RecoveryTimes): CheckResult[] {
  const rto = target('rto', RTO, rtoSeconds, rtoTarget, {
    over: 'From the start of this run to a proven database it took',
    remedy: 'Restore with more cores or a nearer storage, or set `rto-target` to what you can live with.',
  })
  if (rpoSeconds === undefined) return [rto, notJudged('rpo', RPO, 'no set is proven')]
  const rpo = target('rpo', RPO, rpoSeconds, rpoTarget, {
    over: 'If the database died now, what was written since the newest proven set would be lost:',
    remedy: 'Dump and test more often, or set `rpo-target` to what you can live with.',
  })
  return [rto, rpo]
}

function target(
  id: string,
  title: string,
  seconds: number,
  limit: number,
  words: { over: string; remedy: string },
): CheckResult {
  const findings: Finding[] =
    seconds <= limit
      ? []
      : [
          {
            severity: 'failure',
            message: `${words.over} ${formatDuration(seconds)}, more than ${formatDuration(limit)}`,
            remedy: words.remedy,
          },
        ]
  const summary = `${formatDuration(seconds)} of ${formatDuration(limit)}`
  return { id, title, status: statusOf(findings), summary, findings, seconds: 0 }
}

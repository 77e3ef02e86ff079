import type { KeyObject } from 'node:crypto'
import { historyOf } from '../backup-set/evidence-history.ts'
import { readCatalog } from '../backup-set/find.ts'
import type { SetId } from '../backup-set/layout.ts'
import type { RetentionPolicy } from '../backup-set/retention.ts'
import { type KnownSets, type RetiredSet, retireSets } from '../backup-set/retire.ts'
import type { Finding } from '../base/findings.ts'
import { systemClock } from '../base/ports.ts'
import type { Meter } from '../base/progress.ts'
import type { Runner } from '../github/runner.ts'
import type { DumpReport, RetentionReport, RetentionRow, VerifyReport } from '../reports/report.ts'
import type { Storage } from '../storage/storage.ts'

export interface Retaining {
  mode: RetentionReport['mode']
  policy: RetentionPolicy
  /** Where there are any, sets that none of them has signed are left alone, and only evidence that they signed counts. */
  verifyKeys: readonly KeyObject[]
  /** The set that this very run wrote, if it wrote one. */
  written?: string
  /** The set that this very run has looked at, if it looked at one. */
  examined?: Pick<SetId, 'id' | 'takenAt'>
}

/** Retention, as the report then tells; what kept it from doing what it should. It ends no run: only the signal's reason is thrown. */
export async function retain(
  runner: Runner,
  storage: Storage,
  report: DumpReport | VerifyReport,
  { mode, policy, verifyKeys, written, examined }: Retaining,
  meter: Meter,
): Promise<Finding[]> {
  const { database } = report
  const { log, signal } = runner
  const { sets, freedBytes, failures, findings } = await retireSets({
    storage,
    database,
    isPlan: mode === 'plan',
    policy,
    readSets: () => readSets(storage, database, verifyKeys),
    ...(written !== undefined && { written }),
    ...(examined && { examined }),
    verifyKeys,
    clock: systemClock,
    log,
    meter,
    signal,
  })
  report.retention = { mode, policy, sets: sets.map(rowOf), freedBytes }
  report.findings.push(...findings)
  return failures
}

async function readSets(storage: Storage, database: string, verifyKeys: readonly KeyObject[]): Promise<KnownSets> {
  const { sets, evidence } = await readCatalog(storage, database, verifyKeys)
  const healthy = evidence.withoutFailures()
  return {
    sets,
    statesOf: async (id) => ({ state: await evidence.stateOf(id), stateIfHealthy: await healthy.stateOf(id) }),
    isHistory: historyOf(evidence.names),
  }
}

function rowOf({ takenAt, ...set }: RetiredSet): RetentionRow {
  return { ...set, takenAt: takenAt.toISOString() }
}

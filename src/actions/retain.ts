import type { KeyObject } from 'node:crypto'
import { historyOf } from '../backup-set/evidence-history.ts'
import { readCatalog } from '../backup-set/find.ts'
import { lockFindings } from '../backup-set/retention-findings.ts'
import { type KnownSets, type RetiredSet, retireSets } from '../backup-set/retire.ts'
import { publicKeyOf } from '../backup-set/signature.ts'
import { systemClock } from '../base/ports.ts'
import type { Runner } from '../github/runner.ts'
import type { DumpReport, RetentionRow } from '../reports/report.ts'
import type { Storage } from '../storage/storage.ts'
import type { DumpInputs } from './dump-inputs.ts'
import type { RunStage } from './session.ts'

/** Retention, now that the new set exists: whatever comes of it, the dump has passed. */
export async function retain(
  runner: Runner,
  storage: Storage,
  report: DumpReport,
  { retention: mode, policy, signingKey, lockDays }: DumpInputs,
  stage: RunStage,
): Promise<void> {
  if (mode === 'off') return
  const { database, backupId: written = '' } = report
  const { log, signal } = runner
  const verifyKeys = signingKey === undefined ? [] : [publicKeyOf(signingKey)]
  const { sets, freedBytes, findings } = await stage('retention', 'Retention', (meter) =>
    retireSets({
      storage,
      database,
      mode,
      policy,
      readSets: () => readSets(storage, database, verifyKeys),
      written,
      verifyKeys,
      clock: systemClock,
      log,
      meter,
      signal,
    }),
  )
  report.retention = { mode, policy, sets: sets.map(rowOf), freedBytes }
  report.findings.push(...findings)
  // Once locks keep something, that is told with the facts.
  if (!sets.some(({ outcome }) => outcome === 'retained')) report.findings.push(...lockFindings(policy, lockDays))
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

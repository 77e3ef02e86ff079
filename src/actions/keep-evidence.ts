import type { Evidence, Head } from '../backup-set/documents.ts'
import { writeEvidence } from '../backup-set/evidence.ts'
import { LifeboatError, messageOf } from '../base/errors.ts'
import type { CheckResult } from '../base/findings.ts'
import { systemClock } from '../base/ports.ts'
import type { Runner } from '../github/runner.ts'
import type { Report } from '../reports/report.ts'
import type { Storage } from '../storage/storage.ts'

/** What a run found out about a set; what is left out is the same for every kind of test. */
export interface Found
  extends Pick<Evidence, 'test' | 'verdict' | 'seconds' | 'rtoSeconds' | 'rpoSeconds' | 'rowsProven'> {
  /** The checks that speak of the set itself. */
  checks: readonly CheckResult[]
}

/**
 * Keeps what a run found beside the set. Credentials that may not write do not change the verdict: then the report has a
 * warning. Not after a cancellation.
 */
export async function keepEvidence(
  runner: Runner,
  storage: Storage,
  report: Report,
  head: Head,
  { checks, ...found }: Found,
): Promise<void> {
  runner.signal.throwIfAborted()
  const evidence: Evidence = {
    kind: 'pg-lifeboat evidence',
    format: 1,
    database: head.database,
    id: head.id,
    at: systemClock.now().toISOString(),
    manifestSha256: head.manifest.sha256,
    checks: checks.map(({ id, status, summary }) => ({ id, status, summary })),
    ...found,
    ...(report.runUrl !== undefined && { run: report.runUrl }),
  }
  try {
    await writeEvidence(storage, evidence)
  } catch (error) {
    if (!(error instanceof LifeboatError)) throw error
    report.findings.push({
      severity: 'warning',
      message: `What this run found could not be recorded in the storage: ${messageOf(error)}`,
      remedy: 'Let these credentials write below evidence/: without the record this set never counts as proven.',
    })
  }
}

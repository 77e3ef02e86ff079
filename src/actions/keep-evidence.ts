import type { Evidence, Head } from '../backup-set/documents.ts'
import { writeEvidence } from '../backup-set/evidence.ts'
import type { Catalog } from '../backup-set/find.ts'
import { publicKeyOf } from '../backup-set/signature.ts'
import { LifeboatError, messageOf } from '../base/errors.ts'
import type { CheckResult, Finding } from '../base/findings.ts'
import { systemClock } from '../base/ports.ts'
import type { Runner } from '../github/runner.ts'
import type { Report } from '../reports/report.ts'
import type { Storage } from '../storage/storage.ts'
import type { BackupInputs, SigningInputs } from './common-inputs.ts'

/** What a run found out about a set; what is left out is the same for every kind of test. */
export interface Found
  extends Omit<Evidence, 'kind' | 'format' | 'database' | 'id' | 'at' | 'manifestSha256' | 'checks' | 'run'> {
  /** The checks that speak of the set itself. */
  checks: readonly CheckResult[]
}

/** Where it is kept, and by whom it is signed. */
export interface Keeping {
  storage: Storage
  catalog: Catalog
  head: Head
  inputs: SigningInputs & Pick<BackupInputs, 'verifyKeys'>
}

/**
 * Keeps what a run found beside the set, and lets it count for the rest of the run. Credentials that may not write do not
 * change the verdict: then the report has a warning. Not after a cancellation.
 */
export async function keepEvidence(
  runner: Runner,
  report: Report,
  { storage, catalog, head, inputs }: Keeping,
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
    catalog.evidence.add(await writeEvidence(storage, evidence, inputs.signingKey), evidence)
    report.findings.push(...doubtsAbout(inputs))
  } catch (error) {
    if (!(error instanceof LifeboatError)) throw error
    report.findings.push({
      severity: 'warning',
      message: `What this run found could not be recorded in the storage: ${messageOf(error)}`,
      remedy: 'Let these credentials write below evidence/: without the record this set never counts as proven.',
    })
  }
}

/** Whoever checks signatures should be able to count on what is signed here. */
function doubtsAbout({ signingKey, verifyKeys }: Keeping['inputs']): Finding[] {
  if (verifyKeys.length === 0) return []
  if (signingKey === undefined) {
    return [
      {
        severity: 'note',
        message: 'What this run found is not signed: it counts for no run that is given `verify-key`, as this one is',
        remedy: 'Give this step the input `signing-key`, from the secret that action-dump signs with.',
      },
    ]
  }
  const own = publicKeyOf(signingKey)
  if (verifyKeys.some((key) => key.equals(own))) return []
  return [
    {
      severity: 'warning',
      message:
        'What this run found is signed by a key that is not in `verify-key`: it does not count for runs like this one',
      remedy:
        'Add the public half of `signing-key` to `verify-key`, which may hold several: `openssl pkey -in signing.pem -pubout`.',
    },
  ]
}

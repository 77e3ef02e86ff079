import { type Catalog, onlyDatabase, readCatalog } from '../backup-set/find.ts'
import { codeOf } from '../base/errors.ts'
import type { Report } from '../reports/report.ts'
import type { Storage } from '../storage/storage.ts'
import type { BackupInputs, StorageInputs, TargetInputs } from './common-inputs.ts'

/** The backups of the database that the inputs name, or of the only one that is there. Errors: `no-set`, `which-database`. */
export async function openCatalog(
  storage: Storage,
  inputs: StorageInputs & BackupInputs & TargetInputs,
  report: Report,
): Promise<Catalog> {
  report.database = inputs.database ?? (await foundDatabase(storage, inputs, report))
  return readCatalog(storage, report.database, inputs.verifyKeys)
}

/** That there is no backup at all is known, then: it is the first thing that whoever reads the report has to hear. */
async function foundDatabase(storage: Storage, inputs: TargetInputs, report: Report): Promise<string> {
  try {
    return await onlyDatabase(storage)
  } catch (error) {
    const { rtoTarget, rpoTarget } = inputs
    if (codeOf(error) === 'no-set') report.lossBudget = { backups: 0, everProven: false, rtoTarget, rpoTarget }
    throw error
  }
}

import { type Catalog, onlyDatabase, readCatalog } from '../backup-set/find.ts'
import type { Report } from '../reports/report.ts'
import type { Storage } from '../storage/storage.ts'
import type { BackupInputs, StorageInputs } from './common-inputs.ts'

/** The backups of the database that the inputs name, or of the only one that is there. Errors: `no-set`, `which-database`. */
export async function openCatalog(
  storage: Storage,
  inputs: StorageInputs & BackupInputs,
  report: Report,
): Promise<Catalog> {
  report.database = inputs.database ?? (await onlyDatabase(storage))
  return readCatalog(storage, report.database, inputs.verifyKeys)
}

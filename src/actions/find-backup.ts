import type { Head } from '../backup-set/documents.ts'
import { type Catalog, chooseSet, onlyDatabase, readCatalog } from '../backup-set/find.ts'
import type { Report } from '../reports/report.ts'
import type { Storage } from '../storage/storage.ts'
import type { BackupInputs, StorageInputs } from './common-inputs.ts'

/** The set that the inputs ask for, and the catalog that it was chosen from. Errors: `no-set`, `which-database`. */
export async function findBackup(
  storage: Storage,
  inputs: StorageInputs & BackupInputs,
  report: Report,
): Promise<{ catalog: Catalog; head: Head }> {
  report.database = inputs.database ?? (await onlyDatabase(storage))
  const catalog = await readCatalog(storage, report.database)
  const head = await chooseSet(storage, catalog, inputs.backup)
  report.backupId = head.id
  return { catalog, head }
}

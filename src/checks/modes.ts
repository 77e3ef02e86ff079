import { backupAgeCheck } from './backup-age.ts'
import { bucketEncryptionCheck } from './bucket-encryption.ts'
import type { Check } from './check.ts'
import { clocksCheck } from './clocks.ts'
import { contentsCheck } from './contents.ts'
import { databaseIdentityCheck } from './database-identity.ts'
import { foreignKeysCheck } from './foreign-keys.ts'
import { freeSpaceCheck } from './free-space.ts'
import { lifecycleCheck } from './lifecycle.ts'
import { liveSequencesCheck } from './live-sequences.ts'
import { liveTablesCheck } from './live-tables.ts'
import { manifestCheck } from './manifest.ts'
import { namedTablesCheck } from './named-tables.ts'
import { objectLockCheck } from './object-lock.ts'
import { partsCheck } from './parts.ts'
import { publicAccessCheck } from './public-access.ts'
import { readableCheck } from './readable.ts'
import { restoreTestAgeCheck } from './restore-test-age.ts'
import { rolesCheck } from './roles.ts'
import { rowGrowthCheck } from './row-growth.ts'
import { rowsCheck } from './rows.ts'
import { schemaDriftCheck } from './schema-drift.ts'
import { sequencesCheck } from './sequences.ts'
import { signatureCheck } from './signature.ts'
import { sizeChangeCheck } from './size-change.ts'
import { sourceCheck } from './source.ts'
import { storageQuotaCheck } from './storage-quota.ts'
import { storedBytesCheck } from './stored-bytes.ts'
import { toolsCheck } from './tools.ts'
import { totalsCheck } from './totals.ts'
import { versioningCheck } from './versioning.ts'
import { walArchiveCheck } from './wal-archive.ts'
import { workflowsCheck } from './workflows.ts'

/** Every check, in the order in which they are carried out and shown. */
export const CHECKS: readonly Check[] = [
  manifestCheck,
  signatureCheck,
  namedTablesCheck,
  toolsCheck,
  backupAgeCheck,
  partsCheck,
  sizeChangeCheck,
  totalsCheck,
  sourceCheck,
  restoreTestAgeCheck,
  storageQuotaCheck,
  workflowsCheck,
  storedBytesCheck,
  contentsCheck,
  rowsCheck,
  sequencesCheck,
  rolesCheck,
  databaseIdentityCheck,
  liveTablesCheck,
  schemaDriftCheck,
  readableCheck,
  rowGrowthCheck,
  liveSequencesCheck,
  foreignKeysCheck,
  walArchiveCheck,
  clocksCheck,
  versioningCheck,
  objectLockCheck,
  bucketEncryptionCheck,
  publicAccessCheck,
  lifecycleCheck,
  freeSpaceCheck,
]

import { backupAgeCheck } from './backup-age.ts'
import type { Check } from './check.ts'
import { contentsCheck } from './contents.ts'
import { manifestCheck } from './manifest.ts'
import { partsCheck } from './parts.ts'
import { restoreTestAgeCheck } from './restore-test-age.ts'
import { rowsCheck } from './rows.ts'
import { sequencesCheck } from './sequences.ts'
import { signatureCheck } from './signature.ts'
import { sizeChangeCheck } from './size-change.ts'
import { storedBytesCheck } from './stored-bytes.ts'
import { toolsCheck } from './tools.ts'

/** Every check, in the order in which they are carried out and shown. */
export const CHECKS: readonly Check[] = [
  manifestCheck,
  signatureCheck,
  toolsCheck,
  backupAgeCheck,
  partsCheck,
  sizeChangeCheck,
  restoreTestAgeCheck,
  storedBytesCheck,
  contentsCheck,
  rowsCheck,
  sequencesCheck,
]

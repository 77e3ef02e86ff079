import {
  type BackupInputs,
  readBackupInputs,
  readSigningInputs,
  readStorageInputs,
  readTargetInputs,
  type SigningInputs,
  type StorageInputs,
  type TargetInputs,
} from './common-inputs.ts'
import { type InputSource, readInputs } from './inputs.ts'
import { type ReportingInputs, readReportingInputs } from './reporting-inputs.ts'

/** The inputs of action-verify. Durations are seconds, percentages fractions. */
export interface VerifyInputs extends StorageInputs, BackupInputs, SigningInputs, TargetInputs, ReportingInputs {
  readonly mode: 'smoke' | 'integrity'
  readonly maxAge: number
  readonly sizeChangeWarn: number
  readonly sizeChangeFail: number
  readonly maxRestoreTestAge: number
}

/** Reads the inputs of action-verify; all that is wrong with them is in one InputError. `env`: what S3 needs besides. */
export function readVerifyInputs(source: InputSource, env?: NodeJS.ProcessEnv): Promise<VerifyInputs> {
  return readInputs(source, (inputs) => {
    const values: VerifyInputs = {
      ...readStorageInputs(inputs, env),
      ...readReportingInputs(inputs),
      ...readBackupInputs(inputs),
      ...readSigningInputs(inputs),
      ...readTargetInputs(inputs),
      mode: inputs.oneOf('mode', ['smoke', 'integrity'], 'smoke'),
      maxAge: inputs.duration('max-age', '30h'),
      sizeChangeWarn: inputs.percentage('size-change-warn', '20%'),
      sizeChangeFail: inputs.percentage('size-change-fail', '50%'),
      maxRestoreTestAge: inputs.duration('max-restore-test-age', '35d'),
    }
    if (values.sizeChangeWarn > values.sizeChangeFail) {
      inputs.reject('size-change-warn', 'is above size-change-fail', 'a percentage up to that of size-change-fail')
    }
    return values
  })
}

import { parseRecipients } from '../streams/age.ts'
import {
  readSigningInputs,
  readStorageInputs,
  readTargetInputs,
  type SigningInputs,
  type StorageInputs,
  type TargetInputs,
} from './common-inputs.ts'
import { type ConnectionInputs, readConnectionInputs } from './connection-inputs.ts'
import { type InputReader, type InputSource, readInputs, type Shape } from './inputs.ts'
import { type ReportingInputs, readReportingInputs } from './reporting-inputs.ts'
import { type KeepingInputs, readKeepingInputs } from './retention-inputs.ts'

/** The inputs of action-dump. Durations are seconds, sizes bytes; empty lists mean that nothing was asked for. */
export interface DumpInputs
  extends StorageInputs,
    ConnectionInputs,
    SigningInputs,
    TargetInputs,
    KeepingInputs,
    ReportingInputs {
  readonly label: string
  readonly content: 'all' | 'schema' | 'data'
  /** Patterns with pg_dump's meaning. */
  readonly tables: string[]
  readonly excludeTables: string[]
  readonly excludeTableData: string[]
  readonly jobs: number
  readonly compressionLevel: number
  readonly spoolLimit: number
  readonly maxPause: number
  readonly lockWaitTimeout: number
  /** age recipients; empty: not encrypted. */
  readonly recipients: string[]
  readonly retention: 'after-dump' | 'plan' | 'off'
  readonly lockDays?: number
  readonly storageClass?: string
}

const LABEL: Shape = {
  matches: (value) => /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(value),
  problem: 'cannot be part of a backup’s name',
  accepted: 'letters, digits and . _ - (at most 100, the first a letter or digit), such as nightly',
}

const STORAGE_CLASS: Shape = {
  matches: (value) => /^[A-Z0-9_]+$/.test(value),
  problem: 'is not the name of a storage class',
  accepted: 'an S3 storage class such as STANDARD_IA',
}

/**
 * Reads the inputs of action-dump; all that is wrong with them is in one InputError. `cores` sets the default of `jobs`.
 * With `env` the connection is read too, as it will be read again to be used, and what S3 needs besides.
 */
export function readDumpInputs(source: InputSource, cores: number, env?: NodeJS.ProcessEnv): Promise<DumpInputs> {
  return readInputs(source, (inputs) => {
    const values: DumpInputs = {
      ...readStorageInputs(inputs, env),
      ...readReportingInputs(inputs),
      ...readConnectionInputs(inputs, env),
      label: inputs.optional('label', LABEL) ?? 'manual',
      content: inputs.oneOf('content', ['all', 'schema', 'data'], 'all'),
      tables: inputs.list('tables'),
      excludeTables: inputs.list('exclude-tables'),
      excludeTableData: inputs.list('exclude-table-data'),
      jobs: inputs.integer('jobs', 1, 64) ?? Math.max(1, Math.min(4, cores)),
      compressionLevel: inputs.integer('compression-level', 1, 19) ?? 1,
      spoolLimit: inputs.size('spool-limit', '1GiB', '16MiB'),
      maxPause: inputs.duration('max-pause', '10m', { zero: true }),
      lockWaitTimeout: inputs.duration('lock-wait-timeout', '1m'),
      recipients: readRecipients(inputs),
      ...readSigningInputs(inputs),
      ...readTargetInputs(inputs),
      retention: inputs.oneOf('retention', ['after-dump', 'plan', 'off'], 'after-dump'),
      ...readKeepingInputs(inputs),
      ...readStoring(inputs),
    }
    if (values.storage.startsWith('file:')) {
      const accepted = 'nothing, or a storage of the form s3://bucket'
      if (values.lockDays !== undefined) inputs.reject('lock-days', 'needs a storage that can lock objects', accepted)
      if (values.storageClass !== undefined) inputs.reject('storage-class', 'needs a storage that has any', accepted)
    }
    return values
  })
}

function readRecipients(inputs: InputReader): string[] {
  const accepted = 'age public keys, one per line, such as age1ql3z…'
  const recipients = inputs.multiline('recipients').flatMap((line) => line.split(/[\s,]+/).filter(Boolean))
  if (recipients.some((recipient) => /^AGE-SECRET-KEY-/i.test(recipient))) {
    inputs.secretText('recipients')
    inputs.reject(
      'recipients',
      'holds a secret key',
      `${accepted}; the secret key belongs in no dump, so replace it: it was exposed`,
    )
  } else if (recipients.some((recipient) => !/^age1[a-z0-9]{20,}$/.test(recipient))) {
    inputs.reject('recipients', 'holds something that is not an age public key', accepted)
  } else if (recipients.length > 0) inputs.examine(() => parseRecipients(recipients.join('\n')), accepted)
  return [...new Set(recipients)]
}

function readStoring(inputs: InputReader): Pick<DumpInputs, 'lockDays' | 'storageClass'> {
  const lockDays = inputs.integer('lock-days', 1, 36_500)
  const storageClass = inputs.optional('storage-class', STORAGE_CLASS)
  return { ...(lockDays !== undefined && { lockDays }), ...(storageClass !== undefined && { storageClass }) }
}

import { parseConnection } from '../postgres/connection.ts'
import {
  readSigningInputs,
  readStorageInputs,
  readTargetInputs,
  type SigningInputs,
  type StorageInputs,
  type TargetInputs,
} from './common-inputs.ts'
import { type InputReader, type InputSource, readInputs, type Shape } from './inputs.ts'

/** The inputs of action-dump. Durations are seconds, sizes bytes; empty lists mean that nothing was asked for. */
export interface DumpInputs extends StorageInputs, SigningInputs, TargetInputs {
  /** A connection URL or string; undefined: the PG* variables say where. */
  readonly databaseUrl?: string
  /** Certificates of the authorities to trust, in PEM form. */
  readonly databaseCa?: string
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
 * With `env` the connection is read too, as it will be read again to be used.
 */
export function readDumpInputs(source: InputSource, cores: number, env?: NodeJS.ProcessEnv): DumpInputs {
  return readInputs(source, (inputs) => {
    const values: DumpInputs = {
      ...readStorageInputs(inputs),
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
      ...readKeeping(inputs),
    }
    if (values.lockDays !== undefined && values.storage.startsWith('file:')) {
      inputs.reject(
        'lock-days',
        'needs a storage that can lock objects',
        'nothing, or a storage of the form s3://bucket',
      )
    }
    return values
  })
}

function readConnectionInputs(
  inputs: InputReader,
  env: NodeJS.ProcessEnv | undefined,
): Pick<DumpInputs, 'databaseUrl' | 'databaseCa'> {
  const databaseUrl = inputs.secretText('database-url')
  if (env !== undefined) {
    inputs.examine(() => parseConnection(databaseUrl, env), 'postgresql://user:password@host:5432/database')
  }
  const databaseCa = inputs.optional('database-ca')
  if (databaseCa !== undefined && !databaseCa.includes('-----BEGIN CERTIFICATE-----')) {
    inputs.reject(
      'database-ca',
      'is not a certificate in PEM form',
      'the text of a file that begins with -----BEGIN CERTIFICATE-----',
    )
  }
  return { ...(databaseUrl !== undefined && { databaseUrl }), ...(databaseCa !== undefined && { databaseCa }) }
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
  }
  return [...new Set(recipients)]
}

function readKeeping(inputs: InputReader): Pick<DumpInputs, 'lockDays' | 'storageClass'> {
  const lockDays = inputs.integer('lock-days', 1, 36_500)
  const storageClass = inputs.optional('storage-class', STORAGE_CLASS)
  return { ...(lockDays !== undefined && { lockDays }), ...(storageClass !== undefined && { storageClass }) }
}

import type { KeyObject } from 'node:crypto'
import { parseSigningKey } from '../backup-set/signature.ts'
import { readStorageInputs, type StorageInputs } from './common-inputs.ts'
import { type ConnectionInputs, readConnectionInputs } from './connection-inputs.ts'
import { type InputReader, type InputSource, readInputs, type Shape } from './inputs.ts'

/** The inputs of action-dump. Durations are seconds, sizes bytes; empty lists mean that nothing was asked for. */
export interface DumpInputs extends StorageInputs, ConnectionInputs {
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
  readonly signingKey?: KeyObject
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
      ...readConnectionInputs(inputs, 'database-url', env),
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
      ...readSigningKey(inputs),
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

function readSigningKey(inputs: InputReader): Pick<DumpInputs, 'signingKey'> {
  const signingKey = inputs.parsed('signing-key', inputs.secretText('signing-key'), parseSigningKey, {
    problem: 'is not an unencrypted Ed25519 private key in PEM form',
    accepted: 'the whole text that `openssl genpkey -algorithm ed25519` prints',
  })
  return signingKey ? { signingKey } : {}
}

function readKeeping(inputs: InputReader): Pick<DumpInputs, 'lockDays' | 'storageClass'> {
  const lockDays = inputs.integer('lock-days', 1, 36_500)
  const storageClass = inputs.optional('storage-class', STORAGE_CLASS)
  return { ...(lockDays !== undefined && { lockDays }), ...(storageClass !== undefined && { storageClass }) }
}

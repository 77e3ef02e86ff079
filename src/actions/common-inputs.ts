import type { KeyObject } from 'node:crypto'
import type { SetChoice } from '../backup-set/find.ts'
import { parseSetId } from '../backup-set/layout.ts'
import { parseSigningKey, parseVerifyKeys } from '../backup-set/signature.ts'
import { parseStorageUrl } from '../storage/location.ts'
import { assertS3Settings, endpointOf } from '../storage/s3-settings.ts'
import { parseIdentities } from '../streams/age.ts'
import { type InputReader, type InputSource, linesOf, type Shape } from './inputs.ts'

/** Where the backups are; every action asks for it. */
export interface StorageInputs {
  /** `s3://bucket/prefix` or `file:///path`, without a trailing slash. */
  storage: string
  /** The database's name in the storage; undefined: found out. */
  database?: string
  s3Endpoint?: string
}

/** Which set to read, and what opens it; verify and restore test ask for it. */
export interface BackupInputs {
  backup: SetChoice
  /** The text of one or more age identities. */
  identity?: string
  /** Ed25519 public keys; empty: no signature is checked, and all evidence counts. */
  verifyKeys: KeyObject[]
}

/** What signs whatever a run writes; undefined: it is not signed. */
export interface SigningInputs {
  signingKey?: KeyObject
}

/** What a loss of the database may cost, in seconds: until it is back, and of what was written last. */
export interface TargetInputs {
  rtoTarget: number
  rpoTarget: number
}

const STORAGE_ACCEPTED = 's3://bucket, s3://bucket/prefix, or file:///absolute/path'

const DATABASE_NAME: Shape = {
  matches: (value) => /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/.test(value),
  problem: 'cannot be the name of a folder',
  accepted: 'letters, digits and . _ - (at most 100, the first no . or -), such as shop-production',
}

/** The input `database`, if it can be one: for a report of a run that ends before its inputs are read. */
export function databaseInput(source: Pick<InputSource, 'input'>): string | undefined {
  const name = source.input('database')
  return DATABASE_NAME.matches(name) ? name : undefined
}

/** The S3 service that is not AWS's, as anybody may see it: neither credentials nor a query; undefined also where it is wrong. */
export function endpointShown(source: Pick<InputSource, 'input'>, env: NodeJS.ProcessEnv): string | undefined {
  try {
    const { origin, pathname } = new URL(endpointOf(env, source.input('s3-endpoint')) ?? '')
    return `${origin}${pathname}`.replace(/\/+$/, '')
  } catch {
    return undefined
  }
}

/** Reads `storage`, `database` and `s3-endpoint`; with `env` also what S3 needs besides. */
export function readStorageInputs(inputs: InputReader, env?: NodeJS.ProcessEnv): StorageInputs {
  const database = inputs.optional('database', DATABASE_NAME)
  const s3Endpoint = readEndpoint(inputs)
  const storage = readStorage(inputs)
  if (storage.startsWith('file:') && s3Endpoint !== undefined) {
    inputs.reject('s3-endpoint', 'needs a storage on S3', 'nothing, or a storage of the form s3://bucket')
  }
  if (storage.startsWith('s3:') && s3Endpoint === undefined && env !== undefined) {
    inputs.examine(() => assertS3Settings(env), 'the region of the bucket, such as eu-central-1')
  }
  return {
    storage,
    ...(database !== undefined && { database }),
    ...(s3Endpoint !== undefined && { s3Endpoint }),
  }
}

/** Reads `backup`, `identity` and `verify-key`. */
export function readBackupInputs(inputs: InputReader): BackupInputs {
  const identity = inputs.secretText('identity')
  const accepted = 'the text of an age key file: AGE-SECRET-KEY-1… lines'
  // What looks like one has a checksum, which takes age's library.
  if (identity !== undefined && looksLikeIdentities(identity)) inputs.examine(() => parseIdentities(identity), accepted)
  else if (identity !== undefined) inputs.reject('identity', 'is not an age identity', accepted)
  return {
    backup: readBackup(inputs),
    ...(identity !== undefined && { identity }),
    verifyKeys: readVerifyKeys(inputs),
  }
}

/** Reads `signing-key`. */
export function readSigningInputs(inputs: InputReader): SigningInputs {
  const signingKey = inputs.parsed('signing-key', inputs.secretText('signing-key'), parseSigningKey, {
    problem: 'is not an unencrypted Ed25519 private key in PEM form',
    accepted: 'the whole text that `openssl genpkey -algorithm ed25519` prints',
  })
  return signingKey ? { signingKey } : {}
}

/** Reads `rto-target` and `rpo-target`. */
export function readTargetInputs(inputs: InputReader): TargetInputs {
  return { rtoTarget: inputs.duration('rto-target', '1h'), rpoTarget: inputs.duration('rpo-target', '30h') }
}

function readStorage(inputs: InputReader): string {
  const value = inputs.optional('storage')
  if (value === undefined)
    inputs.reject('storage', 'is missing', `${STORAGE_ACCEPTED} (a missing secret or variable is empty)`)
  else if (/[@?]/.test(value)) {
    // Perhaps credentials: nothing of it is shown.
    inputs.reject('storage', 'holds credentials or options', `${STORAGE_ACCEPTED}; credentials in the AWS_* variables`)
  } else if (!isStorageUrl(value)) inputs.reject('storage', 'is not a storage URL', STORAGE_ACCEPTED, value)
  else inputs.examine(() => parseStorageUrl(value), STORAGE_ACCEPTED)
  return (value ?? '').replace(/\/+$/, '')
}

function isStorageUrl(value: string): boolean {
  const path = /^s3:\/\/[A-Za-z0-9][A-Za-z0-9._-]{1,254}(?:\/(.*))?$/.exec(value) ?? /^file:\/\/\/(.+)$/.exec(value)
  if (path === null) return false
  const rest = (path[1] ?? '').replace(/\/+$/, '')
  return rest === '' || rest.split('/').every((name) => !['', '.', '..'].includes(name) && !/\p{Cc}/u.test(name))
}

function readEndpoint(inputs: InputReader): string | undefined {
  const value = inputs.optional('s3-endpoint')
  if (value === undefined) return undefined
  const accepted = 'the URL of an S3 service, such as https://s3.example.org'
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url && (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')) {
    inputs.reject('s3-endpoint', 'holds more than an address', `${accepted}; credentials in the AWS_* variables`)
  } else if (!url || !['http:', 'https:'].includes(url.protocol)) {
    inputs.reject('s3-endpoint', 'is not a web address', accepted, value.includes('@') ? undefined : value)
  }
  return value.replace(/\/+$/, '')
}

function readBackup(inputs: InputReader): SetChoice {
  const value = inputs.optional('backup') ?? 'latest'
  if (value === 'latest' || value === 'proven') return { kind: value }
  if (parseSetId(value)) return { kind: 'id', id: value }
  const at = parseUtc(value)
  if (at) return { kind: 'at', at }
  inputs.reject(
    'backup',
    'names no backup',
    'latest, proven, an id such as 20261122T021704Z-nightly-k3v9qa, or a UTC time such as 2026-11-22T02:17:04Z',
    value,
  )
  return { kind: 'latest' }
}

/** A UTC time: `2026-11-22`, `2026-11-22 02:17`, `2026-11-22T02:17:04Z`. Other zones are refused, not guessed. */
function parseUtc(text: string): Date | undefined {
  const match = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?Z?)?$/.exec(text)
  if (!match) return undefined
  const [, day, minute = '00:00', second = ':00'] = match
  const date = new Date(`${day}T${minute}${second}Z`)
  // Date rolls the 31st of February over to March.
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(`${day}T${minute}`) ? date : undefined
}

function readVerifyKeys(inputs: InputReader): KeyObject[] {
  const text = inputs.optional('verify-key')
  const accepted = 'Ed25519 public keys in PEM form, as `openssl pkey -in signing.pem -pubout` prints them'
  if (text?.includes('PRIVATE KEY')) {
    inputs.secretText('verify-key')
    inputs.reject('verify-key', 'is a private key', `${accepted}; the private one belongs in signing-key`)
    return []
  }
  const problem = 'is not an Ed25519 public key in PEM form'
  return inputs.parsed('verify-key', text, parseVerifyKeys, { problem, accepted }) ?? []
}

function looksLikeIdentities(text: string): boolean {
  const lines = linesOf(text)
  return lines.length > 0 && lines.every((line) => /^AGE-SECRET-KEY-[A-Z0-9-]{20,}$/.test(line))
}

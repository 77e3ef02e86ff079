import { fileURLToPath } from 'node:url'
import { LifeboatError } from '../base/errors.ts'

/** Where a storage URL points. `url` is its normal form: it holds no secret and no trailing slash. */
export type StorageLocation =
  | { kind: 'directory'; directory: string; url: string }
  | { kind: 's3'; bucket: string; prefix: string; url: string }

const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/
const REMEDY = 'Set `storage` to s3://bucket/prefix or file:///absolute/path (spaces as %20).'

/**
 * Reads `s3://bucket/prefix` (the prefix is taken as it is written, and may be empty) or `file:///absolute/path`
 * (percent-encoded). Anything else: LifeboatError `bad-storage-url`. The text itself is never repeated in an error:
 * people paste credentials into URLs.
 */
export function parseStorageUrl(text: string): StorageLocation {
  const url = text.trim()
  if (/^s3:\/\//i.test(url)) return parseS3Url(url.slice('s3://'.length))
  if (/^file:/i.test(url)) return parseFileUrl(url)
  throw badUrl('is neither an s3:// nor a file:// URL')
}

function parseS3Url(rest: string): StorageLocation {
  if (/[?#]/.test(rest)) throw badUrl('has a query or a fragment; regions and endpoints have settings of their own')
  const [bucket = '', ...folders] = rest.split('/')
  if (bucket.includes('@')) throw badUrl('holds credentials; they belong in the AWS_* variables')
  if (!BUCKET.test(bucket)) throw badUrl('names no valid bucket after s3://')
  const prefix = folders.join('/').replace(/^\/+|\/+$/g, '')
  if (prefix !== '' && !prefix.split('/').every(isPlainSegment)) {
    throw badUrl('has a prefix with an empty, `.` or `..` folder or a control character')
  }
  return { kind: 's3', bucket, prefix, url: prefix === '' ? `s3://${bucket}` : `s3://${bucket}/${prefix}` }
}

function parseFileUrl(text: string): StorageLocation {
  if (!/^file:\/\/(localhost)?\//i.test(text)) throw badUrl('is not absolute: a file URL has three slashes')
  if (/[?#]/.test(text)) throw badUrl('has a `?` or `#`; write them as %3F and %23')
  try {
    const directory = fileURLToPath(new URL(text)).replace(/\/+$/, '')
    if (directory !== '' && !directory.includes('\0')) {
      return { kind: 'directory', directory, url: new URL(text).href.replace(/\/+$/, '') }
    }
  } catch {
    throw badUrl('is not a file URL that names a path')
  }
  throw badUrl('names the root directory; name a directory of its own')
}

function isPlainSegment(segment: string): boolean {
  return segment !== '' && segment !== '.' && segment !== '..' && !hasControlCharacter(segment)
}

function hasControlCharacter(text: string): boolean {
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    if (code < 0x20 || code === 0x7f) return true
  }
  return false
}

/**
 * Refuses a key that could leave the storage or that not every storage can keep: absolute, with an empty, `.` or `..`
 * segment, a control character, a lone surrogate, or more than 900 bytes (S3 has 1,024 with the prefix).
 */
export function checkKey(key: string): void {
  const plain = key.split('/').every(isPlainSegment) && key.isWellFormed() && Buffer.byteLength(key) <= 900
  if (!plain) throw badKey(key)
}

/** The same for the beginning of a key, which may be empty and may end in `/` or in the middle of a name. */
export function checkPrefix(prefix: string): void {
  if (prefix === '') return
  checkKey(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix)
}

/** Orders keys as S3 lists them: by the bytes of their UTF-8 form, which is not JavaScript's order of strings. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

function badUrl(problem: string): LifeboatError {
  return new LifeboatError('bad-storage-url', `storage ${problem}`, REMEDY)
}

function badKey(key: string): LifeboatError {
  const shown = JSON.stringify(key.slice(0, 200))
  return new LifeboatError(
    'bad-storage-key',
    `${shown} is no valid name for a stored object.`,
    'Use names of 1 to 900 bytes without `..`, a leading `/`, empty folders or control characters.',
  )
}

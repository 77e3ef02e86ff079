import { createHash, type KeyObject } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { codeOf, LifeboatError } from '../base/errors.ts'
import { type Meter, silentMeter } from '../base/progress.ts'
import type { Storage } from '../storage/storage.ts'
import type { AgeIdentity } from '../streams/age.ts'
import { unseal } from '../streams/seal.ts'
import {
  type Contents,
  contentsSchema,
  type Head,
  type Manifest,
  manifestSchema,
  type Part,
  parseDocument,
} from './documents.ts'
import { compactTime, layout } from './layout.ts'
import { isSignedBy } from './signature.ts'

/** Path of the sealed contents within a set, without the sealing's suffix. */
export const CONTENTS_NAME = 'contents.json'

/** A set whose head and manifest were read and agree. */
export interface OpenSet {
  storage: Storage
  head: Head
  manifest: Manifest
  manifestSha256: string
  /** `checked`: by one of the caller's keys. `unchecked`: signed, but no key was given. */
  signature: 'checked' | 'unchecked' | 'none'
  encrypted: boolean
}

/** What it takes to read the parts of a set. */
export interface PartSource {
  storage: Pick<Storage, 'get'>
  head: Pick<Head, 'id' | 'database'>
  manifest: Pick<Manifest, 'parts'>
}

/**
 * Reads and checks the manifest that `head` names. With `verifyKeys` the signature must be there and be made by one of
 * them. Errors: `missing-manifest`, `changed-manifest`, `changed-head`, `unsigned-set`, `bad-signature`, `unknown-format`.
 */
export async function openSet(storage: Storage, head: Head, verifyKeys: readonly KeyObject[]): Promise<OpenSet> {
  const key = layout.manifest(head.database, head.id)
  const bytes = await readOr(storage, key, head.manifest.versionId, 'missing-manifest')
  const manifestSha256 = createHash('sha256').update(bytes).digest('hex')
  if (manifestSha256 !== head.manifest.sha256 || bytes.length !== head.manifest.bytes) {
    throw tampered('changed-manifest', `The manifest of ${head.id} is not the one that its head names`)
  }
  let signature: OpenSet['signature'] = head.signature === null ? 'none' : 'unchecked'
  if (verifyKeys.length > 0) {
    if (head.signature === null) {
      throw tampered('unsigned-set', `The set ${head.id} is not signed, and verify-key is given`)
    }
    const name = layout.signature(head.database, head.id)
    const detached = await readOr(storage, name, head.signature.versionId, 'bad-signature')
    if (!isSignedBy(bytes, detached, verifyKeys)) {
      throw tampered('bad-signature', `The signature of ${head.id} was not made by any key in verify-key`)
    }
    signature = 'checked'
  }
  const manifest = parseDocument(manifestSchema, bytes, `${storage.url}/${key}`)
  if (manifest.id !== head.id || manifest.database !== head.database) {
    throw tampered('changed-manifest', `The manifest of ${head.id} says that it is ${manifest.database}/${manifest.id}`)
  }
  assertSameFacts(head, manifest)
  return { storage, head, manifest, manifestSha256, signature, encrypted: manifest.sealing.recipients.length > 0 }
}

/** What the head repeats of the manifest, so that listings need no manifest; nobody signs the head. */
const REPEATED = ['takenAt', 'content', 'totals', 'dumpSeconds', 'clockSkewSeconds', 'lockUntil', 'history'] as const

function assertSameFacts(head: Head, manifest: Manifest): void {
  const { systemIdentifier, database } = manifest.source
  const differing = isDeepStrictEqual(head.source, { systemIdentifier, database })
    ? REPEATED.find((name) => !isDeepStrictEqual(head[name], manifest[name]))
    : 'source'
  if (differing !== undefined) {
    throw tampered('changed-head', `The head of ${head.id} does not agree with its manifest: ${differing}`)
  }
  // Sets are found, put in order and kept by the time in their names.
  if (!head.id.startsWith(`${compactTime(new Date(head.takenAt))}-`)) {
    throw tampered('changed-head', `The id ${head.id} does not say when the set was taken: ${head.takenAt}`)
  }
}

async function readOr(storage: Storage, key: string, versionId: string | undefined, code: string): Promise<Buffer> {
  try {
    return await storage.read(key, { ...(versionId === undefined ? {} : { versionId }) })
  } catch (error) {
    if (error instanceof LifeboatError && error.code === 'no-object') {
      throw tampered(code, `${key} is missing from ${storage.url}`)
    }
    throw error
  }
}

function tampered(code: string, message: string): LifeboatError {
  return new LifeboatError(
    code,
    message,
    'Do not restore from this set: choose another with `backup`, take a new dump, and find out who can write to the storage.',
  )
}

/** The part at `path`. Error: `missing-part` when the manifest does not list it. */
export function partAt(set: PartSource, path: string): Part {
  const part = set.manifest.parts.find((candidate) => candidate.path === path)
  if (part) return part
  throw tampered('missing-part', `The manifest of ${set.head.id} does not list ${path}`)
}

/**
 * The stored bytes of a part; `meter` is told of them. Whoever reads to the end has had length and digest checked: error
 * `damaged-part`.
 */
export async function* storedBytes(
  set: PartSource,
  part: Part,
  signal?: AbortSignal,
  meter: Meter = silentMeter,
): AsyncGenerator<Buffer> {
  const key = layout.part(set.head.database, set.head.id, part.path)
  const source = await set.storage.get(key, {
    ...(part.versionId === undefined ? {} : { versionId: part.versionId }),
    ...(signal === undefined ? {} : { signal }),
  })
  const digest = createHash('sha256')
  let bytes = 0
  for await (const chunk of source as AsyncIterable<Buffer>) {
    digest.update(chunk)
    bytes += chunk.length
    meter.add(chunk.length)
    yield chunk
  }
  if (bytes !== part.bytes || digest.digest('hex') !== part.sha256) {
    throw tampered(
      'damaged-part',
      `${part.path} of ${set.head.id} is not what was stored: its length or SHA-256 differs`,
    )
  }
}

/**
 * What was sealed into a part: checked, decrypted, decompressed; `meter` is told of the stored bytes. Errors:
 * `damaged-part`, `wrong-identity`, `no-identity`.
 */
export function plainBytes(
  set: PartSource,
  part: Part,
  identities: readonly AgeIdentity[],
  signal?: AbortSignal,
  meter?: Meter,
): AsyncIterable<Buffer> {
  const encrypted = part.path.endsWith('.age')
  if (encrypted && identities.length === 0) throw noIdentity(set.head.id)
  return named(unseal(storedBytes(set, part, signal, meter), { encrypted, identities }, signal), set, part, signal)
}

/** What ends whoever has to look inside of an encrypted set and cannot. */
export function noIdentity(id: string): LifeboatError {
  return new LifeboatError(
    'no-identity',
    `The set ${id} is encrypted, and no identity was given`,
    'Give the age identity (a line that begins with AGE-SECRET-KEY-1) as the input `identity`, from a secret that exists: a missing one is empty.',
  )
}

/** The same bytes; damage that a decoder meets before the digest is complete is told with the part's name. */
async function* named(
  plain: AsyncIterable<Buffer>,
  set: PartSource,
  part: Part,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  try {
    yield* plain
  } catch (error) {
    // A changed header can look like that of somebody else's data: only the digest tells.
    if (codeOf(error) === 'wrong-identity') for await (const _ of storedBytes(set, part, signal));
    if (!(error instanceof LifeboatError) || !/^damaged-(compression|encryption)$/.test(error.code)) throw error
    throw tampered(error.code, `${part.path} of ${set.head.id} is not what was stored: ${error.message}`)
  }
}

/** Tables, fingerprints and inventory of a set. Errors as of `plainBytes` and `parseDocument`. */
export async function readContents(
  set: OpenSet,
  identities: readonly AgeIdentity[],
  signal?: AbortSignal,
): Promise<Contents> {
  const part = set.manifest.parts.find(({ path }) => path.startsWith(`${CONTENTS_NAME}.zst`))
  if (!part) throw tampered('missing-part', `The manifest of ${set.head.id} lists no ${CONTENTS_NAME}`)
  const chunks: Buffer[] = []
  for await (const chunk of plainBytes(set, part, identities, signal)) chunks.push(chunk)
  const contents = parseDocument(contentsSchema, Buffer.concat(chunks), `${part.path} of ${set.head.id}`)
  if (contents.id !== set.head.id || contents.database !== set.head.database) {
    throw tampered('changed-manifest', `${part.path} of ${set.head.id} belongs to ${contents.database}/${contents.id}`)
  }
  return contents
}

import { isDamage } from '../backup-set/damage.ts'
import type { Contents, DumpedFile, Part } from '../backup-set/documents.ts'
import { type OpenSet, partAt, plainBytes, readContents, storedBytes } from '../backup-set/open-set.ts'
import type { Finding } from '../base/findings.ts'
import { type Meter, silentMeter } from '../base/progress.ts'
import { parseToc, type Toc } from '../postgres/toc.ts'
import type { AgeIdentity } from '../streams/age.ts'
import { unpackBundle } from '../streams/bundle.ts'
import { copyRows } from '../streams/copy-file.ts'
import { type Fingerprint, LineFingerprinter, largeObjectFingerprint } from '../streams/fingerprint.ts'
import type { Check, CheckOutcome } from './check.ts'

/** What reading every stored byte of a set brought to light. */
export interface Reading {
  /** Stored bytes that were read and whose digests are right. */
  bytesRead: number
  partsRead: number
  /** Damage to stored bytes: digests, lengths, decryption, decompression. */
  damage: Finding[]
  /** Undefined where the set is encrypted and no identity was given. */
  inside?: Inside
}

/** What is inside of the parts. */
export interface Inside {
  contents: Contents
  /** Names of the files that hold rows. */
  tableFiles: ReadonlySet<string>
  toc?: Toc
  /** Recomputed from the rows, by file. */
  fingerprints: Map<string, Fingerprint>
  /** Files that came out of the parts, by name, with their plain length. */
  files: Map<string, number>
}

const AT_ONCE = 4

/** A check of what is inside of the parts: `not run` where they could not be opened. */
export function lookInside(look: (inside: Inside) => CheckOutcome): Check['run'] {
  return async (context) => {
    const { inside, damage } = await context.reading()
    if (inside) return look(inside)
    const summary = damage.length > 0 ? 'the contents cannot be read' : 'encrypted, and no identity was given'
    return { status: 'not run', summary, findings: [] }
  }
}

/**
 * Reads every part once, several at a time: digests always; what is inside, where it can be opened. Damage is collected;
 * what keeps from reading (the storage, a wrong identity) rejects. `meter` is told of stored bytes.
 */
export async function readEverything(
  set: OpenSet,
  identities: readonly AgeIdentity[],
  signal: AbortSignal,
  meter: Meter = silentMeter,
): Promise<Reading> {
  const bytes = set.manifest.parts.reduce((sum, part) => sum + part.bytes, 0)
  meter.expect(bytes, 'exactly')
  const reading: Reading = { bytesRead: 0, partsRead: 0, damage: [] }
  const open = !set.encrypted || identities.length > 0
  if (open) await readInside(set, identities, reading, signal)
  const jobs = planJobs(set, reading.inside, { identities, signal, reading, meter })
  const work = async () => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await attempt(reading, job)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return reading
}

async function readInside(
  set: OpenSet,
  identities: readonly AgeIdentity[],
  reading: Reading,
  signal: AbortSignal,
): Promise<void> {
  await attempt(reading, async () => {
    const contents = await readContents(set, identities, signal)
    const tableFiles = new Set(contents.tables.map(({ file }) => file))
    reading.inside = { contents, tableFiles, fingerprints: new Map(), files: new Map() }
  })
}

async function attempt(reading: Reading, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!isDamage(error)) throw error
    reading.damage.push({ severity: 'failure', message: error.message, remedy: error.remedy })
  }
}

interface ReadContext {
  identities: readonly AgeIdentity[]
  signal: AbortSignal
  reading: Reading
  meter: Meter
}

/** One job a file with segments (their order matters), one a part for the rest. */
function planJobs(set: OpenSet, inside: Inside | undefined, context: ReadContext): (() => Promise<void>)[] {
  const left = new Set(set.manifest.parts)
  const jobs: (() => Promise<void>)[] = []
  for (const file of inside?.contents.files ?? []) {
    if (file.segments === undefined) continue
    for (const { path } of file.segments) {
      const part = set.manifest.parts.find((candidate) => candidate.path === path)
      if (part) left.delete(part)
    }
    jobs.push(() => readSegments(set, file, inside, context))
  }
  for (const part of left) jobs.push(() => readOther(set, part, inside, context))
  return jobs
}

/** The plain bytes of a part; its stored bytes count as read when it was read to its end. */
async function* opened(set: OpenSet, part: Part, context: ReadContext): AsyncGenerator<Buffer> {
  const { identities, signal, reading, meter } = context
  const sealed = part.path.endsWith('.zst') || (part.path.endsWith('.age') && identities.length > 0)
  yield* sealed ? plainBytes(set, part, identities, signal, meter) : storedBytes(set, part, signal, meter)
  reading.bytesRead += part.bytes
  reading.partsRead += 1
}

async function readSegments(
  set: OpenSet,
  file: DumpedFile,
  inside: Inside | undefined,
  context: ReadContext,
): Promise<void> {
  const segments = file.segments ?? []
  let plain = 0
  const whole = (async function* () {
    for (const { path } of segments) {
      for await (const chunk of opened(set, partAt(set, path), context)) {
        plain += chunk.length
        yield chunk
      }
    }
  })()
  const fingerprint = await fingerprintOf(file.name, whole, inside)
  inside?.files.set(file.name, plain)
  if (fingerprint) inside?.fingerprints.set(file.name, fingerprint)
}

async function readOther(set: OpenSet, part: Part, inside: Inside | undefined, context: ReadContext): Promise<void> {
  const bytes = opened(set, part, context)
  if (inside && /^database\/bundle-\d+\.tar\.zst/.test(part.path)) {
    for await (const { name, bytes: length, content } of unpackBundle(bytes)) {
      const fingerprint = await fingerprintOf(name, content, inside)
      inside.files.set(name, length)
      if (fingerprint) inside.fingerprints.set(name, fingerprint)
    }
  } else if (inside && part.path.startsWith('database/toc.dat.')) {
    const chunks: Buffer[] = []
    for await (const chunk of bytes) chunks.push(chunk)
    inside.toc = parseToc(Buffer.concat(chunks))
  } else {
    for await (const _ of bytes);
  }
}

/** The fingerprint of a table's or large object's file; what is neither is read through. */
async function fingerprintOf(
  name: string,
  content: AsyncIterable<Buffer>,
  inside: Inside | undefined,
): Promise<Fingerprint | undefined> {
  const largeObject = /^blob_(\d+)\.dat$/.exec(name)
  if (largeObject) return largeObjectFingerprint({ oid: Number(largeObject[1]), content })
  if (!inside?.tableFiles.has(name)) {
    for await (const _ of content);
    return undefined
  }
  const lines = new LineFingerprinter()
  for await (const rows of copyRows(content)) lines.update(rows)
  return lines.digest()
}

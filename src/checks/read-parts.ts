import type { DumpedFile, Part } from '../backup-set/documents.ts'
import { type OpenSet, partAt, plainBytes, storedBytes } from '../backup-set/open-set.ts'
import type { Meter } from '../base/progress.ts'
import { parseToc } from '../postgres/toc.ts'
import type { AgeIdentity } from '../streams/age.ts'
import { unpackBundle } from '../streams/bundle.ts'
import { copyRows } from '../streams/copy-file.ts'
import { type Fingerprint, LineFingerprinter, largeObjectFingerprint } from '../streams/fingerprint.ts'
import type { Inside, Reading } from './reading.ts'

export interface ReadContext {
  set: OpenSet
  inside: Inside | undefined
  identities: readonly AgeIdentity[]
  signal: AbortSignal
  meter: Meter
  reading: Reading
}

/**
 * One job a file with segments (their order matters), one a part for the rest. Of a file of which only some segments are
 * to be read, one a segment.
 */
export function planJobs(
  parts: readonly Part[],
  context: ReadContext,
  covers: (path: string) => boolean,
): (() => Promise<void>)[] {
  const left = new Map(parts.map((part) => [part.path, part]))
  const jobs: (() => Promise<void>)[] = []
  for (const file of context.inside?.contents.files ?? []) {
    const segments = file.segments ?? []
    const covered = segments.filter(({ path }) => covers(path))
    for (const { path } of covered) left.delete(path)
    if (covered.length === 0) continue
    if (covered.length === segments.length) jobs.push(() => readSegments(file, context))
    else for (const { path } of covered) jobs.push(() => readSegment(file, path, context))
  }
  for (const part of left.values()) jobs.push(() => readOther(part, context))
  return jobs
}

/** The plain bytes of a part; its stored bytes count as read when it was read to its end. */
async function* opened(part: Part, context: ReadContext): AsyncGenerator<Buffer> {
  const { set, identities, signal, reading, meter } = context
  const sealed = part.path.endsWith('.zst') || (part.path.endsWith('.age') && identities.length > 0)
  yield* sealed ? plainBytes(set, part, identities, signal, meter) : storedBytes(set, part, signal, meter)
  reading.bytesRead += part.bytes
  reading.partsRead += 1
}

async function readSegments(file: DumpedFile, context: ReadContext): Promise<void> {
  const { set, inside } = context
  let plain = 0
  const whole = (async function* () {
    for (const { path } of file.segments ?? []) {
      for await (const chunk of opened(partAt(set, path), context)) {
        plain += chunk.length
        yield chunk
      }
    }
  })()
  const fingerprint = await fingerprintOf(file.name, whole, inside)
  inside?.files.set(file.name, plain)
  if (fingerprint) inside?.fingerprints.set(file.name, fingerprint)
}

/** A segment is COPY text of its own; the last one has the end mark. */
async function readSegment(file: DumpedFile, path: string, context: ReadContext): Promise<void> {
  const { set, inside } = context
  let plainBytes = 0
  const content = (async function* () {
    for await (const chunk of opened(partAt(set, path), context)) {
      plainBytes += chunk.length
      yield chunk
    }
  })()
  let fingerprint: Fingerprint | undefined
  if (inside?.tableFiles.has(file.name)) {
    const isLast = file.segments?.at(-1)?.path === path
    fingerprint = await linesOf(isLast ? copyRows(content) : content)
  } else for await (const _ of content);
  inside?.segments.set(path, { plainBytes, ...(fingerprint && { fingerprint }) })
}

async function readOther(part: Part, context: ReadContext): Promise<void> {
  const { inside } = context
  const bytes = opened(part, context)
  if (inside && /^database\/bundle-\d+\.tar\.zst/.test(part.path)) {
    for await (const { name, bytes: length, content } of unpackBundle(bytes)) {
      const fingerprint = await fingerprintOf(name, content, inside)
      inside.files.set(name, length)
      if (fingerprint) inside.fingerprints.set(name, fingerprint)
    }
  } else if (inside && part.path.startsWith('database/toc.dat.')) {
    inside.toc = parseToc(await collected(bytes))
  } else if (inside && part.path.startsWith('prepare.dat.')) {
    inside.prepare = parseToc(await collected(bytes))
  } else if (inside && part.path.startsWith('roles.sql.')) {
    inside.roles = await collected(bytes)
  } else {
    for await (const _ of bytes);
  }
}

async function collected(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** The fingerprint of a table's or large object's file; what is neither is read through. */
async function fingerprintOf(
  name: string,
  content: AsyncIterable<Buffer>,
  inside: Inside | undefined,
): Promise<Fingerprint | undefined> {
  const largeObject = /^blob_(\d+)\.dat$/.exec(name)
  if (largeObject) return largeObjectFingerprint({ oid: Number(largeObject[1]), content })
  if (inside?.tableFiles.has(name)) return linesOf(copyRows(content))
  for await (const _ of content);
  return undefined
}

async function linesOf(rows: AsyncIterable<Buffer>): Promise<Fingerprint> {
  const lines = new LineFingerprinter()
  for await (const chunk of rows) lines.update(chunk)
  return lines.digest()
}

import type { DumpedFile } from '../backup-set/documents.ts'
import { ChunkReader } from '../streams/chunks.ts'
import { COPY_END_MARKER, copyRows, segments } from '../streams/copy-file.ts'
import {
  addFingerprints,
  type Fingerprint,
  LargeObjectFingerprinter,
  LineFingerprinter,
} from '../streams/fingerprint.ts'
import { type Bundler, SMALL_FILE_BYTES } from './bundler.ts'
import type { StoreStream } from './set-writer.ts'

/** A segment ends at the first line end from here on. */
export const SEGMENT_BYTES = 256 << 20
/** What the server sends as one row is shorter than 1 GiB (MaxAllocSize); the end mark may follow. */
const MAX_ROW_BYTES = 2 ** 30

/** What a data file of pg_dump holds, which says how it is cut and what is computed from it. */
export type FileContent = { kind: 'rows' } | { kind: 'large object'; oid: number } | { kind: 'other' }

export interface SealedFile {
  file: DumpedFile
  /** Undefined for what is no content of the database: the lists of large objects. */
  fingerprint?: Fingerprint
}

export interface SealFileOptions {
  name: string
  content: FileContent
  chunks: AsyncIterable<Buffer>
  store: StoreStream
  bundler: Bundler
  segmentBytes?: number
}

/**
 * Stores one data file, whole: in a bundle if it is small, else as one or more segments that joined give the file.
 * Computes its fingerprint as the bytes pass. The path of the bundle is not known yet when this returns.
 * Error: `cut-data-file` if a table's file lacks its end mark.
 */
export async function sealFile(options: SealFileOptions): Promise<SealedFile> {
  const { name, content, chunks, bundler } = options
  const reader = new ChunkReader(chunks)
  try {
    const head = await reader.readExactly(SMALL_FILE_BYTES)
    if (head.length < SMALL_FILE_BYTES) {
      const fingerprint = await fingerprintOf(content, head)
      await bundler.add(name, head)
      return { file: { name, plainBytes: head.length }, ...(fingerprint === undefined ? {} : { fingerprint }) }
    }
    reader.unread(head)
    return await sealLargeFile(options, reader)
  } finally {
    await reader.close()
  }
}

async function fingerprintOf(content: FileContent, bytes: Buffer): Promise<Fingerprint | undefined> {
  if (content.kind === 'other') return undefined
  if (content.kind === 'large object') return new LargeObjectFingerprinter(content.oid).update(bytes).digest()
  const lines = new LineFingerprinter()
  for await (const rows of copyRows(single(bytes))) lines.update(rows)
  return lines.digest()
}

async function* single(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

function sealLargeFile(options: SealFileOptions, reader: ChunkReader): Promise<SealedFile> {
  const { content } = options
  if (content.kind === 'rows') return sealRows(options, reader)
  if (content.kind === 'other') return sealPieces(options, reader, () => undefined)
  return sealLargeObject(options, reader, content.oid)
}

async function sealRows(options: SealFileOptions, reader: ChunkReader): Promise<SealedFile> {
  const { name, store, segmentBytes = SEGMENT_BYTES } = options
  const stored: NonNullable<DumpedFile['segments']> = []
  let plainBytes = 0
  let rowsEnded = false
  let markerStored = false
  const rows = (async function* () {
    yield* copyRows(readAll(reader))
    rowsEnded = true
  })()
  const put = async (content: AsyncIterable<Buffer>, lines: LineFingerprinter) => {
    const maxBytes = segmentBytes + MAX_ROW_BYTES
    const part = await store({ path: segmentPath(name, stored.length), content, maxBytes })
    plainBytes += part.plainBytes
    stored.push({ path: part.path, plainBytes: part.plainBytes, fingerprint: lines.digest() })
  }
  for await (const segment of segments(rows, segmentBytes)) {
    const lines = new LineFingerprinter()
    await put(
      (async function* () {
        for await (const chunk of segment) {
          lines.update(chunk)
          yield chunk
        }
        if (!rowsEnded) return
        markerStored = true
        yield COPY_END_MARKER
      })(),
      lines,
    )
  }
  // The last row ended just where a segment was cut: the end mark is a segment of its own.
  if (!markerStored) await put(single(COPY_END_MARKER), new LineFingerprinter())
  const fingerprint = addFingerprints(...stored.flatMap((segment) => segment.fingerprint ?? []))
  return { file: { name, plainBytes, segments: stored }, fingerprint }
}

async function sealLargeObject(options: SealFileOptions, reader: ChunkReader, oid: number): Promise<SealedFile> {
  const object = new LargeObjectFingerprinter(oid)
  const sealed = await sealPieces(options, reader, (chunk) => object.update(chunk))
  return { ...sealed, fingerprint: object.digest() }
}

async function sealPieces(
  { name, store, segmentBytes = SEGMENT_BYTES }: SealFileOptions,
  reader: ChunkReader,
  see: (chunk: Buffer) => unknown,
): Promise<SealedFile> {
  const stored: NonNullable<DumpedFile['segments']> = []
  let plainBytes = 0
  do {
    const content = (async function* () {
      let left = segmentBytes
      while (left > 0) {
        const chunk = await reader.readUpTo(left)
        if (chunk === undefined) return
        left -= chunk.length
        see(chunk)
        yield chunk
      }
    })()
    const part = await store({ path: segmentPath(name, stored.length), content, maxBytes: segmentBytes })
    plainBytes += part.plainBytes
    stored.push({ path: part.path, plainBytes: part.plainBytes })
  } while (!(await reader.atEnd()))
  return { file: { name, plainBytes, segments: stored } }
}

async function* readAll(reader: ChunkReader): AsyncGenerator<Buffer> {
  for (let chunk = await reader.read(); chunk !== undefined; chunk = await reader.read()) yield chunk
}

/** `database/3438.dat.000000`: the segments of a file sort in the order in which they are joined. */
function segmentPath(name: string, index: number): string {
  return `database/${name}.${String(index).padStart(6, '0')}`
}

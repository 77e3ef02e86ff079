import { LifeboatError } from '../base/errors.ts'
import { ChunkReader } from './chunks.ts'

const LINE_FEED = 0x0a

/**
 * What ends the data file of a finished table in an uncompressed `pg_dump -Fd`: the line that ends COPY text in a script,
 * and two empty lines. Tried on 15.20, 17.12 and 18.6.
 */
export const COPY_END_MARKER: Buffer = Buffer.from('\\.\n\n\n')

/**
 * The COPY text of a table's data file, without the end marker. The marker is told by its position, the last five bytes,
 * and not by its look: an empty line is a legal row (an empty string in a table of one column). Chunks may be lent: the next
 * one of the source is asked for when the next one is asked for here.
 * Rejects with LifeboatError `cut-data-file` if the file does not end in the marker, at the start of a line.
 */
export async function* copyRows(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  // The newest bytes, as many as the marker has, once there are so many: a copy, since a chunk is only lent.
  let held: Buffer = Buffer.alloc(0)
  let lastGiven = LINE_FEED
  for await (const chunk of source) {
    const settled = Math.max(0, held.length + chunk.length - COPY_END_MARKER.length)
    const fromHeld = held.subarray(0, settled)
    const fromChunk = chunk.subarray(0, Math.max(0, settled - held.length))
    held = Buffer.concat([held.subarray(fromHeld.length), chunk.subarray(fromChunk.length)])
    lastGiven = fromChunk.at(-1) ?? fromHeld.at(-1) ?? lastGiven
    if (fromHeld.length > 0) yield fromHeld
    if (fromChunk.length > 0) yield fromChunk
  }
  if (held.equals(COPY_END_MARKER) && lastGiven === LINE_FEED) return
  throw new LifeboatError(
    'cut-data-file',
    'A data file of the dump is not complete: it does not end in the end marker of pg_dump.',
    'Treat the dump as failed: look for an earlier error of pg_dump or of the storage, then dump again.',
  )
}

/**
 * Cuts COPY text into segments, each ending at the first line end at or after `targetBytes`, so each a COPY text of its
 * own. There is at least one, which may be empty. A segment has to be read to its end before the next is asked for.
 */
export async function* segments(
  source: AsyncIterable<Buffer>,
  targetBytes: number,
): AsyncGenerator<AsyncIterable<Buffer>, void, void> {
  const reader = new ChunkReader(source)
  try {
    do {
      const progress = { ended: false }
      yield segment(reader, targetBytes, progress)
      if (!progress.ended) throw new Error('a segment was not read to its end before the next was asked for')
    } while (!(await reader.atEnd()))
  } finally {
    await reader.close()
  }
}

async function* segment(
  reader: ChunkReader,
  targetBytes: number,
  progress: { ended: boolean },
): AsyncGenerator<Buffer, void, void> {
  let bytes = 0
  for (;;) {
    const chunk = await reader.read()
    if (chunk === undefined) break
    // The line end may be the very byte that completes the target.
    const from = Math.max(0, targetBytes - bytes - 1)
    const lineEnd = from < chunk.length ? chunk.indexOf(LINE_FEED, from) : -1
    if (lineEnd >= 0) {
      reader.unread(chunk.subarray(lineEnd + 1))
      progress.ended = true
      yield chunk.subarray(0, lineEnd + 1)
      return
    }
    bytes += chunk.length
    yield chunk
  }
  progress.ended = true
}

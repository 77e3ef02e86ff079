import { pack } from 'tar-stream'
import { ChunkReader, gatherChunks } from './chunks.ts'
import { damagedBundle, paddingOf, readEntryHead } from './tar-reader.ts'

/** The same for every file, so that equal files make equal bundles. Not 1970: GNU tar warns of that. */
const HEADER = { mode: 0o600, uid: 0, gid: 0, mtime: new Date('2000-01-01T00:00:00Z'), type: 'file' } as const
const CHUNK_BYTES = 64 * 1024

export interface BundleFile {
  /** Up to 200 characters. */
  name: string
  content: Buffer
}

export interface BundleEntry {
  name: string
  bytes: number
  content: AsyncIterable<Buffer>
}

/** A tar archive of the files, in their order; `tar -x` reads it. The same files give the same bytes. */
export function packBundle(files: readonly BundleFile[]): AsyncIterable<Buffer> {
  return gatherChunks(packFiles(files), CHUNK_BYTES)
}

async function* packFiles(files: readonly BundleFile[]): AsyncGenerator<Buffer, void, void> {
  const archive = pack()
  for (const { name, content } of files) archive.entry({ ...HEADER, name, size: content.length }, content)
  archive.finalize()
  for await (const chunk of archive) yield chunk as Buffer
}

/**
 * The files of a bundle, one after the other, in constant memory; what is left of an entry's content is passed over when the
 * next is asked for. Rejects with LifeboatError `damaged-bundle` whatever `packBundle` did not write: an archive that is cut,
 * even between two files, one with a gap, another kind of entry, or a name that leaves the directory.
 *
 * The reader is our own because tar-stream's accepts an archive without its end, and passes over headers that are zero.
 */
export async function* unpackBundle(source: AsyncIterable<Buffer>): AsyncGenerator<BundleEntry, void, void> {
  const reader = new ChunkReader(source)
  try {
    for (;;) {
      const head = await readEntryHead(reader)
      if (head === undefined) return
      const left = { bytes: head.bytes }
      yield { ...head, content: readContent(reader, left) }
      for await (const _ of readContent(reader, left)) {
        // Passed over: the reader was not interested in it.
      }
      const padding = await reader.readExactly(paddingOf(head.bytes))
      if (padding.length < paddingOf(head.bytes)) throw damagedBundle('it is cut off')
    }
  } finally {
    await reader.close()
  }
}

async function* readContent(reader: ChunkReader, left: { bytes: number }): AsyncGenerator<Buffer, void, void> {
  while (left.bytes > 0) {
    const chunk = await reader.readUpTo(left.bytes)
    if (chunk === undefined) throw damagedBundle('it is cut off')
    left.bytes -= chunk.length
    yield chunk
  }
}

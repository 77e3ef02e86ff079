import { LifeboatError } from '../base/errors.ts'
import type { ChunkReader } from './chunks.ts'

// POSIX ustar with pax records for long names, as tar-stream writes it:
// https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html ("ustar Interchange Format", "pax Extended Header").

export const BLOCK_BYTES = 512
const MAX_PAX_BYTES = 64 * 1024
const CHECKSUM = { start: 148, end: 156 }

export interface EntryHead {
  name: string
  bytes: number
}

/** How many bytes follow content of that length, up to the next block. */
export function paddingOf(bytes: number): number {
  return -bytes & (BLOCK_BYTES - 1)
}

/**
 * The head of the next file; undefined once the end of the archive was read to the last byte.
 * Throws LifeboatError `damaged-bundle` on anything else.
 */
export async function readEntryHead(reader: ChunkReader): Promise<EntryHead | undefined> {
  let header = await readBlock(reader)
  if (isZero(header)) {
    await readEnd(reader)
    return undefined
  }
  checkHeader(header)
  let longName: string | undefined
  if (typeOf(header) === 'x') {
    longName = await readLongName(reader, octal(header, 124, 136))
    header = await readBlock(reader)
    checkHeader(header)
  }
  if (typeOf(header) !== '0') throw damagedBundle('it holds something other than plain files')
  const prefix = text(header, 345, 500)
  const shortName = text(header, 0, 100)
  const name = longName ?? (prefix === '' ? shortName : `${prefix}/${shortName}`)
  if (name === '' || name.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw damagedBundle('it holds a file whose name leads elsewhere')
  }
  return { name, bytes: octal(header, 124, 136) }
}

export function damagedBundle(problem: string): LifeboatError {
  return new LifeboatError(
    'damaged-bundle',
    `A bundle of small files is damaged: ${problem}.`,
    'Use another backup set; action-verify with `mode: integrity` says which parts of this one are damaged.',
  )
}

async function readBlock(reader: ChunkReader): Promise<Buffer> {
  const block = await reader.readExactly(BLOCK_BYTES)
  if (block.length < BLOCK_BYTES) throw damagedBundle('it is cut off')
  return block
}

/** The second of the two empty blocks that end an archive; a third one would be a header that has been lost. */
async function readEnd(reader: ChunkReader): Promise<void> {
  if (!isZero(await readBlock(reader))) throw damagedBundle('it has a gap')
  if (!(await reader.atEnd())) throw damagedBundle('other data follows it')
}

function checkHeader(header: Buffer): void {
  // The checksum counts its own eight bytes as blanks.
  let sum = 8 * 0x20
  for (const byte of header) sum += byte
  for (const byte of header.subarray(CHECKSUM.start, CHECKSUM.end)) sum -= byte
  if (header.toString('latin1', 257, 265) !== 'ustar\x0000' || octal(header, CHECKSUM.start, CHECKSUM.end) !== sum) {
    throw damagedBundle('a file header in it was changed')
  }
}

function typeOf(header: Buffer): string {
  return String.fromCharCode(header[156] ?? 0)
}

/** The `path` of a pax extended header, whose records are `<length> <key>=<value>\n`. */
async function readLongName(reader: ChunkReader, bytes: number): Promise<string> {
  if (bytes > MAX_PAX_BYTES) throw damagedBundle('a file header in it was changed')
  const records = await reader.readExactly(bytes + paddingOf(bytes))
  const match = /^(\d+) path=([^\0]+)\n$/.exec(records.toString('utf8', 0, bytes))
  if (match?.[2] === undefined || Number(match[1]) !== bytes) throw damagedBundle('a file name in it was changed')
  return match[2]
}

function octal(header: Buffer, start: number, end: number): number {
  const match = /^([0-7]+)[ \0]*$/.exec(header.toString('latin1', start, end))
  if (match?.[1] === undefined) throw damagedBundle('a file header in it was changed')
  return Number.parseInt(match[1], 8)
}

function text(header: Buffer, start: number, end: number): string {
  const field = header.subarray(start, end)
  const zero = field.indexOf(0)
  return field.toString('utf8', 0, zero < 0 ? field.length : zero)
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0)
}

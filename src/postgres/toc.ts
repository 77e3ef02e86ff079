import { isUtf8 } from 'node:buffer'
import { LifeboatError } from '../base/errors.ts'
import { DIRECTORY_FORMAT, TOC_MAGIC, TOC_SECTIONS, type Toc, type TocEntry, type TocVersion } from './toc-types.ts'

export * from './toc-entries.ts'
export type { Toc, TocEntry, TocSection, TocVersion } from './toc-types.ts'
export * from './toc-writer.ts'

const VERSIONS: readonly string[] = ['1.14', '1.15', '1.16'] satisfies TocVersion[]

/**
 * Reads the `toc.dat` of a directory-format archive (ReadHead and ReadToc of pg_backup_archiver.c). Whatever the bytes
 * are, it takes time and memory in proportion to their number.
 *
 * Throws LifeboatError `damaged-toc`, or `unknown-archive-version` where a newer PostgreSQL wrote it.
 */
export function parseToc(bytes: Buffer): Toc {
  // Strings carry no encoding of their own, and one that is not UTF-8 settles it for all of them.
  return parseAs(bytes, 'utf8') ?? parseAs(bytes, 'latin1') ?? fail('has undecodable text')
}

function parseAs(bytes: Buffer, textEncoding: Toc['textEncoding']): Toc | undefined {
  const reader = new TocReader(bytes, textEncoding)
  const version = readVersion(reader)
  const offsetSize = readSizes(reader)
  const toc: Toc = {
    version,
    format: 'directory',
    textEncoding,
    offsetSize,
    compression: version === '1.14' ? reader.int() : reader.byte(),
    ...readDate(reader),
    database: reader.text('database name'),
    serverVersion: reader.text('server version'),
    dumpVersion: reader.text('pg_dump version'),
    entries: [],
  }
  const count = reader.int()
  if (count < 0) fail('has a negative number of entries')
  for (let index = 0; index < count; index += 1) toc.entries.push(readEntry(reader, version))
  reader.expectEnd()
  return reader.undecodable ? undefined : toc
}

function readVersion(reader: TocReader): TocVersion {
  for (const letter of TOC_MAGIC) {
    if (reader.byte() !== letter.charCodeAt(0)) fail('does not begin like an archive of pg_dump')
  }
  const [major, minor, revision] = [reader.byte(), reader.byte(), reader.byte()]
  const version = `${major}.${minor}`
  if (VERSIONS.includes(version) && revision === 0) return version as TocVersion
  throw new LifeboatError(
    'unknown-archive-version',
    `toc.dat has the unknown archive version ${version}.${revision} (known: ${VERSIONS.join(', ')})`,
    'Use a newer release of pg-lifeboat, or restore by hand as RESTORE.md in the backup set says.',
  )
}

function readSizes(reader: TocReader): number {
  if (reader.byte() !== 4) fail('has integers of an unknown size')
  const offsetSize = reader.byte()
  if (offsetSize !== 8 && offsetSize !== 4) fail('has file offsets of an unknown size')
  if (reader.byte() !== DIRECTORY_FORMAT) fail('is not of the directory format')
  return offsetSize
}

function readDate(reader: TocReader): Pick<Toc, 'createdAt' | 'daylightSaving'> {
  const second = reader.intWithin(0, 60)
  const minute = reader.intWithin(0, 59)
  const hour = reader.intWithin(0, 23)
  const day = reader.intWithin(1, 31)
  const month = reader.intWithin(0, 11) + 1
  const year = reader.intWithin(0, 8_099) + 1900
  const daylightSaving = reader.intWithin(-1, 1)
  const two = (value: number) => String(value).padStart(2, '0')
  return {
    createdAt: `${year}-${two(month)}-${two(day)}T${two(hour)}:${two(minute)}:${two(second)}`,
    daylightSaving,
  }
}

function readEntry(reader: TocReader, version: TocVersion): TocEntry {
  const entry: TocEntry = {
    dumpId: reader.intWithin(1, 0x7fffffff),
    hadDumper: reader.intWithin(0, 1) === 1,
    tableOid: reader.oid(),
    oid: reader.oid(),
    tag: reader.text('tag'),
    desc: reader.text('description'),
    section: TOC_SECTIONS[reader.intWithin(1, 4)] ?? fail('has an unknown section'),
    defn: reader.string(),
    dropStmt: reader.string(),
    copyStmt: reader.string(),
    namespace: reader.string(),
    tablespace: reader.string(),
    tableAm: reader.string(),
    relkind: version === '1.16' ? reader.letter() : null,
    owner: reader.string(),
    dependencies: [],
  }
  // `WITH OIDS` ended with PostgreSQL 12; the field is still there.
  if (reader.string() !== 'false') fail('has a table WITH OIDS')
  for (let id = reader.string(); id !== null; id = reader.string()) entry.dependencies.push(decimal(id, 0x7fffffff))
  const fileName = reader.string()
  if (fileName) entry.fileName = checkedFileName(fileName)
  return entry
}

/** File names become paths: one that leads out of its directory comes from nobody's pg_dump. */
function checkedFileName(name: string): string {
  return /^[\w][\w.-]*$/.test(name) ? name : fail('has a file name that pg_dump does not write')
}

function decimal(text: string, maximum: number): number {
  const value = /^(0|[1-9]\d{0,9})$/.test(text) ? Number(text) : -1
  return value >= 0 && value <= maximum ? value : fail('has a number that is none')
}

function fail(what: string): never {
  throw new LifeboatError(
    'damaged-toc',
    `toc.dat ${what}: it is damaged, or not the table of contents of a pg_dump directory`,
    'Take another backup set; the integrity mode of action-verify says which parts of this one are damaged.',
  )
}

/** Reads the primitives of an archive. Never past the end, never more than is there. */
class TocReader {
  readonly #bytes: Buffer
  readonly #encoding: Toc['textEncoding']
  #position = 0
  /** Set once a string was not valid in the encoding. */
  undecodable = false

  constructor(bytes: Buffer, encoding: Toc['textEncoding']) {
    this.#bytes = bytes
    this.#encoding = encoding
  }

  byte(): number {
    const value = this.#bytes[this.#position]
    if (value === undefined) return fail('ends too early')
    this.#position += 1
    return value
  }

  /** A sign byte and four bytes, least significant first. */
  int(): number {
    const sign = this.byte()
    const value = this.byte() + this.byte() * 0x100 + this.byte() * 0x10000 + this.byte() * 0x1000000
    if (sign > 1 || value > 0x7fffffff) fail('has an integer out of range')
    return sign === 1 && value !== 0 ? -value : value
  }

  intWithin(minimum: number, maximum: number): number {
    const value = this.int()
    return value >= minimum && value <= maximum ? value : fail('has an integer out of range')
  }

  /** A length and as many bytes; null for the length -1. */
  string(): string | null {
    const length = this.int()
    if (length === -1) return null
    if (length < 0 || length > this.#bytes.length - this.#position)
      return fail('has a string that is longer than the file')
    const slice = this.#bytes.subarray(this.#position, this.#position + length)
    this.#position += length
    if (slice.includes(0)) fail('has a zero byte in a string')
    if (this.#encoding === 'utf8' && !isUtf8(slice)) this.undecodable = true
    return slice.toString(this.#encoding)
  }

  text(what: string): string {
    return this.string() ?? fail(`has no ${what}`)
  }

  oid(): number {
    return decimal(this.text('object id'), 0xffffffff)
  }

  letter(): string {
    const code = this.intWithin(0, 127)
    return code === 0 ? '' : String.fromCharCode(code)
  }

  expectEnd(): void {
    if (this.#position !== this.#bytes.length) fail('goes on after its last entry')
  }
}

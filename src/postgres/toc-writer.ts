import { DIRECTORY_FORMAT, TOC_MAGIC, TOC_SECTIONS, type Toc, type TocEntry } from './toc-types.ts'

/** One statement of a statements-only archive. */
export interface ArchiveStatement {
  /** What `pg_restore --list` and its messages call it. */
  tag: string
  /** One statement (a `DO` block is one), with or without its semicolon. */
  sql: string
}

/**
 * The bytes of a `toc.dat` that pg_restore of the same major version reads; `parseToc` gives the same object back.
 * Throws a TypeError where the object is none that parseToc could have given (a number out of range, a file name
 * in an archive version that has no place for it): that is a defect of the caller, not of a backup.
 */
export function writeToc(toc: Toc): Buffer {
  const writer = new TocWriter(toc.textEncoding)
  writer.raw(Buffer.from(TOC_MAGIC, 'latin1'))
  const [major, minor] = toc.version.split('.').map(Number)
  for (const value of [major ?? 0, minor ?? 0, 0, 4, toc.offsetSize, DIRECTORY_FORMAT]) writer.byte(value)
  if (toc.version === '1.14') writer.int(toc.compression)
  else writer.byte(toc.compression)
  writeDate(writer, toc)
  for (const text of [toc.database, toc.serverVersion, toc.dumpVersion]) writer.string(text)
  writer.int(toc.entries.length)
  for (const entry of toc.entries) writeEntry(writer, toc, entry)
  return writer.bytes()
}

/**
 * The `toc.dat` of a directory-format archive that holds nothing but statements, run in order by
 * `pg_restore --dbname=… <directory>` of PostgreSQL 12 and later. It lets a restore by hand create roles and database
 * settings with pg_restore alone: feeding SQL text to psql would let that text run psql's own commands.
 */
export function buildArchiveToc(options: {
  statements: readonly ArchiveStatement[]
  /** Shown by `pg_restore --list`; also keeps the bytes the same for the same statements. */
  createdAt?: string
  database?: string
}): Buffer {
  const settings = [
    { tag: 'ENCODING', desc: 'ENCODING', defn: "SET client_encoding = 'UTF8';\n" },
    { tag: 'STDSTRINGS', desc: 'STDSTRINGS', defn: "SET standard_conforming_strings = 'on';\n" },
  ]
  const statements = options.statements.map(({ tag, sql }) => ({ tag, desc: 'STATEMENT', defn: terminated(sql) }))
  return writeToc({
    version: '1.14',
    format: 'directory',
    textEncoding: 'utf8',
    offsetSize: 8,
    compression: 0,
    createdAt: options.createdAt ?? '2000-01-01T00:00:00',
    daylightSaving: 0,
    database: options.database ?? '',
    serverVersion: '12.0',
    dumpVersion: '12.0',
    entries: [...settings, ...statements].map((part, index) => statementEntry(part, index + 1)),
  })
}

function terminated(sql: string): string {
  return sql.trimEnd().endsWith(';') ? `${sql.trimEnd()}\n` : `${sql.trimEnd()};\n`
}

function statementEntry(part: { tag: string; desc: string; defn: string }, dumpId: number): TocEntry {
  return {
    dumpId,
    hadDumper: false,
    tableOid: 0,
    oid: 0,
    tag: part.tag,
    desc: part.desc,
    section: 'pre-data',
    defn: part.defn,
    dropStmt: '',
    copyStmt: '',
    namespace: null,
    tablespace: null,
    tableAm: null,
    relkind: null,
    owner: '',
    // pg_restore sorts by dependency in parallel mode; each statement waits for the one before it.
    dependencies: dumpId === 1 ? [] : [dumpId - 1],
  }
}

function writeDate(writer: TocWriter, toc: Toc): void {
  const parts = /^(\d{4,})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)$/.exec(toc.createdAt)
  if (parts === null) throw new TypeError(`not a local time: ${toc.createdAt}`)
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(1).map(Number)
  for (const value of [second, minute, hour, day, month - 1, year - 1900, toc.daylightSaving]) writer.int(value)
}

function writeEntry(writer: TocWriter, toc: Toc, entry: TocEntry): void {
  writer.int(entry.dumpId)
  writer.int(entry.hadDumper ? 1 : 0)
  for (const text of [String(entry.tableOid), String(entry.oid), entry.tag, entry.desc]) writer.string(text)
  writer.int(TOC_SECTIONS.indexOf(entry.section))
  for (const text of [entry.defn, entry.dropStmt, entry.copyStmt, entry.namespace]) writer.string(text)
  for (const text of [entry.tablespace, entry.tableAm]) writer.string(text)
  if (toc.version === '1.16') writer.int(entry.relkind ? entry.relkind.charCodeAt(0) : 0)
  writer.string(entry.owner)
  writer.string('false')
  for (const dependency of entry.dependencies) writer.string(String(dependency))
  writer.string(null)
  writer.string(entry.fileName ?? '')
}

class TocWriter {
  readonly #encoding: Toc['textEncoding']
  readonly #chunks: Buffer[] = []

  constructor(encoding: Toc['textEncoding']) {
    this.#encoding = encoding
  }

  raw(chunk: Buffer): void {
    this.#chunks.push(chunk)
  }

  byte(value: number): void {
    if (!Number.isInteger(value) || value < 0 || value > 255) throw new TypeError(`not a byte: ${value}`)
    this.raw(Buffer.of(value))
  }

  int(value: number): void {
    if (!Number.isInteger(value) || Math.abs(value) > 0x7fffffff) throw new TypeError(`not a 32-bit integer: ${value}`)
    const chunk = Buffer.alloc(5)
    chunk.writeUInt8(value < 0 ? 1 : 0, 0)
    chunk.writeUInt32LE(Math.abs(value), 1)
    this.raw(chunk)
  }

  string(text: string | null): void {
    const bytes = Buffer.from(text ?? '', this.#encoding)
    this.int(text === null ? -1 : bytes.length)
    this.raw(bytes)
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks)
  }
}

/** Archive versions that are read: 1.14 is PostgreSQL 12–15, 1.15 is 16, 1.16 is 17 and 18. */
export type TocVersion = '1.14' | '1.15' | '1.16'

export type TocSection = 'none' | 'pre-data' | 'data' | 'post-data'

/** One entry of an archive's table of contents, as `pg_restore` knows it. */
export interface TocEntry {
  dumpId: number
  /** True if the entry has data of its own (a file in the directory). */
  hadDumper: boolean
  /** OID of the catalog that the object is in (1259 = pg_class), 0 if none. */
  tableOid: number
  /** OID of the object in that catalog on the source: join with the inventory by this, not by name. */
  oid: number
  /** The object's name, unquoted and without its schema: `bookings`, `f(integer)`. */
  tag: string
  /** What it is, in pg_dump's words: `TABLE DATA`, `FK CONSTRAINT`, … */
  desc: string
  section: TocSection
  defn: string | null
  dropStmt: string | null
  copyStmt: string | null
  /** The schema's name, unquoted. */
  namespace: string | null
  tablespace: string | null
  tableAm: string | null
  /** `r`, `p`, … where the archive says it (1.16), '' where it does not apply, null in older versions. */
  relkind: string | null
  owner: string | null
  dependencies: number[]
  /** Name of the data file in the directory, before any compression suffix. */
  fileName?: string
}

/** A whole `toc.dat` of a directory-format archive. */
export interface Toc {
  version: TocVersion
  /** The only format read here; in the file it is the number of `tar`, as pg_dump writes it. */
  format: 'directory'
  /**
   * How the strings of this object map to bytes. `latin1` (one byte, one character) where they are not all valid
   * UTF-8: exact for a LATIN1 database, and at least lossless for every other encoding.
   */
  textEncoding: 'utf8' | 'latin1'
  /** Size of a file offset on the machine that ran pg_dump, in bytes: 8, or 4 on old machines. */
  offsetSize: number
  /** 1.14: gzip level, -1 = default. From 1.15: algorithm, 0 = none. */
  compression: number
  /** Local time of the machine that ran pg_dump, `2026-11-22T02:17:04`. */
  createdAt: string
  /** `tm_isdst` of that time: 1, 0, or -1 for unknown. */
  daylightSaving: number
  database: string
  serverVersion: string
  dumpVersion: string
  entries: TocEntry[]
}

/** Position in the list = the number in the file. */
export const TOC_SECTIONS: readonly (TocSection | undefined)[] = [undefined, 'none', 'pre-data', 'data', 'post-data']

export const TOC_MAGIC = 'PGDMP'

/** `archTar`: what pg_dump writes into the header of a directory archive. */
export const DIRECTORY_FORMAT = 3

import pg from 'pg'

/** A table as it is read back. */
export interface TableRead {
  /** Its name, quoted for SQL. */
  own: string
  /** The archive's column list, in parentheses. */
  columns: string
  /** Which of its rows the archive holds, as a WHERE clause; empty: all. */
  condition: string
  /** That of the text. */
  encoding: string
  /** About how much text it is. */
  bytes: number
}

/** One statement, the rows of which are a part of `of`. */
export interface Reading<T> {
  of: T
  statement: string
  bytes: number
}

/**
 * A table of more than so many times the share of one connection is read by several. Not for less: the server reads a range
 * of pages through all of its shared buffers, a whole table through a few that stay in the processor's cache.
 */
const MOST_OF_ALL = 1.5
/** Into so many pieces a share of it is cut, so that no connection is long alone with the last one. */
const PIECES_PER_SHARE = 8
/** A shorter piece is not worth a statement of its own. */
const LEAST_PIECE_BYTES = 16 << 20

/**
 * How to read all of it back over `jobs` connections: COPY TO statements that together give each row once, biggest first.
 * A large table is read in ranges of its pages, by several connections: nobody writes to it, and fingerprints add up.
 */
export async function readings<T extends { reads: readonly TableRead[] }>(
  client: pg.Client,
  groups: readonly T[],
  jobs: number,
): Promise<Reading<T>[]> {
  const reads = groups.flatMap((of) => of.reads.map((read) => ({ of, read })))
  const total = reads.reduce((sum, { read }) => sum + read.bytes, 0)
  const share = total / jobs
  const pieceBytes = Math.max(LEAST_PIECE_BYTES, share / PIECES_PER_SHARE)
  const queue: Reading<T>[] = []
  for (const { of, read } of reads) {
    const isLarge = read.bytes > Math.max(share * MOST_OF_ALL, pieceBytes) && read.condition === ''
    const pages = isLarge ? await heapPages(client, read.own) : 0
    const ranges = pages > 1 ? pageRanges(pages, Math.ceil(read.bytes / pieceBytes)) : [read.condition]
    for (const range of ranges) {
      queue.push({ of, statement: copyStatement(read, range), bytes: read.bytes / ranges.length })
    }
  }
  return queue.sort((a, b) => b.bytes - a.bytes)
}

/** How many pages a table has whose rows have a place in pages; 0: another kind of table, or none. */
async function heapPages(client: pg.Client, own: string): Promise<number> {
  const { rows } = await client.query<{ pages: string }>(`
    select (pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8)::text as pages
    from pg_catalog.pg_class c join pg_catalog.pg_am am on am.oid = c.relam
    where c.oid = pg_catalog.to_regclass(${pg.escapeLiteral(own)}) and c.relkind = 'r' and am.amname = 'heap'`)
  return Number(rows[0]?.pages ?? 0)
}

/** Conditions of which each row of so many pages meets exactly one. */
export function pageRanges(pages: number, count: number): string[] {
  const step = Math.ceil(pages / Math.min(pages, count))
  const borders = Array.from({ length: Math.ceil(pages / step) - 1 }, (_, index) => `'(${(index + 1) * step},0)'`)
  // Open at both ends: what is counted must not hang on how long the table was found to be.
  return Array.from({ length: borders.length + 1 }, (_, index) => {
    const [from, to] = [borders[index - 1], borders[index]]
    const sides = [...(from ? [`ctid >= ${from}`] : []), ...(to ? [`ctid < ${to}`] : [])]
    return sides.length === 0 ? '' : `where ${sides.join(' and ')}`
  })
}

function copyStatement({ own, columns, encoding }: TableRead, condition: string): string {
  const options = `to stdout (encoding '${encoding}')`
  if (condition === '') return `copy ${own} ${columns} ${options}`
  return `copy (select ${columns.replace(/^\(|\)$/g, '')} from only ${own} ${condition}) ${options}`
}

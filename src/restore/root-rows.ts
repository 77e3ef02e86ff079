import type { TableDataEntry } from '../postgres/toc.ts'
import { addFingerprints, EMPTY_FINGERPRINT, type Fingerprint, LineFingerprinter } from '../streams/fingerprint.ts'

const TAB = 0x09
const LINE_END = 0x0a

/**
 * Leaves that pg_dump loads via one partition root can only be compared as a whole, for rows may land in another leaf. An
 * attached leaf may have its columns in an order of its own, and so its rows as other lines: for such leaves the
 * fingerprint in the root's order is computed while they are loaded, when they are known to be what was dumped.
 */
export class RootRows {
  readonly #columns = new Map<string, string>()
  readonly #fingerprints = new Map<string, Fingerprint>()

  constructor(entries: readonly TableDataEntry[]) {
    for (const { viaPartitionRoot, table, columns } of entries) {
      if (viaPartitionRoot && !this.#columns.has(table)) this.#columns.set(table, columns)
    }
  }

  /** The column list in which the table, or all leaves of its root, are compared. */
  columnsOf(entry: TableDataEntry): string {
    return (entry.viaPartitionRoot ? this.#columns.get(entry.table) : undefined) ?? entry.columns
  }

  /** What the leaf's rows came to in that order; undefined where `fingerprint` of what was dumped says it already. */
  fingerprintOf(entry: TableDataEntry): Fingerprint | undefined {
    if (this.columnsOf(entry) === entry.columns) return undefined
    return this.#fingerprints.get(entry.fileName) ?? EMPTY_FINGERPRINT
  }

  /** The same rows; those of leaves with an order of their own are counted once they all went through. */
  watch(entry: TableDataEntry, rows: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
    const columns = this.columnsOf(entry)
    return columns === entry.columns ? rows : this.#reorder(entry, rows, orderOf(entry.columns, columns))
  }

  async *#reorder(entry: TableDataEntry, rows: AsyncIterable<Buffer>, order: number[]): AsyncGenerator<Buffer> {
    const lines = new LineFingerprinter()
    let rest = Buffer.alloc(0)
    for await (const chunk of rows) {
      const end = chunk.lastIndexOf(LINE_END) + 1
      const whole = Buffer.concat([rest, chunk.subarray(0, end)])
      if (end > 0) lines.update(reorderLines(whole, order))
      rest = end > 0 ? Buffer.from(chunk.subarray(end)) : Buffer.concat([rest, chunk])
      yield chunk
    }
    const before = this.#fingerprints.get(entry.fileName) ?? EMPTY_FINGERPRINT
    this.#fingerprints.set(entry.fileName, addFingerprints(before, lines.digest()))
  }
}

/** The names in a column list as pg_dump writes it, in its spelling: usable in SQL. */
export function columnNames(list: string): string[] {
  return list.slice(1, -1).match(/"(?:[^"]|"")+"|[^\s,]+/g) ?? []
}

/** For each column of `to` its place in `from`. */
function orderOf(from: string, to: string): number[] {
  const places = new Map(columnNames(from).map((name, index) => [name, index]))
  return columnNames(to).map((name) => places.get(name) ?? -1)
}

/** Fields end at a tab, rows at a line end: COPY escapes both in values, in every server encoding. */
function reorderLines(lines: Buffer, order: readonly number[]): Buffer {
  const pieces: Buffer[] = []
  for (let start = 0; start < lines.length; ) {
    const end = lines.indexOf(LINE_END, start)
    const fields = splitFields(lines.subarray(start, end))
    order.forEach((place, index) => {
      pieces.push(fields[place] ?? Buffer.alloc(0), Buffer.of(index === order.length - 1 ? LINE_END : TAB))
    })
    start = end + 1
  }
  return Buffer.concat(pieces)
}

function splitFields(line: Buffer): Buffer[] {
  const fields: Buffer[] = []
  let start = 0
  for (let tab = line.indexOf(TAB); tab >= 0; tab = line.indexOf(TAB, start)) {
    fields.push(line.subarray(start, tab))
    start = tab + 1
  }
  return [...fields, line.subarray(start)]
}

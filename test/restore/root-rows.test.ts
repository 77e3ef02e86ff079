import { expect, test } from '@jest/globals'
import type { TableDataEntry } from '../../src/postgres/toc.ts'
import { RootRows } from '../../src/restore/root-rows.ts'
import { LineFingerprinter } from '../../src/streams/fingerprint.ts'

const entry = (fileName: string, columns: string, viaPartitionRoot = true): TableDataEntry => ({
  dumpId: 1,
  oid: 1,
  schema: 's',
  name: fileName,
  fileName,
  copyStmt: '',
  table: 's.root',
  columns,
  viaPartitionRoot,
})

async function pour(rows: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of rows) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('a leaf with its columns in another order is counted in the order of the first, wherever its chunks end', async () => {
  const first = entry('1.dat', '(m, "a, (b)", note)')
  const other = entry('2.dat', '(note, m, "a, (b)")')
  const text = 'n1\tx\t\\N\n\t\\\\\\t\t2\n'
  const lines = new LineFingerprinter()
  lines.update(Buffer.from('x\t\\N\tn1\n\\\\\\t\t2\t\n'))
  const expected = lines.digest()
  for (const size of [1, 3, 100]) {
    const rows = new RootRows([first, other])
    const chunks = async function* () {
      for (let at = 0; at < text.length; at += size) yield Buffer.from(text.slice(at, at + size))
    }
    expect(await pour(rows.watch(other, chunks()))).toBe(text)
    expect(rows.fingerprintOf(other)).toEqual(expected)
    expect(rows.fingerprintOf(first)).toBeUndefined()
    expect(rows.columnsOf(other)).toBe('(m, "a, (b)", note)')
  }
})

test('a table that is loaded by itself keeps its own columns', () => {
  const alone = entry('3.dat', '(b, a)', false)
  const rows = new RootRows([entry('1.dat', '(a, b)'), alone])
  expect(rows.columnsOf(alone)).toBe('(b, a)')
  expect(rows.fingerprintOf(alone)).toBeUndefined()
})

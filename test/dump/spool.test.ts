import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import { Spool } from '../../src/dump/spool.ts'
import { canPunchHoles } from '../../src/dump/spool-file.ts'
import {
  BYTES_PER_LOOK,
  codeThrownBy,
  END,
  FakeDump,
  type FakeFile,
  type FakeWorker,
  followDump,
  withDirectory,
} from './support.ts'

const MIB = 1 << 20

/** Cuts content at random places, so that writes end anywhere: in a row, in the end mark, in a list. */
function pieces(content: Buffer): fc.Arbitrary<Buffer[]> {
  return fc.array(fc.nat(content.length), { maxLength: 12 }).map((cuts) => {
    const borders = [0, ...cuts.sort((a, b) => a - b), content.length]
    return borders.slice(1).map((end, index) => content.subarray(borders[index], end))
  })
}

// Rows that look like the end mark, or like a part of it, without being it.
const row = fc.oneof(
  fc.constantFrom('', '\\\\.', 'a\\\\.', '\\N', '.', '\\\\'),
  fc.stringMatching(/^[a-z\t]{0,40}$/),
  fc.integer({ min: 0, max: 900_000 }).map((length) => 'x'.repeat(length)),
)

const tableContent = fc
  .array(row, { maxLength: 30 })
  .map((rows) => Buffer.from(rows.map((text) => `${text}\n`).join('') + END))

const binary = fc.uint8Array({ maxLength: 3_000 }).map((bytes) => Buffer.from(bytes))
/** Content of large objects may end like a table's file. */
const objectContent = fc.oneof(binary, fc.constant(Buffer.from(`row\n${END}`)), fc.constant(Buffer.alloc(0)))

function workers(): fc.Arbitrary<FakeWorker[]> {
  const worker = (contents: fc.Arbitrary<Buffer>, prefix: string) =>
    fc
      .array(contents.chain(pieces), { maxLength: 8 })
      .map((files) => files.map((parts, index): FakeFile => ({ name: `${prefix}${index}.dat`, pieces: parts })))
  const tables = fc.tuple(worker(tableContent, '3'), worker(tableContent, '4'))
  const objects = fc.tuple(worker(objectContent, 'blob_7'), worker(objectContent, 'blob_8'))
  return fc
    .tuple(tables, objects)
    .map(([twoTables, twoObjects]) => [
      ...twoTables.map((files) => ({ files })),
      ...twoObjects.map((files, index) => ({ files, list: `blobs_${index}.toc` })),
    ])
}

test('what comes out of the spool is what was written, file by file, however it was written', async () => {
  await fc.assert(
    fc.asyncProperty(workers(), fc.boolean(), async (all, punch) => {
      await withDirectory(async (directory) => {
        const { contents, handedOut, early } = await followDump(directory, all, { limitBytes: 64 * MIB, punch })
        expect(early).toEqual([])
        expect(handedOut.length).toBe(new Set(handedOut).size)
        for (const { files, list } of all) {
          for (const { name, pieces } of files) {
            expect({ name, equal: contents.get(name)?.equals(Buffer.concat(pieces)) }).toEqual({ name, equal: true })
          }
          if (list !== undefined) expect(contents.has(list)).toBe(true)
        }
        expect(await readdir(join(directory, 'dump'))).toEqual([])
      })
    }),
    { numRuns: 25 },
  )
})

function file(name: string, bytes: number, ending = ''): FakeFile {
  const count = Math.ceil(bytes / 65_536)
  const parts = Array.from({ length: count }, () => Buffer.alloc(65_536 - 1, 'x'))
  return { name, pieces: [...parts.flatMap((part) => [part, Buffer.from('\n')]), Buffer.from(ending)] }
}

test('a writer that is faster than the storage is paused, and goes on; the spool stays near its limit', async () => {
  await withDirectory(async (directory) => {
    const punch = await canPunchHoles(directory)
    // Where no space is given back before a table is over, one alone must fit.
    const sizes = punch ? [24, 24] : Array.from({ length: 8 }, () => 6)
    const tables = sizes.map((size, index) => file(`${index}.dat`, size * MIB, END))
    const { contents, spool, dump } = await followDump(directory, [{ files: tables }], {
      limitBytes: 8 * MIB,
      punch,
      read: (writer) => writer.paused.promise,
    })
    expect(dump.pauses).toBeGreaterThan(0)
    expect(spool.pausedSeconds).toBeGreaterThan(0)
    const lengths = tables.map(({ name }) => contents.get(name)?.length)
    expect(lengths).toEqual(sizes.map((size) => size * MIB + 5))
    // What is written between a look and the pause that it leads to.
    expect(spool.peakBytes).toBeLessThan(8 * MIB + 2 * BYTES_PER_LOOK)
  })
})

test('large objects that are listed only when all are written do not fill the spool for ever', async () => {
  await withDirectory(async (directory) => {
    const objects = Array.from({ length: 40 }, (_, index) => file(`blob_${100 + index}.dat`, MIB))
    const all = [{ files: objects, list: 'blobs.toc' }, { files: [file('1.dat', 8 * MIB, END)] }]
    const { contents, early } = await followDump(directory, all, {
      limitBytes: 6 * MIB,
      punch: false,
    })
    expect(early).toEqual([])
    expect(contents.size).toBe(42)
  })
})

test('a dump that waits longer than max-pause for the storage fails', async () => {
  await withDirectory(async (directory) => {
    await writeFile(join(directory, '1.dat'), Buffer.alloc(4 * MIB))
    const writer = new FakeDump()
    const spool = new Spool({
      directory,
      limitBytes: MIB,
      maxPauseSeconds: 0.3,
      clock: systemClock,
      log: memoryLog(),
      signal: new AbortController().signal,
      writer,
      // Nobody ever reads.
      onFile: () => {},
    })
    expect(await codeThrownBy(spool.watch())).toBe('paused-too-long')
    expect(writer.pauses).toBe(1)
  })
})

test('where no space is given back, growing tables that do not fit together fail at once, not after max-pause', async () => {
  await withDirectory(async (directory) => {
    const all = [{ files: [file('1.dat', 40 * MIB, END)] }, { files: [file('2.dat', 40 * MIB, END)] }]
    const began = Date.now()
    const run = followDump(directory, all, { limitBytes: 8 * MIB, maxPauseSeconds: 600, punch: false })
    expect(await codeThrownBy(run)).toBe('spool-too-small')
    expect(Date.now() - began).toBeLessThan(120_000)
  })
})

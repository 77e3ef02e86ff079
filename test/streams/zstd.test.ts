import { zstdCompressSync } from 'node:zlib'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { runChain } from '../../src/streams/chain.ts'
import { compressZstd, decompressZstd } from '../../src/streams/zstd.ts'
import { chunkSizes, chunksOf, collect, failureOf, noise, runTool } from './support.ts'

const mixed = Buffer.concat([noise(150_000), Buffer.alloc(400_000, 'abc\n'), noise(70_000, 2)])
const compress = (bytes: Buffer, level = 1, ...sizes: number[]) =>
  collect(runChain(chunksOf(bytes, ...(sizes.length > 0 ? sizes : [65_536])), [compressZstd(level)]))
const decompress = (bytes: Buffer, ...sizes: number[]) => runChain(chunksOf(bytes, ...sizes), [decompressZstd()])

test('what goes in comes out, whatever the chunks', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: mixed.length }), chunkSizes, chunkSizes, async (length, sizes, otherSizes) => {
      const plain = mixed.subarray(mixed.length - length)
      const compressed = await compress(plain, 1, ...sizes.filter((size) => size === 0 || size > 500), 70_000)
      expect((await collect(decompress(compressed, ...otherSizes, 50_000))).equals(plain)).toBe(true)
    }),
    { numRuns: 40 },
  )
})

test.each([1, 3, 9, 19])('level %i is read by the zstd command, checksum included', async (level) => {
  for (const plain of [Buffer.alloc(0), Buffer.from('x'), mixed]) {
    const compressed = await compress(plain, level)
    expect(runTool('zstd', ['-dcq'], compressed).equals(plain)).toBe(true)
    // Frame_Header_Descriptor, bit 2: Content_Checksum_flag.
    expect((compressed[4] ?? 0) & 4).toBe(4)
    expect((await collect(decompress(compressed, 9_999))).equals(plain)).toBe(true)
  }
})

test('no other level is taken', () => {
  for (const level of [0, 20, -1, 1.5, Number.NaN]) expect(() => compressZstd(level)).toThrow(RangeError)
})

test('what the zstd command wrote is read: every kind of frame, several in a row, skippable ones between', async () => {
  const frames = [
    runTool('zstd', ['-cq', '-1'], mixed),
    runTool('zstd', ['-cq', '-19', '--no-check'], mixed.subarray(0, 5)),
    Buffer.from('502a4d1804000000deadbeef', 'hex'),
    Buffer.from('5f2a4d1800000000', 'hex'),
    runTool('zstd', ['-cq', '--long=24'], Buffer.alloc(300_000, 7)),
    runTool('zstd', ['-cq'], Buffer.alloc(0)),
    zstdCompressSync(mixed.subarray(0, 700)),
  ]
  const joined = Buffer.concat(frames)
  const plain = runTool('zstd', ['-dcq'], joined)
  expect(plain.length).toBe(mixed.length + 5 + 300_000 + 700)
  for (const size of [1_000_000, 70_001, 1_000, 97]) {
    expect((await collect(decompress(joined, size))).equals(plain)).toBe(true)
  }
})

test('cut anywhere, it is refused', async () => {
  const compressed = await compress(mixed)
  const end = compressed.length
  for (const cut of [0, 1, 3, 4, 5, 6, 7, 9, 20, 1_000, 131_000, end - 70_000, end - 5, end - 4, end - 3, end - 1]) {
    for (const size of [1_000_000, 4_096, 1_021]) {
      expect(await failureOf(decompress(compressed.subarray(0, cut), size))).toBe('damaged-compression')
    }
  }
  const two = Buffer.concat([compressed, compressed.subarray(0, 3)])
  for (const size of [1_000_000, end, 1_021]) expect(await failureOf(decompress(two, size))).toBe('damaged-compression')
})

test('followed by anything else, it is refused', async () => {
  const compressed = await compress(mixed)
  for (const more of [Buffer.from('x'), Buffer.alloc(4), Buffer.from('garbage!'), compressed.subarray(1)]) {
    for (const size of [1_000_000, compressed.length, 1_021]) {
      const damaged = Buffer.concat([compressed, more])
      expect(await failureOf(decompress(damaged, size))).toBe('damaged-compression')
    }
  }
})

test('one changed bit anywhere is refused, or changes nothing', async () => {
  const plain = mixed.subarray(100_000, 300_000)
  const compressed = await compress(plain)
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: compressed.length * 8 - 1 }), chunkSizes, async (bit, sizes) => {
      const damaged = Buffer.from(compressed)
      damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      const outcome = await collect(decompress(damaged, ...sizes, 30_000)).catch(
        (error: { code: string }) => error.code,
      )
      // The one unused bit of the frame header means nothing (RFC 8878, section 3.1.1.1.1.3).
      if (typeof outcome === 'string') expect(outcome).toBe('damaged-compression')
      else expect(outcome.equals(plain)).toBe(true)
    }),
    { numRuns: 150 },
  )
})

test('a reader that takes its time keeps the decompressor waiting', async () => {
  const compressed = await compress(Buffer.alloc(64 * 2 ** 20, 'a row\n'))
  const stage = decompressZstd()
  const reader = runChain(chunksOf(compressed, 1_000), [stage])
  await reader.next()
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(stage.readableLength).toBeLessThan(2 ** 20)
  await reader.return()
  expect(stage.destroyed).toBe(true)
})

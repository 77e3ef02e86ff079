import { createHash } from 'node:crypto'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  addFingerprints,
  EMPTY_FINGERPRINT,
  type Fingerprint,
  LineFingerprinter,
  largeObjectFingerprint,
  sameFingerprint,
} from '../../src/streams/fingerprint.ts'
import { chunkSizes, chunksOf, message, noise } from './support.ts'

// An independent reading of the XXH64 specification (xxhash_spec.md, "XXH64 Algorithm Description"), slow and in BigInt.
const P1 = 0x9e3779b185ebca87n
const P2 = 0xc2b2ae3d27d4eb4fn
const P3 = 0x165667b19e3779f9n
const P4 = 0x85ebca77c2b2ae63n
const P5 = 0x27d4eb2f165667c5n
const u64 = (x: bigint) => BigInt.asUintN(64, x)
const rotate = (x: bigint, bits: bigint) => u64((x << bits) | (x >> (64n - bits)))
const round = (lane: bigint, word: bigint) => u64(rotate(u64(lane + word * P2), 31n) * P1)

/** Steps 1 to 5 of the specification: everything before the final mix. */
function accumulate(line: Buffer): bigint {
  let at = 0
  let hash = P5
  if (line.length >= 32) {
    const lanes = [u64(P1 + P2), P2, 0n, u64(-P1)]
    for (; at + 32 <= line.length; at += 32) {
      for (let lane = 0; lane < 4; lane += 1)
        lanes[lane] = round(lanes[lane] ?? 0n, line.readBigUInt64LE(at + lane * 8))
    }
    const [a = 0n, b = 0n, c = 0n, d = 0n] = lanes
    hash = u64(rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n))
    for (const lane of lanes) hash = u64((hash ^ round(0n, lane)) * P1 + P4)
  }
  hash = u64(hash + BigInt(line.length))
  for (; at + 8 <= line.length; at += 8) {
    hash = u64(rotate(hash ^ round(0n, line.readBigUInt64LE(at)), 27n) * P1 + P4)
  }
  if (at + 4 <= line.length) {
    hash = u64(rotate(hash ^ u64(BigInt(line.readUInt32LE(at)) * P1), 23n) * P2 + P3)
    at += 4
  }
  for (; at < line.length; at += 1) hash = u64(rotate(hash ^ u64(BigInt(line[at] ?? 0) * P5), 11n) * P1)
  return hash
}

function avalanche(start: bigint, steps: [bigint, bigint][], last: bigint): bigint {
  let hash = start
  for (const [shift, factor] of steps) hash = u64((hash ^ (hash >> shift)) * factor)
  return hash ^ (hash >> last)
}

const xxh64 = (line: Buffer) =>
  avalanche(
    accumulate(line),
    [
      [33n, P2],
      [29n, P3],
    ],
    32n,
  )
const second = (line: Buffer) =>
  avalanche(
    u64(accumulate(line) + P3),
    [
      [31n, 0xff51afd7ed558ccdn],
      [33n, 0xc4ceb9fe1a85ec53n],
    ],
    33n,
  )

function expected(lines: readonly Buffer[]): Fingerprint {
  const hex = (sum: bigint) => u64(sum).toString(16).padStart(16, '0')
  const sum = (hash: (line: Buffer) => bigint) => hex(lines.reduce((total, line) => total + hash(line), 0n))
  const bytes = lines.reduce((total, line) => total + line.length + 1, 0)
  return { rows: lines.length, bytes, sum: sum(xxh64) + sum(second) }
}

const textOf = (lines: readonly Buffer[]) => Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')]))

function fingerprint(text: Buffer): Fingerprint {
  const fingerprinter = new LineFingerprinter()
  fingerprinter.update(text)
  return fingerprinter.digest()
}

const line = fc
  .oneof(
    { weight: 6, arbitrary: fc.uint8Array({ maxLength: 100 }) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 200, maxLength: 3_000 }) },
  )
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 10 ? 11 : byte))))
const lines = fc.array(line, { maxLength: 40 })

test('the reference in this file is XXH64: the test vectors of its author', () => {
  expect(xxh64(Buffer.alloc(0))).toBe(0xef46db3751d8e999n)
  expect(xxh64(Buffer.from('abc'))).toBe(0x44bc2cf5ad770999n)
  expect(xxh64(Buffer.from('Nobody inspects the spammish repetition'))).toBe(0xfbcea83c8a378bf1n)
})

test('any lines in chunks with any borders, several fingerprints taking turns, come to what the reference says', async () => {
  await fc.assert(
    fc.asyncProperty(lines, chunkSizes, lines, async (mine, sizes, others) => {
      const fingerprinter = new LineFingerprinter()
      const other = new LineFingerprinter()
      const otherChunks = chunksOf(textOf(others), 7)
      for await (const chunk of chunksOf(textOf(mine), ...sizes)) {
        fingerprinter.update(chunk)
        const { value } = await otherChunks.next()
        if (value) other.update(value)
      }
      for await (const chunk of otherChunks) other.update(chunk)
      expect(fingerprinter.digest()).toEqual(expected(mine))
      expect(other.digest()).toEqual(expected(others))
    }),
    { numRuns: 150 },
  )
})

test('the same lines in CopyData messages, however they and the chunks are cut, up to a message of another kind', async () => {
  await fc.assert(
    fc.asyncProperty(lines, chunkSizes, chunkSizes, async (mine, payloads, sizes) => {
      const messages: Buffer[] = []
      for await (const payload of chunksOf(textOf(mine), ...payloads)) messages.push(message('d', payload))
      messages.splice(messages.length / 2, 0, message('d', Buffer.alloc(0)))
      const copied = Buffer.concat(messages)
      const fingerprinter = new LineFingerprinter()
      let taken = 0
      for await (const chunk of chunksOf(Buffer.concat([copied, message('c', Buffer.alloc(0))]), ...sizes)) {
        const length = fingerprinter.updateMessages(chunk)
        taken += length
        if (length < chunk.length) break
      }
      expect(taken).toBe(copied.length)
      expect(fingerprinter.digest()).toEqual(expected(mine))
      expect(fingerprinter.bytes).toBe(textOf(mine).length)
    }),
    { numRuns: 150 },
  )
})

test('lines of every length around the block sizes, byte by byte and at once', () => {
  const all = Array.from({ length: 200 }, (_, length) =>
    Buffer.from(noise(length, length + 1).map((byte) => byte | 0x80)),
  )
  const slow = new LineFingerprinter()
  for (const byte of textOf(all)) slow.update(Buffer.of(byte))
  expect(slow.digest()).toEqual(expected(all))
  expect(fingerprint(textOf(all))).toEqual(expected(all))
})

test('lines beyond 1 MiB, whatever the chunks', async () => {
  const lengths = [1_100_000, 0, 262_143, 262_144]
  const long = lengths.map((length) => Buffer.from(noise(length).map((byte) => byte | 0x40)))
  const reference = expected(long)
  for (const size of [1_000, 65_536, 262_144, 262_145, 1_700_000]) {
    const fingerprinter = new LineFingerprinter()
    for await (const chunk of chunksOf(textOf(long), size)) fingerprinter.update(chunk)
    expect(fingerprinter.digest()).toEqual(reference)
    const copying = new LineFingerprinter()
    for await (const chunk of chunksOf(message('d', textOf(long)), size)) copying.updateMessages(chunk)
    expect(copying.digest()).toEqual(reference)
  }
})

test('parts add up to the whole, in any order', () => {
  fc.assert(
    fc.property(lines, fc.nat(), fc.integer(), (all, cut, seed) => {
      const at = all.length === 0 ? 0 : cut % all.length
      const parts = [all.slice(0, at), all.slice(at)].map((part) => fingerprint(textOf(part)))
      const whole = fingerprint(textOf(all))
      expect(addFingerprints(...parts)).toEqual(whole)
      const shuffled = all.toSorted((a, b) => ((a.length * 31 + seed) % 17) - ((b.length * 31 + seed) % 17)).reverse()
      expect(sameFingerprint(fingerprint(textOf(shuffled)), whole)).toBe(true)
    }),
  )
  expect(addFingerprints()).toEqual(EMPTY_FINGERPRINT)
  expect(fingerprint(Buffer.alloc(0))).toEqual(EMPTY_FINGERPRINT)
})

test('a doubled, a missing and a changed line, and one value moved to the next row, all show', () => {
  const whole = fingerprint(Buffer.from('1\ta\n2\tb\n'))
  for (const text of ['1\ta\n2\tb\n2\tb\n', '1\ta\n', '1\ta\n2\tc\n', '1\tb\n2\ta\n', '1\ta\n2\tb\n\n']) {
    expect(sameFingerprint(fingerprint(Buffer.from(text)), whole)).toBe(false)
  }
})

test('an unfinished line has no fingerprint; finished, it has', () => {
  const fingerprinter = new LineFingerprinter()
  fingerprinter.update(Buffer.from('1\n2'))
  expect(() => fingerprinter.digest()).toThrow(expect.objectContaining({ code: 'cut-row' }))
  fingerprinter.update(Buffer.from('\n'))
  expect(fingerprinter.digest()).toEqual(fingerprint(Buffer.from('2\n1\n')))
})

test('a large object counts as a row of its own: number and content', async () => {
  const content = noise(200_000)
  const of = (oid: number | bigint, bytes: Buffer) => largeObjectFingerprint({ oid, content: chunksOf(bytes, 999) })
  const sum = createHash('sha256').update('16400:').update(content).digest('hex').slice(0, 32)
  expect(await of(16_400, content)).toEqual({ rows: 1, bytes: 200_000, sum })
  expect(await of(16_400n, content)).toEqual({ rows: 1, bytes: 200_000, sum })
  expect((await of(16_401, content)).sum).not.toBe(sum)
  const both = addFingerprints(await of(1, content), await of(2, Buffer.alloc(0)))
  expect(both).toEqual(addFingerprints(await of(2, Buffer.alloc(0)), await of(1, content)))
  expect(both.rows).toBe(2)
})

import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Bundler, SMALL_FILE_BYTES } from '../../src/dump/bundler.ts'
import { type FileContent, sealFile } from '../../src/dump/table-files.ts'
import { unpackBundle } from '../../src/streams/bundle.ts'
import { addFingerprints, LineFingerprinter, largeObjectFingerprint } from '../../src/streams/fingerprint.ts'
import { codeThrownBy, collect, END, memoryStore } from './support.ts'

async function* inChunks(content: Buffer, size = 100_000): AsyncGenerator<Buffer> {
  // As a file is read: each chunk into the place of the one before.
  const lent = Buffer.alloc(size)
  for (let start = 0; start < content.length; start += size)
    yield lent.subarray(0, content.copy(lent, 0, start, start + size))
}

async function sealed(name: string, content: FileContent, bytes: Buffer, segmentBytes?: number) {
  const { store, parts, limits } = memoryStore()
  const bundles = new Map<string, string>()
  const bundler = new Bundler(store, (bundle, names) => {
    for (const one of names) bundles.set(one, bundle)
  })
  const options = { name, content, chunks: inChunks(bytes), store, bundler }
  const result = await sealFile(segmentBytes === undefined ? options : { ...options, segmentBytes })
  await bundler.flush()
  return { ...result, parts, limits, bundles }
}

/** The plain bytes of the parts that a sealed file names, joined. */
function joined({ file, parts }: Awaited<ReturnType<typeof sealed>>): Buffer {
  const segments = file.segments ?? []
  return Buffer.concat(segments.map(({ path }) => parts.get(path.replace(/\.zst$/, '')) ?? Buffer.alloc(0)))
}

function fingerprintOf(rows: Buffer) {
  const lines = new LineFingerprinter()
  lines.update(rows)
  return lines.digest()
}

const rowLength = fc.oneof(fc.nat(200), fc.integer({ min: 100_000, max: 400_000 }))
const rowsOf = (lengths: readonly number[]) => Buffer.from(lengths.map((length) => `${'r'.repeat(length)}\n`).join(''))

test('the segments of a table join to its file, each is cut at a line end, and their fingerprints add up', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(rowLength, { minLength: 10, maxLength: 60 }),
      fc.integer({ min: 1, max: 500_000 }),
      async (lengths, segmentBytes) => {
        const rows = Buffer.concat([rowsOf(lengths), rowsOf([SMALL_FILE_BYTES])])
        const bytes = Buffer.concat([rows, Buffer.from(END)])
        const result = await sealed('7.dat', { kind: 'rows' }, bytes, segmentBytes)
        const segments = result.file.segments ?? []
        expect(joined(result).equals(bytes)).toBe(true)
        expect(result.file.plainBytes).toBe(bytes.length)
        expect(result.fingerprint).toEqual(fingerprintOf(rows))
        expect(addFingerprints(...segments.flatMap(({ fingerprint }) => fingerprint ?? []))).toEqual(result.fingerprint)
        for (const { path, fingerprint } of segments.slice(0, -1)) {
          const part = result.parts.get(path.replace(/\.zst$/, '')) ?? Buffer.alloc(0)
          expect(part.length).toBeGreaterThanOrEqual(segmentBytes)
          expect(fingerprint).toEqual(fingerprintOf(part))
          expect(result.limits.get(path.replace(/\.zst$/, ''))).toBeGreaterThanOrEqual(segmentBytes + 2 ** 30)
        }
        expect([...result.parts.keys()].sort()).toEqual(segments.map(({ path }) => path.replace(/\.zst$/, '')))
      },
    ),
    { numRuns: 30 },
  )
})

test('a segment that is cut behind the very last row leaves the end mark to a segment of its own', async () => {
  const rows = rowsOf(Array.from({ length: 20_000 }, () => 99))
  const result = await sealed('7.dat', { kind: 'rows' }, Buffer.concat([rows, Buffer.from(END)]), 500_000)
  expect(result.file.segments?.map(({ plainBytes }) => plainBytes)).toEqual([500_000, 500_000, 500_000, 500_000, 5])
  expect(result.fingerprint).toEqual(fingerprintOf(rows))
  expect(joined(result).subarray(-5).toString()).toBe(END)
})

test.each([-1, 0, 1])('a file of 1 MiB and %d bytes is whole in a bundle or in a segment', async (more) => {
  const rows = rowsOf([SMALL_FILE_BYTES - 1 - END.length + more])
  const bytes = Buffer.concat([rows, Buffer.from(END)])
  const result = await sealed('7.dat', { kind: 'rows' }, bytes)
  expect(result.fingerprint).toEqual(fingerprintOf(rows))
  if (more >= 0) expect(joined(result).equals(bytes)).toBe(true)
  else {
    const [bundle = Buffer.alloc(0)] = result.parts.values()
    for await (const { name, content } of unpackBundle(inChunks(bundle))) {
      expect(name).toBe('7.dat')
      expect((await collect(content)).equals(bytes)).toBe(true)
    }
    expect(result.bundles.get('7.dat')).toBe('database/bundle-00001.tar.zst')
  }
})

test('an empty table, and one without columns, have the rows that their files say', async () => {
  const empty = await sealed('7.dat', { kind: 'rows' }, Buffer.from(END))
  expect(empty.fingerprint?.rows).toBe(0)
  const withoutColumns = await sealed('7.dat', { kind: 'rows' }, Buffer.from(`\n\n\n${END}`))
  expect(withoutColumns.fingerprint?.rows).toBe(3)
  const large = await sealed('7.dat', { kind: 'rows' }, Buffer.from(`${'\n'.repeat(2_000_000)}${END}`), 500_000)
  expect(large.fingerprint?.rows).toBe(2_000_000)
  expect(large.file.segments?.length).toBe(5)
})

test('a large object of any length is stored whole, and has the fingerprint that a server-side reading would have', async () => {
  const lengths = [0, 1, SMALL_FILE_BYTES - 1, SMALL_FILE_BYTES, 1_200_000, 1_200_001]
  for (const length of lengths) {
    const bytes = Buffer.alloc(length, 'o')
    const result = await sealed('blob_42.dat', { kind: 'large object', oid: 42 }, bytes, 400_000)
    expect(result.fingerprint).toEqual(await largeObjectFingerprint({ oid: 42, content: inChunks(bytes) }))
    if (length >= SMALL_FILE_BYTES) expect(joined(result).equals(bytes)).toBe(true)
    if (length === 1_200_000) expect(result.file.segments?.length).toBe(3)
  }
})

test('a table whose file lacks its end mark is refused, small or large', async () => {
  expect(await codeThrownBy(sealed('7.dat', { kind: 'rows' }, rowsOf([3, 5])))).toBe('cut-data-file')
  const rows = rowsOf(Array.from({ length: 200 }, () => 9_999))
  expect(await codeThrownBy(sealed('7.dat', { kind: 'rows' }, rows, 300_000))).toBe('cut-data-file')
  const half = Buffer.concat([rows, Buffer.from('\\.\n')])
  expect(await codeThrownBy(sealed('7.dat', { kind: 'rows' }, half, 300_000))).toBe('cut-data-file')
})

test('bundles hold every file once and stay within 16 MiB, also when files come while a bundle is being stored', async () => {
  const { store, parts } = memoryStore()
  const told: string[] = []
  const bundler = new Bundler(
    async (stream) => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      return store(stream)
    },
    (_, names) => told.push(...names),
  )
  const files = Array.from({ length: 3_000 }, (_, index) => ({
    name: `blob_${index}.dat`,
    content: Buffer.alloc((index * 7_919) % 40_000, index),
  }))
  await Promise.all(files.map(({ name, content }) => bundler.add(name, content)))
  await bundler.flush()
  const found = new Map<string, Buffer>()
  for (const bundle of parts.values()) {
    expect(bundle.length).toBeLessThanOrEqual((16 << 20) + 1_024)
    for await (const { name, content } of unpackBundle(inChunks(bundle))) found.set(name, await collect(content))
  }
  expect(told.sort()).toEqual(files.map(({ name }) => name).sort())
  expect(files.every(({ name, content }) => found.get(name)?.equals(content))).toBe(true)
  expect(parts.size).toBeLessThan(8)
})

import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { COPY_END_MARKER, copyRows, segments } from '../../src/streams/copy-file.ts'
import { chunkSizes, chunksOf, collect, failureOf, lent } from './support.ts'

const row = fc.constantFrom('', '', '1\tone', '\\\\.', '\\N', 'x'.repeat(300), '\\\\.\t')
const copyText = fc.array(row, { maxLength: 60 }).map((rows) => Buffer.from(rows.map((text) => `${text}\n`).join('')))
const file = (text: Buffer | string) => Buffer.concat([Buffer.from(text), COPY_END_MARKER])

test('the rows come back, empty ones included, whatever the chunks', async () => {
  await fc.assert(
    fc.asyncProperty(copyText, chunkSizes, async (text, sizes) => {
      expect((await collect(copyRows(lent(chunksOf(file(text), ...sizes))))).equals(text)).toBe(true)
    }),
    { numRuns: 300 },
  )
})

test.each([
  ['nothing', ''],
  ['no end marker', '1\n2\n'],
  ['half an end marker', '1\n\\.\n\n'],
  ['an end marker in the middle of a row', '1\n2\\.\n\n\n'],
  ['one byte more', '1\n\\.\n\n\n\n'],
  ['other bytes after it', '1\n\\.\n\n\nx'],
  ['zeros after it', '1\n\\.\n\n\n\0\0\0\0\0\0'],
  ['empty rows only', '\n\n\n\n\n\n'],
])('a data file with %s is refused, whatever the chunks', async (_, text) => {
  for (const size of [1, 2, 3, 5, 7, 100]) {
    expect(await failureOf(copyRows(chunksOf(Buffer.from(text), size)))).toBe('cut-data-file')
  }
})

test('cut anywhere, a data file is refused', async () => {
  const whole = file('1\ta\n\n\\\\.\n')
  for (let length = 0; length < whole.length; length += 1) {
    expect(await failureOf(copyRows(chunksOf(whole.subarray(0, length), 4)))).toBe('cut-data-file')
  }
})

test('segments end at the first line end at or after the target, and join to the whole', async () => {
  await fc.assert(
    fc.asyncProperty(copyText, chunkSizes, fc.integer({ min: 1, max: 900 }), async (text, sizes, target) => {
      const parts: Buffer[] = []
      for await (const segment of segments(lent(chunksOf(text, ...sizes)), target)) parts.push(await collect(segment))
      expect(Buffer.concat(parts).equals(text)).toBe(true)
      expect(parts.length).toBeGreaterThan(0)
      parts.slice(0, -1).forEach((part) => {
        expect(part.at(-1)).toBe(10)
        expect(part.length).toBeGreaterThanOrEqual(target)
        // The line before the last one ends short of the target.
        expect(part.subarray(0, -1).lastIndexOf(10) + 1).toBeLessThan(target)
      })
      if (text.length > 0) expect(parts.at(-1)?.length).toBeGreaterThan(0)
    }),
    { numRuns: 300 },
  )
})

test('a table without rows is one empty segment', async () => {
  const parts: Buffer[] = []
  for await (const segment of segments(copyRows(chunksOf(COPY_END_MARKER, 2)), 10)) parts.push(await collect(segment))
  expect(parts).toEqual([Buffer.alloc(0)])
})

test('an error of the source arrives, a skipped segment is refused, and both end the source', async () => {
  let ended = 0
  async function* source(fails: boolean) {
    try {
      yield Buffer.from('1\n2\n3\n4\n5\n')
      if (fails) throw Object.assign(new Error('lost'), { code: 'LOST' })
    } finally {
      ended += 1
    }
  }
  async function* flat(fails: boolean) {
    for await (const segment of segments(source(fails), 4)) yield* segment
  }
  expect(await failureOf(flat(true))).toBe('LOST')
  async function* careless() {
    let first = true
    for await (const segment of segments(source(false), 4)) {
      if (first) yield* segment
      first = false
    }
  }
  expect(String(await failureOf(careless()))).toContain('not read to its end')
  expect(ended).toBe(2)
})

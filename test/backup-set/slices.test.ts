import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Part } from '../../src/backup-set/documents.ts'
import { type EvidenceName, stateOf } from '../../src/backup-set/evidence.ts'
import { parseSlice, partsOfSlice } from '../../src/backup-set/slices.ts'
import { NOW } from './support.ts'

const DAY = 86_400_000

function part(path: string, bytes: number): Part {
  return { path, bytes, sha256: '0'.repeat(64), plainBytes: bytes }
}

test('a slice is a number of a number, both from 1 to 366', () => {
  expect(parseSlice('3/7')).toEqual({ number: 3, of: 7 })
  expect(parseSlice('366 / 366')).toEqual({ number: 366, of: 366 })
  for (const text of ['', '0/7', '8/7', '1/0', '3', '3/7/9', '-1/7', '1/367', '1.5/7', 'a/b']) {
    expect(parseSlice(text)).toBeUndefined()
  }
})

const PARTS = fc.uniqueArray(
  fc.record({
    path: fc.oneof(
      fc.nat(999).map((n) => `database/${n}.dat.${String(n % 7).padStart(6, '0')}.zst`),
      fc.tuple(fc.nat(3), fc.nat(9)).map(([oid, n]) => `database/blob_${oid}.dat.${n}.zst.age`),
      fc.nat(99).map((n) => `database/bundle-${n}.tar.zst`),
    ),
    bytes: fc.nat(1 << 28),
  }),
  { selector: ({ path }) => path, maxLength: 60 },
)

test('slices are all parts, none twice, nearly equal, and the same whatever the order of the manifest', () => {
  fc.assert(
    fc.property(PARTS, fc.integer({ min: 1, max: 12 }), (found, of) => {
      const parts = found.map(({ path, bytes }) => part(path, bytes))
      const slices = Array.from({ length: of }, (_, index) => partsOfSlice(parts, { number: index + 1, of }))
      const paths = slices.flat().map(({ path }) => path)
      expect(paths.toSorted()).toEqual(parts.map(({ path }) => path).toSorted())
      const again = partsOfSlice(parts.toReversed(), { number: 1, of })
      expect(again.map(({ path }) => path).toSorted()).toEqual((slices[0] ?? []).map(({ path }) => path).toSorted())
      const objectOf = ({ path }: Part) => /blob_\d+/.exec(path)?.[0]
      const largest = Map.groupBy(parts, (one) => objectOf(one) ?? one.path)
        .values()
        .reduce((most, unit) => Math.max(most, bytesOf(unit)), 0)
      const sizes = slices.map(bytesOf)
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(largest)
      for (const oid of new Set(parts.map(objectOf).filter(Boolean))) {
        expect(slices.filter((slice) => slice.some((one) => objectOf(one) === oid))).toHaveLength(1)
      }
    }),
  )
})

function bytesOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** `2/3 passed 5`: slice, verdict, day. Without a slice: the whole. */
function evidence(history: string): EvidenceName[] {
  return history.split(', ').map((text, index) => {
    const [, slice = '', test, verdict, day] =
      /^(?:(\d+\/\d+) )?(?:(stored-bytes|restore-test) )?(\w+) (\d+)$/.exec(text) ?? []
    const at = new Date(NOW.getTime() + Number(day) * DAY)
    const parsed = parseSlice(slice)
    const kind = { test: (test ?? 'integrity') as EvidenceName['test'], ...(parsed && { slice: parsed }) }
    return { id: 'set', key: `${index}`, at, ...kind, verdict: verdict as EvidenceName['verdict'], signed: false }
  })
}

test.each([
  ['1/3 passed 1, 2/3 passed 2, 3/3 passed 3', 'intact'],
  ['1/3 passed 1, 2/3 passed 2', 'written'],
  ['1/3 passed 1, 2/3 passed 2, 3/4 passed 3', 'written'],
  ['1/3 passed 1, 2/3 passed 2, 3/3 unverified 3', 'written'],
  ['1/3 passed 1, 2/3 passed 2, 3/3 failed 3', 'damaged'],
  ['1/3 passed 1, 2/3 passed 2, 3/3 failed 3, 3/3 passed 4', 'intact'],
  ['1/3 passed 1, 2/3 passed 2, 3/3 passed 37', 'written'],
  ['1/3 passed 1, 2/3 passed 2, 3/3 passed 36', 'intact'],
  ['1/3 passed 1, 2/3 passed 2, 3/3 passed 37, 1/3 passed 37', 'intact'],
  ['1/3 failed 1, passed 2', 'intact'],
  ['1/3 failed 1, 2/3 passed 2, 3/3 passed 2', 'damaged'],
  ['failed 1, 1/2 passed 2, 2/2 passed 3', 'intact'],
  ['1/2 passed 1, failed 2, 2/2 passed 3', 'damaged'],
  ['1/2 passed 1, failed 2, 2/2 passed 3, 1/2 passed 4', 'intact'],
  ['1/2 passed 1, 2/2 passed 2, 1/5 failed 3', 'damaged'],
  ['1/2 stored-bytes failed 1, 1/2 passed 2', 'written'],
  ['1/2 stored-bytes failed 1, 2/2 passed 2', 'damaged'],
  ['1/2 stored-bytes passed 1, 2/2 stored-bytes passed 2', 'written'],
  ['restore-test passed 1, 1/2 failed 2', 'damaged'],
  ['restore-test passed 1, 1/2 passed 2, 2/2 passed 3', 'proven'],
])('%s: %s', (history, state) => {
  expect(stateOf('set', evidence(history))).toBe(state)
  expect(stateOf('set', evidence(history).reverse())).toBe(state)
})

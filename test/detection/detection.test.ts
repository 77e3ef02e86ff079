import { readFileSync, writeFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Chapter, type Damage, reasonOf } from './damage.ts'
import { EXAMINATIONS, type Examination, type Examiner, type Outcome, verify } from './examinations.ts'
import { FOREIGN } from './foreign-damages.ts'
import { type Found, renderPage } from './page.ts'
import { FORGED, RESEALED } from './sealed-damages.ts'
import { makeSpecimen, type Specimen } from './specimen.ts'
import { STORED } from './stored-damages.ts'

/** To accept what is found now: LIFEBOAT_UPDATE_GOLDEN=1, then read the difference. */
const UPDATE = process.env.LIFEBOAT_UPDATE_GOLDEN === '1'
const PAGE = new URL('../../docs/detection.md', import.meta.url)

const CHAPTERS: readonly Chapter[] = [STORED, RESEALED, FORGED, FOREIGN]
const MODES = Object.keys(EXAMINATIONS) as Examination[]

let specimen: Specimen
const found = new Map<Damage, Found>()

beforeAll(async () => {
  specimen = await makeSpecimen()
})
afterAll(() => specimen?.close())

const IDENTITIES = {
  own: () => specimen.identities,
  another: () => specimen.otherIdentities,
  none: () => [],
}

async function examineDamaged(damage: Damage): Promise<Found> {
  const bench = await specimen.bench()
  try {
    await damage.inflict(bench)
    const { cluster, tools, temp, live } = specimen
    const identities = IDENTITIES[damage.identities ?? 'own']()
    const common = { cluster, tools, temp, live, identities, storage: bench.storage }
    const plain = await examineAll({ ...common, verifyKeys: [] })
    return { damage, plain, keyed: await examineWithKey({ ...common, verifyKeys: specimen.verifyKeys }, plain) }
  } finally {
    await bench.discard()
  }
}

async function examineAll(examiner: Examiner): Promise<Record<Examination, Outcome>> {
  const outcomes: Partial<Record<Examination, Outcome>> = {}
  for (const mode of MODES) outcomes[mode] = await EXAMINATIONS[mode](examiner)
  return outcomes as Record<Examination, Outcome>
}

/** The key says something when the set is opened, and never again: what smoke lets through is restored but once. */
async function examineWithKey(
  examiner: Examiner,
  plain: Record<Examination, Outcome>,
): Promise<Record<Examination, Outcome>> {
  const opened = await EXAMINATIONS.smoke(examiner)
  if (!isDeepStrictEqual(opened, plain.smoke)) return examineAll(examiner)
  return { ...plain, smoke: opened, integrity: await EXAMINATIONS.integrity(examiner) }
}

const passed = (outcomes: Record<Examination, Outcome>) => MODES.filter((mode) => outcomes[mode].verdict === 'passed')

test('the sets pass while they are not damaged, with and without the key', async () => {
  const { plain, keyed } = await examineDamaged({ what: 'nothing', inflict: async () => undefined })
  expect(MODES.map((mode) => [plain[mode], keyed[mode]])).toEqual(
    MODES.map(() => [
      { verdict: 'passed', by: [] },
      { verdict: 'passed', by: [] },
    ]),
  )
  const bench = await specimen.bench()
  await bench.reseal({}, () => undefined)
  const { cluster, tools, temp, live, identities, verifyKeys } = specimen
  const resealed = await examineAll({ cluster, tools, temp, live, identities, verifyKeys, storage: bench.storage })
  expect(passed(resealed)).toEqual(MODES)
})

describe.each(CHAPTERS)('$title', ({ damages }) => {
  test.each(damages)('$what', async (damage) => {
    const result = await examineDamaged(damage)
    found.set(damage, result)
    // Found, or not found and said why: nothing else, in either direction.
    expect(passed(result.plain)).toEqual(MODES.filter((mode) => reasonOf(damage, mode) !== undefined))
    if (damage.refusedWithKey) expect(passed(result.keyed)).toEqual([])
    else expect(result.keyed).toEqual(result.plain)
  })
})

test('docs/detection.md says what is found', () => {
  const chapters = CHAPTERS.map((chapter) => ({
    ...chapter,
    found: chapter.damages.flatMap((damage) => found.get(damage) ?? []),
  }))
  const page = renderPage(chapters)
  if (UPDATE) writeFileSync(PAGE, page)
  expect(page).toBe(readFileSync(PAGE, 'utf8'))
})

interface Blow {
  object: number
  at: number
  /** A bit; 8: cut there. */
  bit: number
}

test('of 300 random cuts and flipped bits none passes integrity, and none ends in a stack trace', async () => {
  const bench = await specimen.bench()
  const names = await bench.objects()
  const { identities, verifyKeys, live } = specimen
  const examiner = { storage: bench.storage, identities, verifyKeys, live }
  const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  const blow = fc.record({ object: fc.nat(names.length - 1), at: share, bit: fc.integer({ min: 0, max: 8 }) })
  const property = fc.asyncProperty(blow, async ({ object, at, bit }: Blow) => {
    const name = names[object] ?? ''
    let whole: Buffer = Buffer.alloc(0)
    await bench.alter(name, (bytes) => {
      whole = bytes
      return strike(bytes, Math.floor(at * bytes.length), bit)
    })
    const outcome = await verify('integrity', examiner)
    await verify('smoke', examiner)
    await bench.alter(name, () => whole)
    expect({ name, verdict: outcome.verdict }).toEqual({ name, verdict: 'failed' })
  })
  // A failure prints its seed.
  await fc.assert(property, { numRuns: 300, endOnFailure: true })
  expect(await verify('integrity', examiner)).toEqual({ verdict: 'passed', by: [] })
})

function strike(bytes: Buffer, at: number, bit: number): Buffer {
  if (bit === 8) return bytes.subarray(0, at)
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(at) ^ (1 << bit), at)
  return copy
}

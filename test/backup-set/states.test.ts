import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Evidence } from '../../src/backup-set/documents.ts'
import { type EvidenceName, listEvidence, stateOf, writeEvidence } from '../../src/backup-set/evidence.ts'
import { chooseSet, onlyDatabase, readCatalog, type SetChoice } from '../../src/backup-set/find.ts'
import { compactTime, layout, newestFirst, newSetId, parseSetId } from '../../src/backup-set/layout.ts'
import type { LifeboatError } from '../../src/base/errors.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { evidenceOf, hoursAgo, NOW, storeSet, withStorage } from './support.ts'

test('an id says when, and under which label; what is no id is none', () => {
  fc.assert(
    fc.property(
      fc.date({ min: new Date('2000-01-01'), max: new Date('2199-12-31'), noInvalidDate: true }),
      fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,20}$/),
      (date, label) => {
        const id = newSetId(date, label)
        expect(parseSetId(id)).toEqual({ id, label, takenAt: new Date(Math.floor(date.getTime() / 1_000) * 1_000) })
        expect(id.startsWith(compactTime(date))).toBe(true)
      },
    ),
  )
  for (const text of [
    '',
    'latest',
    '20261122T021704Z-k3v9qa',
    '20261322T021704Z-a-k3v9qa',
    '../20261122T021704Z-a-k3v9qa',
  ])
    expect(parseSetId(text)).toBeUndefined()
})

const label = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,8}$/)

test('ids put sets in order to the millisecond, whatever their labels; foreign ones stand in their second', () => {
  const second = new Date('2026-11-22T02:17:04Z').getTime()
  // Three seconds, mostly shared.
  const moment = fc.record({ at: fc.integer({ min: 0, max: 2_999 }).map((ms) => new Date(second + ms)), label })
  const foreign = fc.record({ label, suffix: fc.stringMatching(/^[a-z0-9]{6}$/) })
  fc.assert(
    fc.property(
      fc.uniqueArray(moment, { selector: ({ at }) => at.getTime() }),
      fc.array(foreign),
      (moments, others) => {
        const known = new Map(moments.map(({ at, label }) => [newSetId(at, label), at.getTime()]))
        const rest = others.map(({ label, suffix }) => `20261122T021705Z-${label}-${suffix}`)
        const sets = [...known.keys(), ...rest].map((id) => {
          const set = parseSetId(id)
          if (set === undefined) throw new Error(`${id} is no id`)
          return set
        })
        const sorted = sets.toSorted(newestFirst)
        expect(sorted.flatMap(({ id }) => known.get(id) ?? [])).toEqual([...known.values()].sort((a, b) => b - a))
        expect(sorted.map(({ takenAt }) => takenAt)).toEqual(
          sets.map(({ takenAt }) => takenAt).sort((a, b) => b.getTime() - a.getTime()),
        )
        expect(sets.toReversed().sort(newestFirst)).toEqual(sorted)
      },
    ),
  )
})

type Step = { test: Evidence['test']; verdict: Evidence['verdict'] }
const KINDS = ['stored-bytes', 'integrity', 'restore-test'] as const

function names(steps: readonly Step[], id = 'set'): EvidenceName[] {
  const at = (index: number) => new Date(NOW.getTime() + index * 1_000)
  return steps.map((step, index) => ({ ...step, id, key: `${index}`, at: at(index), signed: false }))
}

const steps = fc.array(
  fc.record({
    test: fc.constantFrom(...KINDS),
    verdict: fc.constantFrom<Evidence['verdict']>('passed', 'failed', 'unverified'),
  }),
  { maxLength: 12 },
)

test('the state is what the newest evidence of each kind says', () => {
  const cases: [string, string][] = [
    ['', 'written'],
    ['stored-bytes passed', 'written'],
    ['integrity passed', 'intact'],
    ['restore-test passed', 'proven'],
    ['restore-test passed, integrity passed', 'proven'],
    ['restore-test passed, integrity failed', 'damaged'],
    ['restore-test passed, restore-test failed', 'damaged'],
    ['restore-test passed, stored-bytes failed', 'damaged'],
    ['integrity failed, integrity passed', 'intact'],
    ['stored-bytes failed, integrity passed', 'intact'],
    ['integrity failed, stored-bytes passed', 'damaged'],
    ['integrity failed, restore-test passed', 'damaged'],
    ['restore-test failed, integrity passed', 'damaged'],
    ['restore-test failed, restore-test passed', 'proven'],
    ['restore-test passed, restore-test unverified', 'proven'],
    ['restore-test unverified', 'written'],
  ]
  for (const [history, state] of cases) {
    const evidence =
      history === '' ? [] : history.split(', ').map((step) => step.split(' ') as [Step['test'], Step['verdict']])
    const found = stateOf('set', names(evidence.map(([kind, verdict]) => ({ test: kind, verdict }))))
    expect({ history, state: found }).toEqual({ history, state })
  }
})

test('a set is damaged from a failure on until that kind passes again; nothing else heals it, nobody else harms it', () => {
  fc.assert(
    fc.property(steps, fc.constantFrom(...KINDS), steps, (before, kind, after) => {
      const failed = names([...before, { test: kind, verdict: 'failed' as const }])
      expect(stateOf('set', failed)).toBe('damaged')
      const healing = kind === 'stored-bytes' ? ['stored-bytes', 'integrity'] : [kind]
      const unrelated = after.filter(({ test: other, verdict }) => !(verdict === 'passed' && healing.includes(other)))
      const history = [...before, { test: kind, verdict: 'failed' as const }, ...unrelated]
      expect(stateOf('set', names(history))).toBe('damaged')
      const all = KINDS.map((test) => ({ test, verdict: 'passed' as const }))
      expect(stateOf('set', names([...history, ...all]))).toBe('proven')
      // Neither the order of the listing, nor another set's evidence, nor what could not be verified matters.
      const others = names(before, 'other')
      expect(stateOf('set', [...names(history).reverse(), ...others])).toBe(stateOf('set', names(history)))
      const verified = names(history).filter(({ verdict }) => verdict !== 'unverified')
      expect(stateOf('set', verified)).toBe(stateOf('set', names(history)))
    }),
  )
})

test('evidence is found again by the names of its objects alone, and foreign objects are passed over', async () => {
  await withStorage(async (storage) => {
    const head = await storeSet(storage, hoursAgo(30))
    await writeEvidence(storage, evidenceOf(head, 'integrity', 'failed', hoursAgo(20)))
    await writeEvidence(storage, evidenceOf(head, 'integrity', 'passed', hoursAgo(10)))
    for (const name of [
      'readme.txt',
      '20269999T000000Z-integrity-failed-abcdef.json',
      'x/20261122T000000Z-integrity-lost-abcdef.json',
    ])
      await storage.put(`${layout.evidence('shop', head.id)}${name}`, Buffer.from('{}'))
    const found = await listEvidence(storage, 'shop')
    expect(found.map(({ id, test: kind, verdict, at }) => [id, kind, verdict, at])).toEqual([
      [head.id, 'integrity', 'failed', hoursAgo(20)],
      [head.id, 'integrity', 'passed', hoursAgo(10)],
    ])
    expect(stateOf(head.id, await listEvidence(storage, 'shop', head.id))).toBe('intact')
  })
})

async function choose(storage: Storage, choice: SetChoice): Promise<string> {
  const catalog = await readCatalog(storage, 'shop', [])
  return chooseSet(storage, catalog, choice).then(
    ({ id }) => id,
    (error: LifeboatError) => `${error.code}: ${error.message}`,
  )
}

test('latest, proven, a time and an id choose the set that they mean', async () => {
  await withStorage(async (storage) => {
    expect(await choose(storage, { kind: 'latest' })).toContain('no-set: There is no backup set in')
    const oldest = await storeSet(storage, hoursAgo(72))
    const proven = await storeSet(storage, hoursAgo(48))
    const newest = await storeSet(storage, hoursAgo(24))
    const damaged = await storeSet(storage, hoursAgo(12))
    const partial = await storeSet(storage, hoursAgo(1), 'filtered')
    await storage.put('shop/heads/notes.json', Buffer.from('not a head'))
    await storage.put('shop2/heads/20261122T110000Z-nightly-aaaaaa.json', Buffer.from('another database'))
    await writeEvidence(storage, evidenceOf(proven, 'restore-test', 'passed', hoursAgo(47)))
    await writeEvidence(storage, evidenceOf(damaged, 'restore-test', 'passed', hoursAgo(11)))
    await writeEvidence(storage, evidenceOf(damaged, 'integrity', 'failed', hoursAgo(10)))
    expect((await readCatalog(storage, 'shop', [])).sets.map(({ id }) => id)).toEqual(
      [partial, damaged, newest, proven, oldest].map(({ id }) => id),
    )
    expect(await choose(storage, { kind: 'latest' })).toBe(newest.id)
    expect(await choose(storage, { kind: 'proven' })).toBe(proven.id)
    expect(await choose(storage, { kind: 'at', at: hoursAgo(0) })).toBe(newest.id)
    expect(await choose(storage, { kind: 'at', at: hoursAgo(24) })).toBe(newest.id)
    expect(await choose(storage, { kind: 'at', at: hoursAgo(25) })).toBe(proven.id)
    expect(await choose(storage, { kind: 'at', at: hoursAgo(80) })).toContain('a snapshot that early')
    expect(await choose(storage, { kind: 'id', id: damaged.id })).toBe(damaged.id)
    expect(await choose(storage, { kind: 'id', id: partial.id })).toBe(partial.id)
    const unknown = newSetId(hoursAgo(3), 'nightly')
    expect(await choose(storage, { kind: 'id', id: unknown })).toContain(`has the id ${unknown}`)
  })
})

test('a head that was deleted since the listing is passed over; one that was renamed or damaged is told', async () => {
  await withStorage(async (storage) => {
    const older = await storeSet(storage, hoursAgo(48))
    const newer = await storeSet(storage, hoursAgo(24))
    const catalog = await readCatalog(storage, 'shop', [])
    await storage.delete([{ key: layout.head('shop', newer.id) }])
    expect((await chooseSet(storage, catalog, { kind: 'latest' })).id).toBe(older.id)
    const copy = newSetId(hoursAgo(1), 'nightly')
    await storage.put(layout.head('shop', copy), await storage.read(layout.head('shop', older.id)))
    expect(await choose(storage, { kind: 'latest' })).toContain('foreign-document')
    await storage.put(layout.head('shop', copy), Buffer.from('{"kind": "pg-lifeboat head", "form'))
    expect(await choose(storage, { kind: 'latest' })).toContain('damaged-document')
    await storage.put(layout.head('shop', copy), Buffer.from('{"kind": "pg-lifeboat head", "format": 2}'))
    expect(await choose(storage, { kind: 'latest' })).toContain('unknown-format')
  })
})

test('readers find the only database, and ask which where there are several', async () => {
  await withStorage(async (storage) => {
    await expect(onlyDatabase(storage)).rejects.toMatchObject({ code: 'no-set' })
    // Neither what others keep here nor a first dump that did not come to its end is a database.
    for (let folder = 0; folder < 17; folder += 1) await storage.put(`logs-${folder}/app.log`, Buffer.from('x'))
    await storage.put('crm/sets/20261122T100000Z-nightly-aaaaaa/roles.sql.zst', Buffer.from('x'))
    await expect(onlyDatabase(storage)).rejects.toMatchObject({ code: 'no-set' })
    await storeSet(storage, hoursAgo(1))
    expect(await onlyDatabase(storage)).toBe('shop')
    await storage.put('crm/heads/20261122T110000Z-nightly-aaaaaa.json', Buffer.from('{}'))
    await expect(onlyDatabase(storage)).rejects.toMatchObject({
      code: 'which-database',
      message: expect.stringContaining('crm, shop'),
    })
  })
})

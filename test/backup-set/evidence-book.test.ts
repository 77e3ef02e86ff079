import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { type Evidence, type Head, serializeDocument } from '../../src/backup-set/documents.ts'
import { evidenceSignature, stateOf, writeEvidence } from '../../src/backup-set/evidence.ts'
import { chooseSet, newestProven, readCatalog } from '../../src/backup-set/find.ts'
import { layout } from '../../src/backup-set/layout.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { evidenceOf, headOf, hoursAgo, manifestOf, storeSet, withStorage } from './support.ts'

const { privateKey } = generateKeyPairSync('ed25519')
const stranger = generateKeyPairSync('ed25519').privateKey
const KEYS = [createPublicKey(generateKeyPairSync('ed25519').privateKey), createPublicKey(privateKey)]

/** The same storage, and the keys of the objects that were read from it. */
function watched(storage: Storage): { storage: Storage; read: string[] } {
  const read: string[] = []
  const watcher = new Proxy(storage, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...request: unknown[]) => {
        if (name === 'read') read.push(String(request[0]))
        return value.apply(target, request)
      }
    },
  })
  return { storage: watcher, read }
}

const codesOf = (findings: { message: string }[]) => findings.map(({ message }) => message)

async function move(storage: Storage, from: string, to: string): Promise<void> {
  for (const suffix of ['', '.sig']) await storage.put(`${to}${suffix}`, await storage.read(`${from}${suffix}`))
  await storage.delete([{ key: from }, { key: `${from}.sig` }])
}

test('with keys only what one of them signed counts; without keys all of it, by its names alone', async () => {
  await withStorage(async (plain) => {
    const { storage, read } = watched(plain)
    const [signed, unsigned, strange] = [
      await storeSet(storage, hoursAgo(30)),
      await storeSet(storage, hoursAgo(20)),
      await storeSet(storage, hoursAgo(10)),
    ]
    await writeEvidence(storage, evidenceOf(signed, 'restore-test', 'passed', hoursAgo(29)), privateKey)
    await writeEvidence(storage, evidenceOf(unsigned, 'restore-test', 'passed', hoursAgo(19)))
    const { key } = await writeEvidence(storage, evidenceOf(strange, 'restore-test', 'passed', hoursAgo(9)), stranger)

    const open = await readCatalog(storage, 'shop', [])
    expect((await newestProven(open))?.id).toBe(strange.id)
    expect((await open.evidence.lastRehearsal())?.id).toBe(strange.id)
    expect(open.evidence.findings()).toEqual([])
    expect(read).toEqual([])

    const strict = await readCatalog(storage, 'shop', KEYS)
    const states = [signed, unsigned, strange].map(({ id }) => strict.evidence.stateOf(id))
    expect(await Promise.all(states)).toEqual(['proven', 'written', 'written'])
    expect((await chooseSet(storage, strict, { kind: 'proven' })).id).toBe(signed.id)
    expect((await chooseSet(storage, strict, { kind: 'latest' })).id).toBe(strange.id)
    expect((await strict.evidence.lastRehearsal())?.id).toBe(signed.id)
    expect((await strict.evidence.readLastRehearsal())?.id).toBe(signed.id)
    expect(strict.evidence.unsignedRehearsals).toBe(1)
    expect(codesOf(strict.evidence.findings())).toEqual([
      `${key} does not count: it was signed by none of the given keys`,
      '1 piece of evidence is not signed and does not count',
    ])
    // Each once, however often it is asked for.
    expect(read.filter((name) => name.includes('/evidence/')).length).toBe(new Set(read).size - 2)
  })
})

test('a failure that nobody signed harms no set, and one that is signed does', async () => {
  await withStorage(async (storage) => {
    const head = await storeSet(storage, hoursAgo(30))
    await writeEvidence(storage, evidenceOf(head, 'restore-test', 'passed', hoursAgo(20)), privateKey)
    await writeEvidence(storage, evidenceOf(head, 'restore-test', 'failed', hoursAgo(19)))
    await writeEvidence(storage, evidenceOf(head, 'integrity', 'failed', hoursAgo(18)), stranger)
    const state = async () => (await readCatalog(storage, 'shop', KEYS)).evidence.stateOf(head.id)
    expect(await state()).toBe('proven')
    expect(await (await readCatalog(storage, 'shop', [])).evidence.stateOf(head.id)).toBe('damaged')
    await writeEvidence(storage, evidenceOf(head, 'stored-bytes', 'failed', hoursAgo(17)), privateKey)
    expect(await state()).toBe('damaged')
  })
})

const FORGERIES: [name: string, forge: (key: string, ids: { own: string; other: string }) => string, says: RegExp][] = [
  ['copied to another set', (key, { own, other }) => key.replace(own, other), /it says that it is about shop\//],
  [
    'renamed to a later time',
    (key) => key.replace('20261122T010000Z', '20261122T110000Z'),
    /it says that it is of 2026/,
  ],
  ['renamed to a verdict', (key) => key.replace('-failed-', '-passed-'), /it says that it is of .*, failed/],
  [
    'renamed to a test',
    (key) => key.replace('-restore-test-', '-integrity-'),
    /it says that it is of .*, restore-test/,
  ],
]

test.each(FORGERIES)('evidence that was %s does not count, signed as it is', async (name, forge, says) => {
  await withStorage(async (storage) => {
    const [own, other] = [await storeSet(storage, hoursAgo(30)), await storeSet(storage, hoursAgo(20))]
    const verdict = name.includes('verdict') ? 'failed' : 'passed'
    const { key } = await writeEvidence(storage, evidenceOf(own, 'restore-test', verdict, hoursAgo(11)), privateKey)
    const forged = forge(key, { own: own.id, other: other.id })
    expect(forged).not.toBe(key)
    await move(storage, key, forged)
    const { evidence } = await readCatalog(storage, 'shop', KEYS)
    expect([await evidence.stateOf(own.id), await evidence.stateOf(other.id)]).toEqual(['written', 'written'])
    expect(await evidence.readLastRehearsal()).toBeUndefined()
    const [finding] = evidence.findings()
    expect(finding).toMatchObject({ severity: 'warning', message: expect.stringMatching(says) })
    expect(finding?.message).toContain(forged)
  })
})

test('evidence about an earlier manifest of the same id does not count, and is no history without keys either', async () => {
  await withStorage(async (storage) => {
    const head = await storeSet(storage, hoursAgo(30))
    const other: Partial<Evidence> = { manifestSha256: 'a'.repeat(64), rtoSeconds: 60 }
    await writeEvidence(storage, evidenceOf(head, 'restore-test', 'passed', hoursAgo(20), other), privateKey)
    for (const keys of [KEYS, []]) {
      const { evidence } = await readCatalog(storage, 'shop', keys)
      expect(await evidence.readLastRehearsal()).toBeUndefined()
      expect(codesOf(evidence.findings())).toEqual([
        expect.stringContaining('it is about another manifest than the one that is there'),
      ])
      expect(await evidence.stateOf(head.id)).toBe(keys.length > 0 ? 'written' : 'proven')
    }
  })
})

test('evidence that cannot be read does not count; a storage that cannot be read decides nothing', async () => {
  await withStorage(async (storage) => {
    const head = await storeSet(storage, hoursAgo(30))
    const broken = await writeEvidence(storage, evidenceOf(head, 'integrity', 'passed', hoursAgo(20)), privateKey)
    await storage.put(broken.key, Buffer.from('{"kind": "pg-lifeboat evidence"'))
    const gone = await writeEvidence(storage, evidenceOf(head, 'restore-test', 'passed', hoursAgo(10)), privateKey)
    const { evidence } = await readCatalog(storage, 'shop', KEYS)
    await storage.delete([{ key: gone.key }])
    expect(await evidence.stateOf(head.id)).toBe('written')
    // Its signature alone is no evidence, and stands in nobody's way.
    expect((await readCatalog(storage, 'shop', KEYS)).evidence.names.map(({ key }) => key)).toEqual([broken.key])
    expect(await storage.head(evidenceSignature(gone.key))).toBeDefined()

    const unreadable = new Proxy(storage, {
      get: (target, name) =>
        name === 'read'
          ? () => Promise.reject(Object.assign(new Error('503'), { code: 'storage-unavailable' }))
          : Reflect.get(target, name).bind(target),
    })
    const later = await readCatalog(unreadable, 'shop', KEYS)
    await expect(later.evidence.stateOf(head.id)).rejects.toThrow('503')
  })
})

test('what a run has found itself counts for it, signed or not, stored late or not', async () => {
  await withStorage(async (storage) => {
    const head = await storeSet(storage, hoursAgo(30))
    const { evidence, sets } = await readCatalog(storage, 'shop', KEYS)
    const found = evidenceOf(head, 'restore-test', 'passed', hoursAgo(0), { rtoSeconds: 7 })
    evidence.add(await writeEvidence(storage, found), found)
    expect(await evidence.stateOf(head.id)).toBe('proven')
    expect((await evidence.readLastRehearsal())?.rtoSeconds).toBe(7)
    expect(evidence.findings()).toEqual([])
    expect(sets).toHaveLength(1)
    const { evidence: later } = await readCatalog(storage, 'shop', KEYS)
    expect(await later.stateOf(head.id)).toBe('written')
  })
})

test('a restore test of a set that is no more still counts for when one has passed', async () => {
  await withStorage(async (storage) => {
    const head = await storeSet(storage, hoursAgo(30))
    await writeEvidence(storage, evidenceOf(head, 'restore-test', 'passed', hoursAgo(20)), privateKey)
    await storage.delete([{ key: layout.head('shop', head.id) }])
    const catalog = await readCatalog(storage, 'shop', KEYS)
    expect((await catalog.evidence.lastRehearsal())?.id).toBe(head.id)
    expect(await newestProven(catalog)).toBeUndefined()
  })
})

test('of 400 sets with years of evidence little is read to choose one', async () => {
  await withStorage(async (plain) => {
    const heads = Array.from({ length: 400 }, (_, index) => headOf(manifestOf(hoursAgo(24 * (400 - index)))))
    await Promise.all(heads.map((head) => plain.put(layout.head('shop', head.id), serializeDocument(head))))
    const verified = heads.filter((_, index) => index % 10 === 0)
    const record = (head: Head) => evidenceOf(head, 'integrity', 'passed', new Date(head.takenAt))
    await Promise.all(verified.map((head) => writeEvidence(plain, record(head), privateKey)))
    const proven = heads[350] as Head
    await writeEvidence(plain, evidenceOf(proven, 'restore-test', 'passed', hoursAgo(1)), privateKey)
    for (const keys of [[], KEYS]) {
      const { storage, read } = watched(plain)
      const catalog = await readCatalog(storage, 'shop', keys)
      expect((await chooseSet(storage, catalog, { kind: 'latest' })).id).toBe(heads.at(-1)?.id)
      expect((await newestProven(catalog))?.id).toBe(proven.id)
      expect((await catalog.evidence.readLastRehearsal())?.id).toBe(proven.id)
      // The head of the newest set, and that of the proven one; its evidence, and with keys the signatures.
      expect(read.length).toBeLessThanOrEqual(keys.length > 0 ? 6 : 3)
    }
  })
})

test('the book and the names agree where all of it counts', async () => {
  await withStorage(async (storage) => {
    const head = await storeSet(storage, hoursAgo(30))
    const steps = ['integrity passed', 'restore-test failed', 'restore-test passed', 'stored-bytes failed'] as const
    for (const [index, step] of steps.entries()) {
      const [kind, verdict] = step.split(' ') as [Evidence['test'], Evidence['verdict']]
      await writeEvidence(storage, evidenceOf(head, kind, verdict, hoursAgo(20 - index)), privateKey)
      const { evidence } = await readCatalog(storage, 'shop', KEYS)
      expect(await evidence.stateOf(head.id)).toBe(stateOf(head.id, evidence.names))
    }
  })
})

test('with keys each slice has to be signed, and to be the slice that its name says', async () => {
  await withStorage(async (storage) => {
    const head = await storeSet(storage, hoursAgo(30))
    const slice = (number: number, hours: number): Evidence => ({
      ...evidenceOf(head, 'integrity', 'passed', hoursAgo(hours)),
      slice: { number, of: 3 },
    })
    const state = async () => (await readCatalog(storage, 'shop', KEYS)).evidence.stateOf(head.id)
    await writeEvidence(storage, slice(1, 20), privateKey)
    await writeEvidence(storage, slice(2, 19), privateKey)
    await writeEvidence(storage, slice(3, 18), stranger)
    expect(await state()).toBe('written')
    const second = await writeEvidence(storage, slice(2, 17), privateKey)
    await move(storage, second.key, second.key.replace('2of3', '3of3'))
    const book = (await readCatalog(storage, 'shop', KEYS)).evidence
    expect(await book.stateOf(head.id)).toBe('written')
    expect(codesOf(book.findings()).join('\n')).toMatch(/does not count: it says that it is of .*\(slice 2 of 3\)/)
    await writeEvidence(storage, slice(3, 16), privateKey)
    expect(await state()).toBe('intact')
  })
})

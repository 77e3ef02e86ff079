import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import type { Contents, Head } from '../../src/backup-set/documents.ts'
import { layout } from '../../src/backup-set/layout.ts'
import { openSet } from '../../src/backup-set/open-set.ts'
import { partsOfSlice } from '../../src/backup-set/slices.ts'
import { LifeboatError } from '../../src/base/errors.ts'
import { readParts } from '../../src/checks/reading.ts'
import type { Toc } from '../../src/postgres/toc.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { parseIdentities } from '../../src/streams/age.ts'
import { withStorage } from '../backup-set/support.ts'
import { countingMeter } from '../base/counting-meter.ts'
import { buildSet, check, hoursAgo, type SetOptions, tableFacts } from './set.ts'

const GOOD = {
  manifest: 'passed',
  signature: 'not run',
  tools: 'passed',
  'named-tables': 'not run',
  parts: 'passed',
  'stored-bytes': 'passed',
  contents: 'passed',
  rows: 'passed',
  'sequence-values': 'passed',
  roles: 'passed',
}

async function keysOf(storage: Storage, head: Head): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of storage.list(layout.set('shop', head.id))) keys.push(key)
  return keys
}

const takenAt = hoursAgo(2)

async function encryption() {
  const identity = await generateIdentity()
  return { recipients: [await identityToRecipient(identity)], identities: await parseIdentities(identity) }
}

test('a good set passes every check: plain, encrypted and signed', async () => {
  await withStorage(async (storage) => {
    const plain = await check(storage, await buildSet(storage, { takenAt }), 'integrity')
    expect(plain).toMatchObject({ statuses: GOOD, findings: [] })
    const { recipients, identities } = await encryption()
    const { privateKey } = generateKeyPairSync('ed25519')
    const head = await buildSet(storage, { takenAt, recipients, signingKey: privateKey })
    const opened = await check(storage, head, 'integrity', { identities, verifyKeys: [createPublicKey(privateKey)] })
    expect(opened).toMatchObject({ statuses: { ...GOOD, signature: 'passed' }, findings: [] })
    expect(opened.bytesRead).toBe(head.totals.storedBytes)
  })
})

test('of an encrypted set without an identity the stored bytes are checked, and nothing else is claimed', async () => {
  await withStorage(async (storage) => {
    const { recipients } = await encryption()
    const head = await buildSet(storage, { takenAt, recipients })
    const closed = await check(storage, head, 'integrity')
    expect(closed.statuses).toEqual({
      ...GOOD,
      contents: 'not run',
      rows: 'not run',
      'sequence-values': 'not run',
      roles: 'not run',
    })
    expect(closed.bytesRead).toBe(head.totals.storedBytes)
    const stranger = await encryption()
    const wrong = await check(storage, head, 'integrity', stranger)
    expect(wrong.statuses).toMatchObject({ 'stored-bytes': 'unverified', contents: 'not run', rows: 'not run' })
  })
})

test('its progress is told in stored bytes, all of which there are, whether or not they can be opened', async () => {
  await withStorage(async (storage) => {
    const { recipients, identities } = await encryption()
    const set = await openSet(storage, await buildSet(storage, { takenAt, recipients }), [])
    const { storedBytes } = set.manifest.totals
    for (const known of [identities, []]) {
      const meter = countingMeter()
      await readParts(set, { identities: known, signal: new AbortController().signal, meter })
      expect(meter.seen).toEqual({ expected: storedBytes, precision: 'exactly', added: storedBytes })
    }
  })
})

type Damage = (bytes: Buffer) => Buffer | undefined

const DAMAGE: Record<string, Damage> = {
  'a flipped bit': (bytes) => {
    const changed = Buffer.from(bytes)
    changed[changed.length >> 1] = (changed[changed.length >> 1] ?? 0) ^ 1
    return changed
  },
  'cut by one byte': (bytes) => bytes.subarray(0, -1),
  'one byte more': (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]),
  emptied: () => Buffer.alloc(0),
  deleted: () => undefined,
}

test.each(Object.keys(DAMAGE))(
  'every object of a set, %s, is found by integrity; by smoke unless the size stays',
  async (name) => {
    await withStorage(async (storage) => {
      const { recipients, identities } = await encryption()
      for (const encrypted of [false, true]) {
        const head = await buildSet(storage, { takenAt, ...(encrypted ? { recipients } : {}) })
        const keys = await keysOf(storage, head)
        expect(keys.length).toBeGreaterThan(8)
        for (const key of keys) {
          const bytes = await storage.read(key)
          const damaged = DAMAGE[name]?.(bytes)
          if (damaged === undefined) await storage.delete([{ key }])
          else await storage.put(key, damaged)
          const isManifest = key.endsWith('manifest.json')
          const smoke = await check(storage, head, 'smoke')
          const seen = isManifest || name !== 'a flipped bit'
          expect({ key, smoke: Object.values(smoke.statuses).includes('failed') }).toEqual({ key, smoke: seen })
          const { statuses } = await check(storage, head, 'integrity', encrypted ? { identities } : {})
          expect({ key, encrypted, statuses }).toMatchObject({
            statuses: { [isManifest ? 'manifest' : 'stored-bytes']: 'failed' },
          })
          expect(Object.values(statuses)).not.toContain('unverified')
          await storage.put(key, bytes)
        }
        expect((await check(storage, head, 'integrity', encrypted ? { identities } : {})).statuses).toEqual(GOOD)
      }
    })
  },
)

test('a header that was changed into one for another key is damage, and no matter of the key', async () => {
  await withStorage(async (storage) => {
    const { recipients, identities } = await encryption()
    const head = await buildSet(storage, { takenAt, recipients })
    for (const key of (await keysOf(storage, head)).filter((one) => one.endsWith('.age'))) {
      const bytes = await storage.read(key)
      const changed = Buffer.from(bytes)
      changed.write('X25518', changed.indexOf('X25519'))
      await storage.put(key, changed)
      const { statuses } = await check(storage, head, 'integrity', { identities })
      expect({ key, status: statuses['stored-bytes'] }).toEqual({ key, status: 'failed' })
      await storage.put(key, bytes)
    }
  })
})

test('parts that changed places are found', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt })
    const [first = '', second = ''] = (await keysOf(storage, head)).filter((key) => /11\.dat\.\d+/.test(key))
    const [a, b] = [await storage.read(first), await storage.read(second)]
    await storage.put(first, b)
    await storage.put(second, a)
    expect((await check(storage, head, 'integrity')).statuses).toMatchObject({
      'stored-bytes': 'failed',
      rows: 'failed',
    })
  })
})

type Fault = [title: string, alter: NonNullable<SetOptions['alter']>, found: string]

const table = (contents: Contents, index: number) => {
  const found = contents.tables[index]
  if (found === undefined) throw new Error('no such table')
  return found
}

const file = (contents: Contents, index: number) => {
  const found = contents.files[index]
  if (found === undefined) throw new Error('no such file')
  return found
}

const fail = (): never => {
  throw new Error('not there')
}

const dropEntry = (toc: Toc, tag: string) => {
  toc.entries = toc.entries.filter((entry) => entry.tag !== tag)
}

const FAULTS: Fault[] = [
  ['other rows', ({ contents }) => Object.assign(table(contents, 0).fingerprint, { rows: 3 }), 'rows'],
  ['another sum', ({ contents }) => Object.assign(table(contents, 1).fingerprint, { sum: '0'.repeat(32) }), 'rows'],
  ['more large objects', ({ contents }) => Object.assign(contents.largeObjects, { count: 2 }), 'rows'],
  ['a table that the archive lacks', ({ toc }) => dropEntry(toc, 'small'), 'contents'],
  ['a table that the contents lack', ({ contents }) => contents.tables.pop(), 'contents'],
  ['a table under another name', ({ contents }) => Object.assign(table(contents, 0), { name: 'other' }), 'contents'],
  ['a file that the contents lack', ({ contents }) => contents.files.splice(2, 1), 'contents'],
  ['a file that is nowhere', ({ contents }) => contents.files.push({ name: '99.dat', plainBytes: 5 }), 'contents'],
  ['a file of another length', ({ contents }) => Object.assign(file(contents, 0), { plainBytes: 1 }), 'contents'],
  ['a table that nobody dumped', ({ inventory }) => inventory.tables.push(tableFacts(16_020, 'left_out')), 'contents'],
  ['a sequence that nobody dumped', ({ toc }) => dropEntry(toc, 'counter'), 'contents'],
  ['a large object too few', ({ inventory }) => Object.assign(inventory, { largeObjects: 2 }), 'contents'],
  ['no inventory', ({ contents }) => Object.assign(contents, { inventory: {} }), 'contents'],
  ['a role that roles.sql lacks', ({ contents }) => contents.roles.push('auditor'), 'roles'],
  ['a missing segment', ({ contents }) => file(contents, 1).segments?.pop(), 'stored-bytes'],
  ['segments in another order', ({ contents }) => file(contents, 1).segments?.reverse(), 'stored-bytes'],
]

test.each(FAULTS)('a set that was written wrong, with %s, does not pass', async (_, alter, found) => {
  await withStorage(async (storage) => {
    const { statuses, findings } = await check(storage, await buildSet(storage, { takenAt, alter }), 'integrity')
    expect({ statuses, findings }).toMatchObject({ statuses: { [found]: 'failed' } })
  })
})

test('what was left out for a reason is no gap; a missing roles.sql is one', async () => {
  await withStorage(async (storage) => {
    const alter: SetOptions['alter'] = ({ contents, inventory }) => {
      inventory.tables.push(tableFacts(16_020, 'left_out'))
      contents.excluded.push({ schema: 'public', name: 'left_out', reason: 'unlogged: a standby has no rows of it' })
    }
    expect((await check(storage, await buildSet(storage, { takenAt, alter }), 'integrity')).statuses).toEqual(GOOD)
    const { statuses, findings } = await check(storage, await buildSet(storage, { takenAt, roles: null }), 'integrity')
    expect(statuses).toEqual({ ...GOOD, roles: 'failed' })
    expect(findings).toEqual(['roles failure: roles.sql is missing'])
  })
})

test('slices: together they read every part, each finds what is in it, and nothing else is claimed', async () => {
  await withStorage(async (storage) => {
    const { recipients, identities } = await encryption()
    const head = await buildSet(storage, { takenAt, recipients, segmentBytes: 1 << 17 })
    const set = await openSet(storage, head, [])
    const of = 3
    const slices = [1, 2, 3].map((number) => ({ number, of }))
    const good = await Promise.all(slices.map((slice) => check(storage, head, 'integrity', { identities, slice })))
    for (const { statuses, findings } of good) expect({ statuses, findings }).toEqual({ statuses: GOOD, findings: [] })
    for (const [index, slice] of slices.entries()) {
      const { path } = partsOfSlice(set.manifest.parts, slice).find((part) => part.path.includes('11.dat')) ?? fail()
      const key = layout.part('shop', head.id, path)
      const bytes = await storage.read(key)
      await storage.put(key, Buffer.from(bytes).reverse())
      const found = await Promise.all(
        slices.map((one) => check(storage, head, 'integrity', { identities, slice: one })),
      )
      expect(found.map(({ statuses }) => statuses['stored-bytes'] === 'failed')).toEqual(
        slices.map((_, other) => other === index),
      )
      expect(found[index]?.statuses.rows).toBe('failed')
      await storage.put(key, bytes)
    }
  })
})

test('slices of a set that was written wrong: each shows that its segments, and all of them, are the table', async () => {
  await withStorage(async (storage) => {
    const faults: NonNullable<SetOptions['alter']>[] = [
      ({ contents }) => Object.assign(table(contents, 1).fingerprint, { sum: '0'.repeat(32) }),
      ({ contents }) => Object.assign(file(contents, 1).segments?.[1]?.fingerprint ?? fail(), { rows: 1 }),
      ({ contents }) => Object.assign(file(contents, 1).segments?.[1] ?? fail(), { plainBytes: 1 }),
      ({ contents }) => Object.assign(file(contents, 1).segments?.[1] ?? fail(), { path: 'database/11.dat.9.zst' }),
    ]
    for (const alter of faults) {
      const head = await buildSet(storage, { takenAt, alter, segmentBytes: 1 << 17 })
      const verdicts = await Promise.all(
        [1, 2].map((number) => check(storage, head, 'integrity', { slice: { number, of: 2 } })),
      )
      expect(verdicts.some(({ statuses }) => Object.values(statuses).includes('failed'))).toBe(true)
    }
  })
})

test('of named tables alone their parts are read, and what is damaged elsewhere is no matter', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt })
    const whole = await check(storage, head, 'integrity')
    const large = await check(storage, head, 'integrity', { tables: ['large'] })
    const small = await check(storage, head, 'integrity', { tables: ['public.sm*'] })
    expect(large.statuses).toEqual({ ...GOOD, 'named-tables': 'passed' })
    expect(small.statuses).toEqual({ ...GOOD, 'named-tables': 'passed' })
    expect(small.bytesRead).toBeLessThan((large.bytesRead ?? 0) / 2)
    expect(large.bytesRead).toBeLessThan(whole.bytesRead ?? 0)
    expect(small.summaries.rows).toMatch(/^1 tables, 2 rows/)
    const [segment = ''] = (await keysOf(storage, head)).filter((key) => /11\.dat\.\d+/.test(key))
    await storage.put(segment, Buffer.from('gone'))
    expect((await check(storage, head, 'integrity', { tables: ['small'] })).statuses).toEqual({
      ...GOOD,
      'named-tables': 'passed',
    })
    expect((await check(storage, head, 'integrity', { tables: ['l*'] })).statuses).toMatchObject({
      parts: 'failed',
      'stored-bytes': 'failed',
      rows: 'failed',
    })
    await expect(check(storage, head, 'integrity', { tables: ['smal', 'large'] })).resolves.toMatchObject({
      findings: expect.arrayContaining([
        expect.stringMatching(/tables names no table \(given: "smal"\).*public\.small/),
      ]),
    })
  })
})

test('a storage that does not answer leaves the set unverified, not failed', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt })
    const refuse = () => Promise.reject(new LifeboatError('storage-unreachable', 'no answer', 'wait'))
    const mute = (methods: Partial<Storage>): Storage => Object.assign(Object.create(storage), bound(storage), methods)
    const noParts = await check(mute({ get: refuse }), head, 'integrity')
    expect(noParts.statuses).toEqual({
      ...GOOD,
      'stored-bytes': 'unverified',
      contents: 'not run',
      rows: 'not run',
      'sequence-values': 'not run',
      roles: 'not run',
    })
    const nothing = await check(mute({ get: refuse, read: refuse }), head, 'integrity')
    expect(Object.values(nothing.statuses).filter((status) => status !== 'not run')).toEqual(['unverified'])
    expect(nothing.statuses.manifest).toBe('unverified')
  })
})

function bound(storage: Storage): Partial<Storage> {
  return {
    get: (key, options) => storage.get(key, options),
    read: (key, options) => storage.read(key, options),
    head: (key, options) => storage.head(key, options),
    list: (prefix, options) => storage.list(prefix, options),
    posture: (probe, prefix, options) => storage.posture(probe, prefix, options),
  }
}

test('a part that was replaced, but is still there as the version that was written, is a warning', async () => {
  await withStorage(async (storage) => {
    const { privateKey } = generateKeyPairSync('ed25519')
    // A storage that keeps versions: what was written first is `v1`.
    const first = new Map<string, Buffer>()
    const versioned: Storage = Object.assign(Object.create(storage), bound(storage), {
      put: async (...args: Parameters<Storage['put']>) => {
        const stored = await storage.put(...args)
        if (!first.has(args[0])) first.set(args[0], await storage.read(args[0]))
        return { ...stored, versionId: 'v1' }
      },
      head: async (key: string, { versionId }: { versionId?: string } = {}) =>
        versionId === 'v1' && first.has(key)
          ? { key, bytes: first.get(key)?.length, modified: takenAt }
          : storage.head(key),
    })
    const head = await buildSet(versioned, { takenAt, signingKey: privateKey })
    const key = layout.part('shop', head.id, 'notes.txt')
    const part = layout.part('shop', head.id, 'database/toc.dat.zst')
    await storage.put(part, Buffer.from('replaced'))
    const { statuses, findings } = await check(versioned, head, 'smoke')
    expect(statuses.parts).toBe('passed')
    expect(findings.join('\n')).toMatch(/parts warning: 1 parts were deleted or replaced/)
    await storage.put(key, Buffer.from('stray'))
    expect((await check(versioned, head, 'smoke')).findings.join('\n')).toMatch(/belong to no part, e.g. notes.txt/)
  })
})

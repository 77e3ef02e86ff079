import { expect, test } from '@jest/globals'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import { type Evidence, type Head, serializeDocument, type Totals } from '../../src/backup-set/documents.ts'
import { writeEvidence } from '../../src/backup-set/evidence.ts'
import { layout } from '../../src/backup-set/layout.ts'
import { measureUsage } from '../../src/backup-set/usage.ts'
import { LifeboatError } from '../../src/base/errors.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { evidenceOf, headOf, manifestOf, withStorage } from '../backup-set/support.ts'
import { buildSet, type CheckOptions, check, hoursAgo, type SetOptions, tableFacts } from './set.ts'

function record(storage: Storage, head: Head, kind: Evidence['test'], verdict: Evidence['verdict'], at: Date) {
  return writeEvidence(storage, evidenceOf(head, kind, verdict, at))
}

test('day one is green: nothing that cannot be known yet is asked for', async () => {
  await withStorage(async (storage) => {
    const { statuses, findings } = await check(storage, await buildSet(storage, { takenAt: hoursAgo(1) }), 'smoke')
    expect(statuses).toEqual({
      manifest: 'passed',
      signature: 'not run',
      tools: 'passed',
      'named-tables': 'not run',
      'backup-age': 'passed',
      parts: 'passed',
      'size-change': 'not run',
      totals: 'not run',
      source: 'not run',
      'restore-test-age': 'not run',
      'storage-quota': 'not run',
      workflows: 'not run',
      clocks: 'not run',
      versioning: 'not run',
      'object-lock': 'not run',
      'bucket-encryption': 'not run',
      'public-access': 'not run',
      lifecycle: 'not run',
      'free-space': 'passed',
    })
    expect(findings).toEqual([])
  })
})

test('the newest backup may be 30 h old, and may not come from the future; an older one that was asked for may', async () => {
  await withStorage(async (storage) => {
    const age = async (hours: number, newest = true) => {
      const head = await buildSet(storage, { takenAt: hoursAgo(hours) })
      return (await check(storage, head, 'smoke', { newest })).statuses['backup-age']
    }
    expect(await age(29.9)).toBe('passed')
    expect(await age(30.1)).toBe('failed')
    expect(await age(-0.05)).toBe('passed')
    expect(await age(-1)).toBe('failed')
    expect(await age(300, false)).toBe('not run')
  })
})

test.each([
  ['an hour', 3_600_000],
  ['a millisecond', 1],
])('a fresh backup behind one that is damaged, and newer by %s, is told of', async (_, milliseconds) => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(2) })
    const newer = await buildSet(storage, { takenAt: new Date(hoursAgo(2).getTime() + milliseconds) })
    await record(storage, newer, 'integrity', 'failed', hoursAgo(1))
    const { statuses, findings } = await check(storage, head, 'smoke')
    expect(statuses['backup-age']).toBe('passed')
    expect(findings).toEqual([
      `backup-age warning: The newer backup ${newer.id} is damaged: this is the newest one that is not`,
    ])
  })
})

test('the size is held against that of the whole backup before; half of it gone is a failure, a quarter a warning', async () => {
  await withStorage(async (storage) => {
    await buildSet(storage, { takenAt: hoursAgo(48) })
    const change = async (hours: number, share: number, limits = {}) => {
      const head = await buildSet(storage, { takenAt: hoursAgo(hours), share })
      const { statuses, findings } = await check(storage, head, 'smoke', limits)
      return [
        statuses['size-change'],
        findings.filter((finding) => finding.startsWith('size')).map((one) => one.split(':')[0]),
      ]
    }
    expect(await change(24, 0.9)).toEqual(['passed', []])
    expect(await change(23, 0.65)).toEqual(['passed', ['size-change warning']])
    expect(await change(22, 0.2)).toEqual(['failed', ['size-change failure']])
    expect(await change(21, 1)).toEqual(['failed', ['size-change failure']])
    // No change at all is within every limit; partial sets are no measure.
    await buildSet(storage, { takenAt: hoursAgo(20), share: 0.1, content: 'filtered' })
    expect(await change(19, 1, { sizeChangeWarn: 0, sizeChangeFail: 0 })).toEqual(['passed', []])
    expect(await change(18, 0.99, { sizeChangeWarn: 0, sizeChangeFail: 0 })).toEqual([
      'failed',
      ['size-change failure'],
    ])
  })
})

test('a storage that fails is one thing that could not be done, whatever was asked of it', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1) })
    const fails = (what: string): never => {
      throw new LifeboatError(
        'storage-unavailable',
        `Cannot ${what} after several attempts`,
        'Look at its status page.',
      )
    }
    const failing: Storage = Object.assign(Object.create(storage) as Storage, {
      posture: storage.posture.bind(storage),
      read: async (key: string) => fails(`read ${key}`),
      list: (prefix: string) => (prefix === 'shop/' ? storage.list(prefix) : fails(`list ${prefix}`)),
    })
    const { statuses, findings } = await check(failing, head, 'smoke')
    expect(statuses).toMatchObject({ manifest: 'unverified', parts: 'not run', source: 'not run' })
    expect(Object.values(statuses).filter((status) => status === 'unverified')).toHaveLength(1)
    expect(findings).toEqual([expect.stringMatching(/^manifest failure: Cannot read .*manifest.json/)])
    const demanded = await check(failing, head, 'smoke', { required: new Set(['parts']) })
    expect(demanded.statuses).toMatchObject({ manifest: 'unverified', parts: 'unverified', source: 'not run' })
    expect(demanded.results.flatMap(({ id, blocked }) => (blocked ? [id] : []))).toContain('parts')
  })
})

test('a restore test is due 35 days after the first backup, and again 35 days after the last that passed', async () => {
  await withStorage(async (storage) => {
    const first = await buildSet(storage, { takenAt: hoursAgo(36 * 24) })
    const head = await buildSet(storage, { takenAt: hoursAgo(1) })
    const status = async () => (await check(storage, head, 'smoke')).statuses['restore-test-age']
    expect(await status()).toBe('failed')
    await record(storage, head, 'restore-test', 'failed', hoursAgo(1))
    await record(storage, head, 'integrity', 'passed', hoursAgo(1))
    expect(await status()).toBe('failed')
    await record(storage, first, 'restore-test', 'passed', hoursAgo(35 * 24 + 1))
    expect(await status()).toBe('failed')
    await record(storage, first, 'restore-test', 'passed', hoursAgo(35 * 24 - 1))
    expect(await status()).toBe('passed')
  })
})

/** A set without parts, whose head counts what it is told to. */
async function storeHead(storage: Storage, takenAt: Date, counts: Partial<Totals>): Promise<Head> {
  const manifest = manifestOf(takenAt)
  Object.assign(manifest.totals, counts)
  const head = headOf(manifest)
  await storage.put(layout.manifest('shop', manifest.id), serializeDocument(manifest))
  await storage.put(layout.head('shop', manifest.id), serializeDocument(head))
  return head
}

/** The findings of one check of smoke, as `severity: message`. */
async function found(id: string, storage: Storage, head: Head, options: CheckOptions = {}) {
  const { statuses, findings } = await check(storage, head, 'smoke', options)
  return [statuses[id], ...findings.filter((one) => one.startsWith(`${id} `)).map((one) => one.slice(id.length + 1))]
}

test('tables, rows and large objects are held against the backup before; few of them never fail, none at all does', async () => {
  await withStorage(async (storage) => {
    const totals = async (hours: number, change: Partial<Totals>) => {
      const alter = { tables: 40, rows: 20_000, largeObjects: 0, ...change }
      return found('totals', storage, await storeHead(storage, hoursAgo(hours), alter))
    }
    expect(await totals(99, {})).toEqual(['not run'])
    expect(await totals(98, { rows: 17_000 })).toEqual(['passed'])
    expect(await totals(97, { rows: 12_000 })).toEqual([
      'passed',
      expect.stringMatching(/^warning: 12,000 rows inst.*−29/),
    ])
    expect(await totals(96, { rows: 5_000, tables: 39 })).toEqual([
      'failed',
      expect.stringMatching(/^failure: 5,000 rows instead of the 12,000 of .* \(−58\.3 %\)$/),
    ])
    expect(await totals(95, { rows: 900_000 })).toEqual(['failed', expect.stringMatching(/^failure: 900,000 rows/)])
    expect(await totals(94, { rows: 0, tables: 39 })).toEqual(['failed', expect.stringMatching(/^failure: 0 rows/)])
    expect(await totals(93, { rows: 800, tables: 41 })).toEqual(['passed', expect.stringMatching(/^warning: 800 rows/)])
    expect(await totals(92, { rows: 800, tables: 3, largeObjects: 5 })).toEqual([
      'failed',
      expect.stringMatching(/^failure: 3 tables/),
      expect.stringMatching(/^warning: 5 large objects instead of the 0 of [^(]*$/),
    ])
    expect(await totals(91, { rows: 801, tables: 3, largeObjects: 0 })).toEqual([
      'failed',
      expect.stringMatching(/^failure: 0 large objects/),
    ])
  })
})

test('a backup of another database is told of until somebody accepts it by name, not only once', async () => {
  await withStorage(async (storage) => {
    const source = (hours: number, systemIdentifier: string | null, database = 'shop') =>
      buildSet(storage, { takenAt: hoursAgo(hours), source: { systemIdentifier, database } })
    expect(await found('source', storage, await source(99, '111'))).toEqual(['not run'])
    expect(await found('source', storage, await source(98, '111'))).toEqual(['passed'])
    const other = await source(97, '222')
    const said = /^failure: The backup is of 222\/shop, while .* is of 111\/shop/
    expect(await found('source', storage, other)).toEqual(['failed', expect.stringMatching(said)])
    const next = await source(96, '222')
    expect(await found('source', storage, next)).toEqual(['failed', expect.stringMatching(said)])
    for (const acceptSource of [['222/shop'], ['1', '222']]) {
      expect(await found('source', storage, next, { acceptSource })).toEqual(['passed'])
    }
    expect((await found('source', storage, next, { acceptSource: ['222/crm'] }))[0]).toBe('failed')
    expect((await found('source', storage, await source(95, '111', 'crm')))[0]).toBe('failed')
    expect(await found('source', storage, await source(94, null))).toEqual([
      'failed',
      expect.stringMatching(/of unknown\/shop, while .* is of 111\/crm/),
    ])
    const { results } = await check(storage, next, 'smoke')
    expect(results.find(({ id }) => id === 'source')?.findings[0]?.remedy).toContain('`accept-source: 222/shop`')
  })
})

test('where the system identifier is not to be had, nobody says that the source is the same', async () => {
  await withStorage(async (storage) => {
    const source = { systemIdentifier: null }
    await buildSet(storage, { takenAt: hoursAgo(9), source })
    const head = await buildSet(storage, { takenAt: hoursAgo(8), source })
    expect(await found('source', storage, head)).toEqual(['not run'])
    expect((await found('source', storage, head, { required: new Set(['source']) }))[0]).toBe('unverified')
  })
})

test('clocks that are a minute apart are a warning, and five a failure', async () => {
  await withStorage(async (storage) => {
    const clocks = async (clockSkewSeconds: number) =>
      found('clocks', storage, await buildSet(storage, { takenAt: hoursAgo(1), clockSkewSeconds }))
    expect(await clocks(-59)).toEqual(['passed'])
    expect(await clocks(61)).toEqual([
      'passed',
      expect.stringMatching(/^warning: .* 1 min 01 s ahead of the runner's at/),
    ])
    expect(await clocks(-301)).toEqual(['failed', expect.stringMatching(/^failure: .* 5 min 01 s behind/)])
  })
})

test('the storage has a quota where one is given: from 80 % on a warning, from 90 % on a failure', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1) })
    const { bytes } = await measureUsage(storage, 'shop')
    const quota = (share: number) => found('storage-quota', storage, head, { storageQuota: Math.round(bytes / share) })
    expect(await quota(0.79)).toEqual(['passed'])
    expect(await quota(0.85)).toEqual(['passed', expect.stringMatching(/^warning: .* 85 % of `storage-quota`$/)])
    expect(await quota(0.95)).toEqual(['failed', expect.stringMatching(/^failure: .* 95 %/)])
  })
})

test('what is required has to be known: what would not have run is unverified, and says why', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1) })
    const required = new Set(['signature', 'restore-test-age', 'versioning', 'parts'])
    const { statuses, findings } = await check(storage, head, 'smoke', { required })
    expect(statuses).toMatchObject({
      signature: 'unverified',
      'restore-test-age': 'unverified',
      versioning: 'unverified',
      parts: 'passed',
      'object-lock': 'not run',
    })
    expect(findings).toContain(
      'signature failure: The check signature is required, and was not carried out: the set is not signed',
    )
  })
})

test('named tables: their rows are told, and only their parts have to be there', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1) })
    const { statuses, summaries } = await check(storage, head, 'smoke', { tables: ['SMALL'] })
    expect([statuses['named-tables'], summaries['named-tables']]).toEqual(['passed', 'public.small: 2 rows'])
    for await (const { key } of storage.list(layout.set('shop', head.id))) {
      if (key.includes('/11.dat.')) await storage.delete([{ key }])
    }
    expect((await found('parts', storage, head, { tables: ['small'] }))[0]).toBe('passed')
    expect((await found('parts', storage, head, { tables: ['small', 'large'] }))[0]).toBe('failed')
    expect(summaries).toMatchObject({ 'size-change': 'it is about all tables', totals: 'it is about all tables' })
    expect((await found('parts', storage, head))[0]).toBe('failed')
  })
})

test('named tables of which the backup has no rows fail; those of an encrypted one cannot be looked for', async () => {
  await withStorage(async (storage) => {
    const alter: SetOptions['alter'] = ({ contents, inventory }) => {
      inventory.tables.push(tableFacts(16_020, 'left_out'))
      contents.excluded.push({ schema: 'public', name: 'left_out', reason: 'not selected' })
    }
    const head = await buildSet(storage, { takenAt: hoursAgo(1), alter })
    expect(await found('named-tables', storage, head, { tables: ['*'] })).toEqual([
      'failed',
      'failure: The backup has no rows of public.left_out: not selected',
    ])
    const recipients = [await identityToRecipient(await generateIdentity())]
    const sealed = await buildSet(storage, { takenAt: hoursAgo(1), recipients })
    const { statuses } = await check(storage, sealed, 'smoke', { tables: ['small'] })
    expect([statuses['named-tables'], statuses.parts, statuses['backup-age']]).toEqual([
      'unverified',
      'not run',
      'passed',
    ])
  })
})

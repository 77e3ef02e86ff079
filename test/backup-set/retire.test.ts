import { expect, test } from '@jest/globals'
import { readHead } from '../../src/backup-set/find.ts'
import { layout, newSetId } from '../../src/backup-set/layout.ts'
import type { RetentionPolicy } from '../../src/backup-set/retention.ts'
import { sweepLeftOvers } from '../../src/backup-set/sweep.ts'
import type { Clock } from '../../src/base/ports.ts'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { keyPair, keysOf, LAST_ONE, outcomes, retire, testRestore, withQuickStorage, writeSet } from './retiring.ts'
import { hoursAgo, NOW } from './support.ts'

const clock: Clock = { ...systemClock, now: () => NOW }

test('deletes all of a set with its evidence, and nothing else; a plan tells the same and deletes nothing', async () => {
  await withQuickStorage(async (storage) => {
    const old = await writeSet(storage, hoursAgo(72), { signedBy: keyPair().privateKey })
    await testRestore(storage, old, 'failed', hoursAgo(70))
    const proven = await writeSet(storage, hoursAgo(48))
    await testRestore(storage, proven, 'passed', hoursAgo(47))
    const newest = await writeSet(storage, hoursAgo(1))
    await storage.put('shop/heads/notes.json', Buffer.from('no head'))
    await storage.put(`shop/heads/${old.id}.json.bak`, Buffer.from('no head either'))
    await storage.put('shop/sets/notes/readme.txt', Buffer.from('no set'))
    await storage.put(`shop2/heads/${newSetId(hoursAgo(99), 'nightly')}.json`, Buffer.from('another database'))
    const before = await keysOf(storage)
    const plan = await retire(storage, { clock, isPlan: true })
    expect(outcomes(plan)).toEqual([`${newest.id}: kept`, `${proven.id}: kept`, `${old.id}: would be deleted`])
    expect(plan.lines.join()).toMatch(/would delete \S+ \(\S+ KiB\): damaged; older than keep-last 1 reach/)
    expect(await keysOf(storage)).toEqual(before)
    const done = await retire(storage, { clock })
    expect(plan.freedBytes).toBe(done.freedBytes)
    expect(outcomes(done)).toEqual([`${newest.id}: kept`, `${proven.id}: kept`, `${old.id}: deleted`])
    expect([...done.failures, ...done.findings]).toEqual([])
    const gone = before.filter((key) => key.includes(`/${old.id}/`) || key.endsWith(`/${old.id}.json`))
    expect(gone).toHaveLength(6)
    expect(await keysOf(storage)).toEqual(before.filter((key) => !gone.includes(key)))
    expect(outcomes(await retire(storage, { clock }))).toEqual([`${newest.id}: kept`, `${proven.id}: kept`])
  })
})

test('with a key only sets that it has signed are counted or deleted; the others are told', async () => {
  const { privateKey, publicKey } = keyPair()
  await withQuickStorage(async (storage) => {
    const signedBy = privateKey
    const old = await writeSet(storage, hoursAgo(96), { signedBy })
    const mine = await writeSet(storage, hoursAgo(72), { signedBy })
    // Newer than all of mine, so that they would push mine out.
    const unsigned = await writeSet(storage, hoursAgo(3))
    const theirs = await writeSet(storage, hoursAgo(2), { signedBy: keyPair().privateKey })
    const broken = await writeSet(storage, hoursAgo(1), { signedBy })
    await storage.put(layout.manifest('shop', broken.id), Buffer.from('{}'))
    const future = newSetId(hoursAgo(4), 'nightly')
    await storage.put(layout.head('shop', future), Buffer.from('{"kind": "pg-lifeboat head", "format": 2}'))
    const { findings, ...retirement } = await retire(storage, { clock, verifyKeys: [publicKey] })
    expect(outcomes({ findings, ...retirement })).toEqual([
      `${broken.id}: left alone`,
      `${theirs.id}: left alone`,
      `${unsigned.id}: left alone`,
      `${future}: left alone`,
      `${mine.id}: kept`,
      `${old.id}: deleted`,
    ])
    expect(findings).toMatchObject([{ severity: 'note', message: expect.stringContaining('left 4 backups alone') }])
    for (const reason of [
      '1 not signed,',
      '1 not signed with this key',
      'newer version',
      'head and manifest that agree',
    ])
      expect(findings[0]?.message).toContain(reason)
    expect(await keysOf(storage, layout.set('shop', unsigned.id))).toHaveLength(3)
  })
})

test('two runs at once delete the same, while a third one publishes', async () => {
  await withQuickStorage(async (storage) => {
    for (let hours = 1; hours <= 6; hours += 1) await writeSet(storage, hoursAgo(hours * 24))
    const [one, other, published] = await Promise.all([
      retire(storage, { clock }),
      retire(storage, { clock }),
      writeSet(storage, hoursAgo(0)),
    ])
    for (const { failures, findings } of [one, other]) expect([...failures, ...findings]).toEqual([])
    const heads = await keysOf(storage, layout.heads('shop'))
    expect(heads).toHaveLength(2)
    expect(heads).toContain(layout.head('shop', published.id))
    expect(await keysOf(storage)).toHaveLength(2 * 4)
  })
})

test('what cannot be deleted is left as it is, told once, and a cancellation ends it', async () => {
  await withQuickStorage(async (storage) => {
    for (let day = 0; day < 9; day += 1) await writeSet(storage, hoursAgo(day * 24))
    const before = await keysOf(storage)
    let tried = 0
    const refusing = (folder: string): Storage =>
      Object.assign(Object.create(storage), {
        ...bound(storage),
        delete: async (objects: readonly { key: string }[]) => {
          if (!objects.some(({ key }) => key.startsWith(folder))) return await storage.delete(objects)
          tried += 1
          return objects.map(({ key }) => ({ key, outcome: 'failed', reason: 'AccessDenied: allow s3:DeleteObject' }))
        },
      })
    const readOnly = refusing('')
    const { failures, sets, freedBytes } = await retire(readOnly, { clock })
    expect(tried).toBeLessThanOrEqual(4)
    expect(freedBytes).toBe(0)
    expect(sets.map(({ outcome }) => outcome)).toEqual(['kept', ...Array(8).fill('not deleted')])
    expect(failures).toMatchObject([
      {
        severity: 'warning',
        message: expect.stringMatching(/^8 backups that should go could not be deleted: shop\/heads\/.*AccessDenied/),
        remedy: expect.stringContaining('`retention: off`'),
      },
    ])
    const abort = new AbortController()
    abort.abort(new Error('cancelled'))
    await expect(retire(storage, { clock, signal: abort.signal })).rejects.toThrow('cancelled')
    expect(await keysOf(storage)).toEqual(before)
    // Without their heads they are gone, whatever is left of them.
    const partly = await retire(refusing('shop/sets/'), { clock })
    const gone = partly.sets.filter(({ outcome }) => outcome === 'deleted')
    expect(gone.length).toBeGreaterThan(0)
    expect(await keysOf(storage, layout.heads('shop'))).toHaveLength(9 - gone.length)
    expect(partly.failures.map(({ message }) => message)).toEqual([
      expect.stringContaining('that should go could not be deleted: not tried'),
      expect.stringMatching(/^\d backups? went, but not wholly: shop\/sets\/.*AccessDenied/),
    ])
  })
})

/** The methods of a storage, for an object that replaces some of them. */
function bound(storage: Storage): Partial<Storage> {
  return {
    list: (prefix, options) => storage.list(prefix, options),
    versions: (prefix, options) => storage.versions(prefix, options),
    locks: (objects, options) => storage.locks(objects, options),
    read: (key, options) => storage.read(key, options),
    head: (key, options) => storage.head(key, options),
  }
}

test('a deletion that was interrupted after the head is finished by the sweep, evidence and all', async () => {
  await withQuickStorage(async (storage) => {
    const kept = await writeSet(storage, hoursAgo(10 * 24))
    await testRestore(storage, kept, 'passed', hoursAgo(24))
    const young = await writeSet(storage, hoursAgo(24))
    const before = await keysOf(storage)
    const half = await writeSet(storage, hoursAgo(40 * 24))
    await testRestore(storage, half, 'failed', hoursAgo(24))
    await storage.delete([
      { key: layout.head('shop', half.id) },
      { key: layout.part('shop', half.id, 'manifest.json') },
    ])
    for (let sweeps = 0; sweeps < 2; sweeps += 1) {
      expect(await sweepLeftOvers(storage, 'shop', clock, memoryLog())).toEqual([])
    }
    expect(await keysOf(storage)).toEqual(before)
    // What a dump of these days may just be writing is not touched.
    await storage.delete([{ key: layout.head('shop', young.id) }])
    await sweepLeftOvers(storage, 'shop', clock, memoryLog())
    expect(await keysOf(storage, layout.set('shop', young.id))).toHaveLength(3)
  })
})

test('the restore tests that passed last are remembered when their sets are gone, thirty of them', async () => {
  await withQuickStorage(async (storage) => {
    for (let day = 34; day >= 0; day -= 1) {
      const head = await writeSet(storage, hoursAgo(day * 24 + 1), { parts: 1 })
      await testRestore(storage, head, 'passed', hoursAgo(day * 24))
      if (day % 2 === 0) await testRestore(storage, head, 'failed', hoursAgo(day * 24 + 0.5))
    }
    const evidence = await keysOf(storage, layout.evidence('shop'))
    const passed = evidence.filter((key) => key.includes('-passed-'))
    const newest = evidence.filter((key) => key.includes('-failed-')).slice(-1)
    expect((await retire(storage, { clock })).sets.filter(({ outcome }) => outcome === 'deleted')).toHaveLength(34)
    const remembered = [...passed.slice(-30), ...newest].sort()
    expect(await keysOf(storage, layout.evidence('shop'))).toEqual(remembered)
    const head = await writeSet(storage, hoursAgo(0))
    await testRestore(storage, head, 'passed', hoursAgo(0))
    await sweepLeftOvers(storage, 'shop', clock, memoryLog())
    const [oldest] = passed.slice(-30)
    expect(await keysOf(storage, layout.evidence('shop'))).not.toContain(oldest)
    expect(await keysOf(storage, layout.evidence('shop'))).toEqual(expect.arrayContaining(remembered.slice(1)))
  })
})

const WEEKS: RetentionPolicy = { ...LAST_ONE, keepLast: 3, keepDaily: 5, keepWeekly: 2 }

test('60 days without a restore test that passes: the proven set stays, storage is bounded, and somebody is told', async () => {
  await withQuickStorage(async (storage) => {
    const proven = await writeSet(storage, hoursAgo(25), { parts: 1 })
    await testRestore(storage, proven, 'passed', hoursAgo(1))
    const counts: number[] = []
    const warned: boolean[] = []
    for (let day = 0; day < 60; day += 1) {
      const now = new Date(NOW.getTime() + day * 86_400_000)
      const { id: written } = await writeSet(storage, new Date(now.getTime() - 60_000), { parts: 1 })
      const { sets, findings } = await retire(storage, { clock: { ...clock, now: () => now }, policy: WEEKS, written })
      const left = sets.filter(({ outcome }) => outcome !== 'deleted')
      expect(left.find(({ id }) => id === proven.id)?.reasons[0]).toBe('the newest proven backup')
      counts.push(left.length)
      warned.push(findings.some(({ severity, message }) => severity === 'warning' && message.includes(proven.id)))
      // The test fails, every other day for a reason that is held against the set.
      const [newest] = left
      if (day % 2 === 1 && newest) {
        await testRestore(storage, await readHead(storage, 'shop', newest.id), 'failed', now)
      }
    }
    // Not counted are the damaged ones, which live no longer for it: at most twice what the policy names.
    expect(Math.max(...counts)).toBeLessThanOrEqual(2 * (1 + 3 + 2 * (5 + 2)))
    expect(Math.max(...counts.slice(30))).toBe(Math.max(...counts.slice(45)))
    expect(warned.indexOf(true)).toBe(34)
    expect(warned.slice(34).every(Boolean)).toBe(true)
    expect(await keysOf(storage, layout.heads('shop'))).toHaveLength(counts.at(-1) ?? 0)
  })
})

test('backups that were never proven are told of, too, once the oldest is 35 days old', async () => {
  await withQuickStorage(async (storage) => {
    await writeSet(storage, hoursAgo(34 * 24))
    await writeSet(storage, hoursAgo(36 * 24), { content: 'schema' })
    expect((await retire(storage, { clock })).findings).toEqual([])
    await writeSet(storage, hoursAgo(36 * 24))
    const { findings } = await retire(storage, { clock, isPlan: true })
    expect(findings).toMatchObject([
      { severity: 'warning', message: expect.stringContaining('No whole backup is proven') },
    ])
  })
})

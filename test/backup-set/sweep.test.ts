import { utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { layout, newSetId } from '../../src/backup-set/layout.ts'
import { sweepLeftOvers } from '../../src/backup-set/sweep.ts'
import { type Clock, memoryLog, systemClock } from '../../src/base/ports.ts'
import { openDirectory } from '../../src/storage/directory.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { withDirectory } from '../dump/support.ts'

const NOW = new Date('2026-11-22T12:00:00Z')
const clock: Clock = { ...systemClock, now: () => NOW }

function daysAgo(days: number): string {
  return newSetId(new Date(NOW.getTime() - days * 86_400_000), 'nightly')
}

async function keys(storage: Storage): Promise<string[]> {
  const found: string[] = []
  for await (const { key } of storage.list('')) found.push(key)
  return found
}

async function put(storage: Storage, database: string, id: string, hasHead: boolean): Promise<void> {
  await storage.put(layout.part(database, id, 'database/toc.dat.zst'), Buffer.from('x'))
  await storage.put(layout.manifest(database, id), Buffer.from('x'))
  if (hasHead) await storage.put(layout.head(database, id), Buffer.from('x'))
}

test('sweeps what an unfinished dump left 7 days ago, and nothing else', async () => {
  await withDirectory(async (directory) => {
    const storage = openDirectory({ directory, url: `file://${directory}` }, { clock })
    const left = daysAgo(8)
    await put(storage, 'shop', left, false)
    const kept = [daysAgo(6.9), daysAgo(0)]
    for (const id of kept) await put(storage, 'shop', id, false)
    await put(storage, 'shop', daysAgo(30), true)
    await put(storage, 'shop2', daysAgo(30), false)
    await storage.put('shop/sets/notes/readme.txt', Buffer.from('not ours'))
    await storage.put(`shop/evidence/${left}/20261101T000000Z-integrity-passed-abcdef.json`, Buffer.from('x'))
    const before = await keys(storage)
    expect(await sweepLeftOvers(storage, 'shop', clock, memoryLog())).toEqual([])
    const gone = before.filter((key) => key.startsWith(`shop/sets/${left}/`))
    expect(gone.length).toBe(2)
    expect(await keys(storage)).toEqual(before.filter((key) => !gone.includes(key)))
  })
})

test('a listing that leaves out heads does not delete the sets that have them', async () => {
  await withDirectory(async (directory) => {
    const storage = openDirectory({ directory, url: `file://${directory}` }, { clock })
    const id = daysAgo(30)
    await put(storage, 'shop', id, true)
    const before = await keys(storage)
    const forgetful: Storage = Object.assign(Object.create(storage), {
      async *versions(prefix: string) {
        if (prefix !== layout.heads('shop')) yield* storage.versions(prefix)
      },
      list: (prefix: string) => storage.list(prefix),
      locks: () => storage.locks([]),
      head: (key: string) => storage.head(key),
      folders: (prefix: string) => storage.folders(prefix),
      delete: (objects: readonly { key: string }[]) => storage.delete(objects),
      abortUploads: (prefix: string, when: Date) => storage.abortUploads(prefix, when),
    })
    expect(await sweepLeftOvers(forgetful, 'shop', clock, memoryLog())).toEqual([])
    expect(await keys(storage)).toEqual(before)
  })
})

test('removes the temporary files of uploads that were begun 7 days ago', async () => {
  await withDirectory(async (directory) => {
    const storage = openDirectory({ directory, url: `file://${directory}` }, { clock })
    const id = daysAgo(1)
    await put(storage, 'shop', id, false)
    const folder = join(directory, 'shop/sets', id)
    const old = join(folder, '.part.tmp-0123456789abcdef')
    const young = join(folder, '.part.tmp-0123456789abcde0')
    for (const path of [old, young]) await writeFile(path, 'x')
    const when = new Date(NOW.getTime() - 8 * 86_400_000)
    await utimes(old, when, when)
    await utimes(young, NOW, NOW)
    const log = memoryLog()
    await sweepLeftOvers(storage, 'shop', clock, log)
    expect(log.lines.join('\n')).toContain('swept 0 objects and 1 uploads')
  })
})

test('storage that does not let itself be swept is a note, not a failure', async () => {
  await withDirectory(async (directory) => {
    const storage = openDirectory({ directory, url: `file://${directory}` }, { clock })
    const refusing: Storage = Object.assign(Object.create(storage), {
      folders: () => Promise.reject(new Error('access denied')),
    })
    const findings = await sweepLeftOvers(refusing, 'shop', clock, memoryLog())
    expect(findings.map(({ severity }) => severity)).toEqual(['note'])
  })
})

import { afterAll, expect, test } from '@jest/globals'
import { layout } from '../../src/backup-set/layout.ts'
import { measureUsage } from '../../src/backup-set/usage.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { openBucket } from '../storage/setting.ts'
import { startS3 } from '../support/s3-service.ts'
import { hoursAgo, storeSet, withStorage } from './support.ts'

const service = startS3()
afterAll(async () => await (await service).stop())

async function bytesBelow(storage: Storage, prefix: string): Promise<number> {
  let sum = 0
  for await (const { bytes } of storage.list(prefix)) sum += bytes
  return sum
}

test('counts the sets of one database and what they take, in a directory and without the right to list versions', async () => {
  await withStorage(async (storage) => {
    expect(await measureUsage(storage, 'shop')).toEqual({ sets: 0, bytes: 0, bytesWithVersions: 0 })
    await storeSet(storage, hoursAgo(48))
    await storeSet(storage, hoursAgo(24), 'schema')
    await storage.put('shop/heads/notes.json', Buffer.from('no head'))
    await storage.put('shop2/heads/20261122T110000Z-nightly-aaaaaa.json', Buffer.from('another database'))
    const bytes = await bytesBelow(storage, 'shop/')
    expect(await measureUsage(storage, 'shop')).toEqual({ sets: 2, bytes, bytesWithVersions: bytes })
  })
  const { endpoint, guest, allowGuest, env } = await service
  const own = await openBucket(await service)
  await storeSet(own.storage, hoursAgo(24))
  await allowGuest(own.bucket, ['s3:ListBucket'])
  const restricted = await openBucket(await service, { bucket: own.bucket, endpoint, env: { ...env, ...guest } })
  const bytes = await bytesBelow(own.storage, 'shop/')
  expect(await measureUsage(restricted.storage, 'shop')).toEqual({ sets: 1, bytes })
  for (const { storage } of [own, restricted]) storage.close()
})

test('counts what is hidden behind newer versions and markers', async () => {
  const { storage } = await openBucket(await service, { versioning: true })
  const kept = await storeSet(storage, hoursAgo(48))
  const hidden = await storeSet(storage, hoursAgo(24))
  await storage.put(layout.part('shop', kept.id, 'a'), Buffer.alloc(1_000))
  const once = await bytesBelow(storage, 'shop/')
  await storage.put(layout.part('shop', kept.id, 'a'), Buffer.alloc(10))
  await storage.delete([{ key: layout.head('shop', hidden.id) }])
  const bytes = await bytesBelow(storage, 'shop/')
  expect(await measureUsage(storage, 'shop')).toEqual({ sets: 1, bytes, bytesWithVersions: once + 10 })
  storage.close()
})

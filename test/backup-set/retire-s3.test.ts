import { ListObjectVersionsCommand, PutObjectLegalHoldCommand } from '@aws-sdk/client-s3'
import { afterAll, afterEach, expect, test } from '@jest/globals'
import type { Head } from '../../src/backup-set/documents.ts'
import { layout } from '../../src/backup-set/layout.ts'
import { sweepLeftOvers } from '../../src/backup-set/sweep.ts'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { openBucket } from '../storage/setting.ts'
import { startS3 } from '../support/s3-service.ts'
import { keysOf, LAST_ONE, outcomes, retire, testRestore, writeSet } from './retiring.ts'

const starting = startS3()
const storages: Storage[] = []
afterEach(() => {
  for (const storage of storages.splice(0)) storage.close()
})
afterAll(async () => await (await starting).stop())

async function opened(options: Parameters<typeof openBucket>[1] = {}) {
  const service = await starting
  const result = await openBucket(service, options)
  storages.push(result.storage)
  return { service, ...result }
}

function daysAgo(days: number): Date {
  return new Date(Date.now() - days * 86_400_000)
}

/** How many versions and markers there are of what belongs to these sets. */
async function countVersions(bucket: string, ...sets: Head[]): Promise<number> {
  const { client } = await starting
  const { Versions = [], DeleteMarkers = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: bucket }))
  const keys = [...Versions, ...DeleteMarkers].map(({ Key = '' }) => Key)
  return keys.filter((key) => sets.some(({ id }) => key.includes(id))).length
}

test('where versions are kept nothing of a deleted set is left: no version, no marker, no evidence', async () => {
  const { storage, bucket } = await opened({ versioning: true })
  const old = await writeSet(storage, daysAgo(40))
  await testRestore(storage, old, 'failed', daysAgo(39))
  // Overwritten once, and one part hidden.
  await storage.put(layout.manifest('shop', old.id), await storage.read(layout.manifest('shop', old.id)))
  await storage.put(layout.head('shop', old.id), await storage.read(layout.head('shop', old.id)))
  await storage.delete([{ key: layout.part('shop', old.id, 'database/0.dat.zst') }])
  const newest = await writeSet(storage, daysAgo(1))
  const before = await countVersions(bucket, newest)
  expect(await countVersions(bucket, old)).toBe(8)
  const retirement = await retire(storage)
  expect(outcomes(retirement)).toEqual([`${newest.id}: kept`, `${old.id}: deleted`])
  expect(retirement.freedBytes).toBeGreaterThan(old.totals.storedBytes)
  expect(await countVersions(bucket, old)).toBe(0)
  expect(await countVersions(bucket, newest)).toBe(before)
})

test('what is locked is left wholly alone, whether the head says so, a rule of the bucket or a legal hold', async () => {
  const { storage, bucket, service } = await opened({ objectLock: true })
  const lockUntil = new Date(Date.now() + 3_600_000)
  const told = await writeSet(storage, daysAgo(44), { lockUntil })
  const untold = await writeSet(storage, daysAgo(43), { lockUntil, isToldOfLock: false })
  const held = await writeSet(storage, daysAgo(42))
  const free = await writeSet(storage, daysAgo(41))
  const newest = await writeSet(storage, daysAgo(1), { lockUntil })
  const Key = `backups/pg/${layout.part('shop', held.id, 'database/1.dat.zst')}`
  await service.client.send(new PutObjectLegalHoldCommand({ Bucket: bucket, Key, LegalHold: { Status: 'ON' } }))
  const before = await countVersions(bucket, told, untold, held, newest)
  const plan = await retire(storage, { isPlan: true })
  expect(outcomes(plan).map((line) => line.replace('would be deleted', 'deleted'))).toEqual([
    `${newest.id}: kept`,
    `${free.id}: deleted`,
    ...[held, untold, told].map(({ id }) => `${id}: retained`),
  ])
  const { findings, ...retirement } = await retire(storage)
  expect(retirement.freedBytes).toBe(plan.freedBytes)
  expect(outcomes({ findings, ...retirement })).toEqual([
    `${newest.id}: kept`,
    `${free.id}: deleted`,
    `${held.id}: retained`,
    `${untold.id}: retained`,
    `${told.id}: retained`,
  ])
  const reasons = retirement.sets.slice(2).map(({ reasons: [first] }) => first)
  const locked = expect.stringMatching(/^locked until 20..-..-.. ..:.. UTC$/)
  expect(reasons).toEqual(['under a legal hold', locked, locked])
  expect(findings.map(({ severity }) => severity)).toEqual(['note', 'warning'])
  expect(findings[0]?.message).toMatch(/^3 backups would go, but cannot yet: /)
  expect(findings[1]?.message).toContain('No whole backup is proven')
  // Not even hidden: readers find them as before.
  expect(await countVersions(bucket, told, untold, held, newest)).toBe(before)
  expect(await keysOf(storage, layout.heads('shop'))).toHaveLength(4)
  expect(await countVersions(bucket, free)).toBe(0)
  await service.client.send(new PutObjectLegalHoldCommand({ Bucket: bucket, Key, LegalHold: { Status: 'OFF' } }))
  expect(outcomes(await retire(storage))).toContain(`${held.id}: deleted`)
})

test('evidence that is locked for longer than its set does not keep it, and is swept when it may go', async () => {
  const { storage, bucket } = await opened({ objectLock: true })
  const old = await writeSet(storage, daysAgo(40))
  await writeSet(storage, daysAgo(1))
  const key = `${layout.evidence('shop', old.id)}20261001T000000Z-integrity-passed-abcdef.json`
  await storage.put(key, Buffer.from('{}'), { lockUntil: new Date(Date.now() + 2_000) })
  const { sets, failures, findings } = await retire(storage)
  expect(sets.at(-1)?.outcome).toBe('deleted')
  expect([...failures, ...findings.filter(({ message }) => !message.includes('proven'))]).toEqual([])
  const log = memoryLog()
  expect(await sweepLeftOvers(storage, 'shop', systemClock, log)).toEqual([])
  expect(log.lines).toEqual([`debug: sweep: ${layout.evidence('shop', old.id)} is locked`])
  expect(await countVersions(bucket, old)).toBe(1)
  await systemClock.sleep(2_500)
  await sweepLeftOvers(storage, 'shop', systemClock, log)
  expect(await countVersions(bucket, old)).toBe(0)
})

test('the sweep leaves no hidden data behind, and does not touch a set whose head somebody has hidden', async () => {
  const { storage, bucket } = await opened({ versioning: true })
  const unfinished = await writeSet(storage, daysAgo(8))
  const head = layout.head('shop', unfinished.id)
  for await (const { key, versionId } of storage.versions(head)) await storage.delete([{ key, versionId }])
  await storage.put(layout.manifest('shop', unfinished.id), Buffer.from('once more'))
  const hidden = await writeSet(storage, daysAgo(20))
  await storage.delete([{ key: layout.head('shop', hidden.id) }])
  const before = await countVersions(bucket, hidden)
  expect(await sweepLeftOvers(storage, 'shop', systemClock, memoryLog())).toMatchObject([
    { severity: 'note', message: expect.stringContaining(`The heads of ${hidden.id} are hidden`) },
  ])
  expect(await countVersions(bucket, unfinished)).toBe(0)
  expect(await countVersions(bucket, hidden)).toBe(before)
  expect(outcomes(await retire(storage))).toEqual([])
})

test('credentials that may not list versions, or not delete, change nothing and are told what to do', async () => {
  const { storage, bucket, service } = await opened({ versioning: true })
  const sets = [await writeSet(storage, daysAgo(3)), await writeSet(storage, daysAgo(2))]
  const before = await countVersions(bucket, ...sets)
  const { env, guest } = service
  const { storage: guests } = await opened({ bucket, env: { ...env, ...guest } })
  const rights = ['s3:ListBucket', 's3:GetObject', 's3:GetObjectVersion']
  const cases: [string[], string, string][] = [
    [[], 'note', 'could not look at the backups'],
    [rights, 'warning', '1 backup that should go could not be deleted: Access denied: cannot list the versions'],
    [[...rights, 's3:ListBucketVersions'], 'warning', 'AccessDenied: allow s3:DeleteObjectVersion'],
  ]
  for (const [actions, severity, message] of cases) {
    await service.allowGuest(bucket, actions.length > 0 ? actions : ['s3:PutObject'])
    const { failures } = await retire(guests, { policy: LAST_ONE })
    expect(failures).toMatchObject([{ severity, message: expect.stringContaining(message) }])
    expect(failures[0]?.remedy).toContain('`retention: off`')
    expect(await countVersions(bucket, ...sets)).toBe(before)
  }
})

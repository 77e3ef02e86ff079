import {
  PutBucketLifecycleConfigurationCommand,
  PutBucketPolicyCommand,
  PutObjectLockConfigurationCommand,
} from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import type { Storage, StoredObject } from '../../src/storage/storage.ts'
import { type S3Service, startS3 } from '../support/s3-service.ts'
import { type Fault, type Loopback, type SeenRequest, startIntermediary } from './loopback.ts'
import { openBucket, openTemporaryDirectory } from './setting.ts'

const NO_FREE_SPACE = { freeBytes: { unknown: 'does not apply' } }
let service: S3Service
const stops: (() => Promise<void>)[] = []
beforeAll(async () => {
  service = await startS3()
})
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})
afterAll(async () => await service?.stop())

async function opened(options: Parameters<typeof openBucket>[1] = {}) {
  const result = await openBucket(service, options)
  stops.push(async () => result.storage.close())
  return result
}

/** The same bucket by way of something that does to each request what `fault` says. */
async function behind(bucket: string, fault: (request: SeenRequest) => Fault | undefined) {
  const loopback: Loopback = await startIntermediary(service.endpoint, fault)
  stops.push(loopback.stop)
  const { storage } = await opened({ bucket, endpoint: loopback.endpoint, patience: { attempts: 2 } })
  return { storage, seen: loopback.seen }
}

function look(storage: Storage, { key, versionId }: StoredObject) {
  return storage.posture({ key, ...(versionId !== undefined && { versionId }) }, 'shop/')
}

test('a bucket that only keeps objects: that much is known, and nothing is written', async () => {
  const { storage, bucket } = await opened()
  const object = await storage.put('shop/a', Buffer.from('x'))
  const { storage: watched, seen } = await behind(bucket, () => undefined)
  expect(await look(watched, object)).toEqual({
    versioned: { value: false },
    lock: { value: null },
    lockDefault: { value: 'off' },
    encryption: { unknown: 'not implemented' },
    publiclyReadable: { value: false },
    lifecycle: { value: [] },
    ...NO_FREE_SPACE,
  })
  expect(seen.map(({ method }) => method).sort()).toEqual(['GET', 'GET', 'HEAD', 'HEAD'])
})

test('locks, default retention, rules and an open door are seen', async () => {
  const { storage, bucket } = await opened({ objectLock: true })
  const lockUntil = new Date(Date.now() + 3_600_000)
  const locked = await storage.put('shop/locked', Buffer.from('x'), { lockUntil })
  const free = await storage.put('shop/free', Buffer.from('x'))
  expect(await look(storage, locked)).toMatchObject({
    versioned: { value: true },
    lock: { value: { mode: 'COMPLIANCE', until: lockUntil } },
    lockDefault: { value: null },
  })
  expect((await look(storage, free)).lock).toEqual({ value: null })

  const DefaultRetention = { Mode: 'GOVERNANCE', Days: 3 } as const
  const ObjectLockConfiguration = { ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention } } as const
  const Rules = [
    { ID: 'old', Status: 'Enabled', Filter: { Prefix: 'backups/' }, Expiration: { Days: 20 } } as const,
    { ID: 'other', Status: 'Enabled', Filter: { Prefix: 'logs/' }, Expiration: { Days: 1 } } as const,
  ]
  const Statement = [{ Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${bucket}/*` }]
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
  const { client } = service
  await client.send(new PutObjectLockConfigurationCommand({ Bucket: bucket, ObjectLockConfiguration }))
  await client.send(new PutBucketLifecycleConfigurationCommand({ Bucket: bucket, LifecycleConfiguration: { Rules } }))
  await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }))
  const next = await storage.put('shop/next', Buffer.from('x'))
  expect(await look(storage, next)).toMatchObject({
    lock: { value: { mode: 'GOVERNANCE' } },
    lockDefault: { value: { mode: 'GOVERNANCE', days: 3 } },
    publiclyReadable: { value: true },
    lifecycle: { value: [{ id: 'old', does: 'expire', days: 20 }] },
  })
})

test('keys that may only read know nothing of the bucket, and are told which permission it would take', async () => {
  const { storage, bucket } = await opened()
  const object = await storage.put('shop/a', Buffer.from('x'))
  await service.allowGuest(bucket, ['s3:GetObject', 's3:ListBucket'])
  const { storage: reader } = await opened({ bucket, env: { ...service.env, ...service.guest } })
  expect(await look(reader, object)).toEqual({
    versioned: { value: false },
    lock: { unknown: 'not allowed', permission: 's3:GetBucketObjectLockConfiguration' },
    lockDefault: { unknown: 'not allowed', permission: 's3:GetBucketObjectLockConfiguration' },
    encryption: { unknown: 'not implemented' },
    publiclyReadable: { value: false },
    lifecycle: { unknown: 'not allowed', permission: 's3:GetLifecycleConfiguration' },
    ...NO_FREE_SPACE,
  })
})

const STRANGE: [title: string, fault: (request: SeenRequest) => Fault | undefined, unknown: string][] = [
  ['a service that does not know the questions', askedOfBucket({ answer: 501 }), 'not implemented'],
  [
    'a service that has other words for it',
    askedOfBucket({ answer: 400, body: '<Error><Code>Odd</Code></Error>' }),
    'not implemented',
  ],
  [
    'a service that answers another question',
    askedOfBucket({ answer: 200, body: '<ListBucketResult/>' }),
    'not implemented',
  ],
  ['a service in trouble', askedOfBucket({ answer: 503 }), 'no answer'],
]

/** What is asked of the bucket itself, and not of an object or a listing. */
function askedOfBucket(fault: Fault) {
  return ({ path }: SeenRequest) => (/[?&](lifecycle|object-lock|retention)/.test(path) ? fault : undefined)
}

test.each(STRANGE)('%s: unknown, and no error', async (_, fault, unknown) => {
  const { storage, bucket } = await opened()
  const object = await storage.put('shop/a', Buffer.from('x'))
  const posture = await look((await behind(bucket, fault)).storage, object)
  expect(posture).toMatchObject({
    versioned: { value: false },
    lock: { unknown },
    lockDefault: { unknown },
    lifecycle: { unknown },
    publiclyReadable: { value: false },
  })
})

test('an object that is gone tells nothing; a run that is over asks nothing', async () => {
  const { storage } = await opened()
  const object = await storage.put('shop/a', Buffer.from('x'))
  expect(await look(storage, { ...object, key: 'shop/gone' })).toMatchObject({
    versioned: { unknown: 'no answer' },
    encryption: { unknown: 'no answer' },
    publiclyReadable: { value: false },
  })
  const stop = new AbortController()
  stop.abort(new Error('cancelled'))
  await expect(storage.posture(object, 'shop/', { signal: stop.signal })).rejects.toThrow('cancelled')
})

test('of a directory its free space is known', async () => {
  const { storage, remove } = await openTemporaryDirectory()
  const object = await storage.put('shop/a', Buffer.from('x'))
  const posture = await look(storage, object)
  expect(posture.freeBytes).toEqual({ value: expect.any(Number) })
  expect(posture.lifecycle).toEqual({ unknown: 'does not apply' })
  await remove()
  expect((await look(storage, object)).freeBytes).toEqual({ unknown: 'no answer' })
})

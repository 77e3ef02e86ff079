/** @jest-environment ./test/support/node-errors-environment.mjs */
import { randomBytes } from 'node:crypto'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import {
  CreateMultipartUploadCommand,
  GetObjectRetentionCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectLegalHoldCommand,
} from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import { openStorage } from '../../src/storage/open.ts'
import { createS3Client } from '../../src/storage/s3-client.ts'
import { partSizeFor } from '../../src/storage/s3-upload.ts'
import { type S3Service, startS3 } from '../support/s3-service.ts'
import { type Fault, type Loopback, type SeenRequest, startIntermediary, startProxy } from './loopback.ts'
import { bytesOf, content, hastyClock, listed, openBucket, stream } from './setting.ts'

const MIB = 2 ** 20
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

/** A storage behind something that does to each request what `fault` says. */
async function behind(
  fault: (request: SeenRequest, index: number) => Fault | undefined,
  options: Parameters<typeof openBucket>[1] = {},
) {
  const loopback = await startIntermediary(service.endpoint, fault)
  stops.push(loopback.stop)
  return { loopback, ...(await opened({ ...options, endpoint: loopback.endpoint })) }
}

async function proxied(): Promise<Loopback> {
  const proxy = await startProxy()
  stops.push(proxy.stop)
  return proxy
}

async function openUploads(bucket: string): Promise<number> {
  return (await service.client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads?.length ?? 0
}

/** Fails the first `times` requests that match. */
function firstTimes(times: number, matches: (request: SeenRequest) => boolean, fault: Fault) {
  let left = times
  return (request: SeenRequest): Fault | undefined => {
    if (left === 0 || !matches(request)) return undefined
    left -= 1
    return fault
  }
}

test('part sizes keep every object within 1,000 parts', () => {
  for (const bytes of [0, 1, 8e9, 2 ** 33, 2 ** 33 + 1, 5e12]) {
    expect(Math.ceil(bytes / partSizeFor(bytes))).toBeLessThanOrEqual(1_000)
    expect(partSizeFor(bytes) % MIB).toBe(0)
  }
  expect(partSizeFor(2 ** 30)).toBe(8 * MIB)
})

test('records versions, reads them, and deletes by version', async () => {
  const { storage, bucket } = await opened({ versioning: true })
  const first = await storage.put('a', Buffer.from('first'))
  const second = await storage.put('a', stream(9 * MIB))
  expect(first.versionId).toEqual(expect.any(String))
  expect(second.versionId).not.toBe(first.versionId)
  expect(await storage.read('a', { versionId: first.versionId })).toEqual(Buffer.from('first'))
  expect(await storage.head('a')).toMatchObject({ bytes: 9 * MIB, versionId: second.versionId })
  expect(await storage.head('a', { versionId: first.versionId })).toMatchObject({ bytes: 5 })
  await storage.delete([{ key: 'a' }])
  expect(await storage.head('a')).toBeUndefined()
  expect(await storage.read('a', { versionId: first.versionId })).toEqual(Buffer.from('first'))
  const versions = [first, second].map(({ key, versionId }) => ({ key, versionId }))
  expect(await storage.delete(versions)).toEqual(versions.map((version) => ({ ...version, outcome: 'deleted' })))
  expect(await storage.head('a', { versionId: first.versionId })).toBeUndefined()
  const left = await service.client.send(new ListObjectVersionsCommand({ Bucket: bucket }))
  expect(left.Versions ?? []).toEqual([])
})

test('locks what it writes: a deletion by version comes to `retained`, alone and in a batch', async () => {
  const { storage, bucket } = await opened({ objectLock: true })
  const lockUntil = new Date(Date.now() + 3_600_000)
  const small = await storage.put('small', Buffer.from('x'), { lockUntil })
  const large = await storage.put('large', stream(17 * MIB), { lockUntil })
  const free = await storage.put('free', Buffer.from('x'))
  for (const { key, versionId: VersionId } of [small, large]) {
    const command = new GetObjectRetentionCommand({ Bucket: bucket, Key: `backups/pg/${key}`, VersionId })
    const { Retention } = await service.client.send(command)
    expect(Retention?.Mode).toBe('COMPLIANCE')
    expect(Math.abs((Retention?.RetainUntilDate?.getTime() ?? 0) - lockUntil.getTime())).toBeLessThan(1_000)
  }
  const retained = { outcome: 'retained', reason: expect.stringContaining('locked until') }
  expect(await storage.delete([small])).toMatchObject([{ key: 'small', ...retained }])
  const batch = await storage.delete([small, large, free])
  expect(batch).toMatchObject([
    { key: 'small', ...retained },
    { key: 'large', ...retained },
    { key: 'free', outcome: 'deleted' },
  ])
  expect(await storage.read('small', { versionId: small.versionId })).toEqual(Buffer.from('x'))
})

test('lists every version and marker, the latest first, over pages that end between the versions of a key', async () => {
  const { storage } = await opened({ versioning: true })
  const puts = ['one', 'other'].flatMap((name) => Array.from({ length: 510 }, () => `v/${name}`)).values()
  const lane = async () => {
    for (const key of puts) await storage.put(key, Buffer.from('x'))
  }
  await Promise.all(Array.from({ length: 16 }, lane))
  const last = await storage.put('v/other', Buffer.from('last'))
  await storage.delete([{ key: 'v/one' }])
  const found = await listed(storage.versions('v/'))
  expect(found.map(({ key }) => key)).toEqual([...Array(511).fill('v/one'), ...Array(511).fill('v/other')])
  expect(new Set(found.map(({ versionId }) => versionId)).size).toBe(1_022)
  expect(found.filter(({ isLatest }) => isLatest)).toEqual([found[0], found[511]])
  expect(found.filter(({ isDeleteMarker }) => isDeleteMarker)).toEqual([found[0]])
  expect(found[511]).toMatchObject({ versionId: last.versionId, bytes: 4 })
  expect((await listed(storage.list('v/'))).map(({ key }) => key)).toEqual(['v/other'])
  await storage.delete(found)
  expect(await listed(storage.versions('v/'))).toEqual([])
})

test('a version written before the bucket kept any is one like the others', async () => {
  const { storage, bucket: Bucket } = await opened()
  await storage.put('a', Buffer.from('before'))
  const VersioningConfiguration = { Status: 'Enabled' } as const
  await service.client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }))
  await storage.put('a', Buffer.from('after'))
  const found = await listed(storage.versions('a'))
  expect(found.map(({ versionId }) => versionId)).toEqual([expect.stringMatching(/.{8}/), 'null'])
  expect(await storage.read('a', { versionId: 'null' })).toEqual(Buffer.from('before'))
  await storage.delete(found)
  expect(await listed(storage.versions('a'))).toEqual([])
})

test('lists plainly where the service knows no versions, and tells which permission is missing', async () => {
  const unknown = [
    { answer: 501, body: '<Error><Code>NotImplemented</Code><Message>no</Message></Error>' },
    // As if `versions` had not been asked for.
    { answer: 200, body: '<ListBucketResult><Name>b</Name><Contents><Key>a</Key></Contents></ListBucketResult>' },
  ]
  for (const fault of unknown) {
    const { storage } = await behind(({ path }) => (/[?&]versions\b/.test(path) ? fault : undefined))
    await storage.put('a', Buffer.from('x'))
    const found = await listed(storage.versions(''))
    expect(found).toMatchObject([{ key: 'a', bytes: 1, isLatest: true, isDeleteMarker: false }])
    expect(await storage.delete(found)).toMatchObject([{ outcome: 'deleted' }])
  }
  const body = '<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
  const { storage, bucket } = await behind(({ path }) =>
    /[?&]versions\b/.test(path) ? { answer: 403, body } : undefined,
  )
  await expect(listed(storage.versions(''))).rejects.toMatchObject({
    code: 'storage-access-denied',
    remedy: `Allow s3:ListBucketVersions on arn:aws:s3:::${bucket} for these credentials.`,
  })
})

test('tells which versions are locked, and until when; in a bucket without Object Lock it looks at none', async () => {
  const { storage, bucket: Bucket } = await opened({ objectLock: true })
  const lockUntil = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 3_600_000)
  const { key, versionId } = await storage.put('locked', Buffer.from('x'), { lockUntil })
  const held = await storage.put('held', Buffer.from('x'))
  const free = await storage.put('free', Buffer.from('x'))
  const hold = async (Status: 'ON' | 'OFF') => {
    const target = { Bucket, Key: 'backups/pg/held', VersionId: held.versionId, LegalHold: { Status } }
    await service.client.send(new PutObjectLegalHoldCommand(target))
  }
  await hold('ON')
  const { key: heldKey, versionId: heldId } = held
  expect(await storage.locks([free, { key, versionId }, held])).toEqual([
    { key, versionId, until: lockUntil },
    { key: heldKey, versionId: heldId },
  ])
  await hold('OFF')
  expect(await storage.locks([held])).toEqual([])
  const unlocked = await behind(() => undefined, { versioning: true })
  const written = await unlocked.storage.put('a', Buffer.from('x'))
  expect(await unlocked.storage.locks([written])).toEqual([])
  expect(unlocked.loopback.seen.filter(({ method }) => method === 'HEAD')).toEqual([])
})

test.each([1_000, 9 * MIB])(
  'a bucket without Object Lock refuses a lock on %d bytes and names lock-days',
  async (bytes) => {
    const { storage } = await opened()
    const put = storage.put('a', stream(bytes), { lockUntil: new Date(Date.now() + 60_000) })
    await expect(put).rejects.toMatchObject({ code: 'no-object-lock', remedy: expect.stringContaining('lock-days') })
    expect(await storage.head('a')).toBeUndefined()
  },
)

test('a write with a lock carries a checksum that every service knows', async () => {
  const { storage, loopback } = await behind(() => undefined, { objectLock: true })
  await storage.put('a', stream(9 * MIB), { lockUntil: new Date(Date.now() + 3_600_000) })
  await storage.put('b', Buffer.from('b'), { lockUntil: new Date(Date.now() + 3_600_000) })
  const bodies = loopback.seen.filter(({ method, path }) => method === 'PUT' && !path.includes('retention'))
  expect(bodies).toHaveLength(3)
  for (const { headers } of bodies) expect(headers['content-md5']).toMatch(/^[\w+/]{22}==$/)
  expect(Object.keys(bodies[0]?.headers ?? {}).filter((name) => name.startsWith('x-amz-checksum'))).toEqual([])
})

test('a write to another service carries no checksum that only AWS knows; to AWS the SDK sends its own', async () => {
  const { storage, loopback } = await behind(() => undefined)
  await storage.put('a', stream(9 * MIB))
  await storage.put('b', Buffer.from('b'))
  const sent = loopback.seen.filter(({ method }) => method === 'PUT' || method === 'POST')
  expect(sent).toHaveLength(5)
  const newer = /^x-amz-(checksum|sdk-checksum|trailer)|^trailer$/
  expect(sent.flatMap(({ headers }) => Object.keys(headers).filter((name) => newer.test(name)))).toEqual([])
  const aws = await createS3Client({ env: { AWS_REGION: 'eu-central-1' }, log: memoryLog(), clock: systemClock })
  expect([aws.endpoint, await aws.client.config.requestChecksumCalculation()]).toEqual([undefined, 'WHEN_SUPPORTED'])
  aws.client.destroy()
})

test('a storage class is asked for with every object; one that the service does not know is named', async () => {
  const { storage, loopback } = await behind(() => undefined)
  for (const body of [() => stream(9 * MIB), () => Buffer.from('b')]) {
    await storage.put('a', body(), { storageClass: 'STANDARD' })
    await expect(storage.put('b', body(), { storageClass: 'DEEP_FREEZE' })).rejects.toMatchObject({
      code: 'bad-storage-class',
      remedy: expect.stringContaining('`storage-class`'),
    })
  }
  const begun = loopback.seen.filter(({ path }) => /uploads|x-id=PutObject/.test(path))
  const classes = begun.map(({ headers }) => headers['x-amz-storage-class'])
  expect(classes).toEqual(['STANDARD', 'DEEP_FREEZE', 'STANDARD', 'DEEP_FREEZE'])
})

test('deletes one by one where the service has no batches', async () => {
  const { storage, loopback } = await behind(({ method, path }) =>
    method === 'POST' && /[?&]delete\b/.test(path)
      ? { answer: 501, body: '<Error><Code>NotImplemented</Code><Message>no</Message></Error>' }
      : undefined,
  )
  const keys = Array.from({ length: 20 }, (_, index) => ({ key: `k/${index}` }))
  for (const { key } of keys) await storage.put(key, Buffer.from('x'))
  for (const half of [keys.slice(0, 10), keys.slice(10)]) {
    expect((await storage.delete(half)).map(({ outcome }) => outcome)).toEqual(half.map(() => 'deleted'))
  }
  expect(await listed(storage.list(''))).toEqual([])
  expect(loopback.seen.filter(({ method }) => method === 'POST')).toHaveLength(1)
})

test('outlives a burst of 503 and 500, with growing pauses, and says so in the debug log', async () => {
  const slowDown = '<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
  const { storage, clock, log } = await behind(firstTimes(5, () => true, { answer: 503, body: slowDown }))
  await storage.put('a', Buffer.from('x'))
  expect(clock.slept).toHaveLength(5)
  expect(clock.slept.every((pause, index) => pause >= 250 * 2 ** index && pause <= 500 * 2 ** index)).toBe(true)
  expect(log.lines).toContainEqual(expect.stringContaining('SlowDown'))
  const parts = await behind(firstTimes(4, ({ path }) => path.includes('partNumber=2'), { answer: 500 }))
  await parts.storage.put('a', stream(20 * MIB))
  expect((await parts.storage.read('a')).equals(content(0, 20 * MIB))).toBe(true)
})

test('gives up after the last attempt, tells which, and leaves no upload', async () => {
  const { storage, bucket, loopback } = await behind(({ path }) =>
    path.includes('partNumber=2') ? { answer: 503 } : undefined,
  )
  const put = storage.put('a', stream(100 * MIB))
  await expect(put).rejects.toMatchObject({ code: 'storage-unavailable', message: expect.stringContaining('503') })
  expect(await openUploads(bucket)).toBe(0)
  expect(loopback.seen.filter(({ path }) => path.includes('partNumber=2')).length).toBe(8)
})

test('clears up with less patience once the service has outlasted it', async () => {
  const { storage, loopback } = await behind(({ path }) => (path.includes('uploadId=') ? { answer: 503 } : undefined))
  await expect(storage.put('a', stream(9 * MIB))).rejects.toMatchObject({ code: 'storage-unavailable' })
  expect(loopback.seen.filter(({ method }) => method === 'DELETE')).toHaveLength(3)
  await storage.put('b', Buffer.from('x'))
})

test('does not read on after a part was refused', async () => {
  const { storage } = await behind(({ path }) =>
    path.includes('partNumber=1&') ? { answer: 400, body: '<Error><Code>BadDigest</Code></Error>' } : undefined,
  )
  let pulled = 0
  async function* counted() {
    for await (const chunk of stream(300 * MIB)) {
      pulled += chunk.length
      yield chunk
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  await expect(storage.put('a', counted())).rejects.toMatchObject({ code: 'storage-error' })
  expect(pulled).toBeLessThan(100 * MIB)
})

test('holds a few parts in memory, however slow the service is', async () => {
  let release = () => {}
  const until = new Promise<void>((resolve) => {
    release = resolve
  })
  const { storage } = await behind(({ path }) => (path.includes('partNumber=') ? { until } : undefined))
  let pulled = 0
  async function* counted() {
    for await (const chunk of stream(80 * MIB)) {
      pulled += chunk.length
      yield chunk
    }
  }
  const put = storage.put('a', counted())
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  expect(pulled).toBeLessThanOrEqual(6 * 8 * MIB)
  release()
  await put
  expect(pulled).toBe(80 * MIB)
})

test('an upload whose last answer was lost is found to be complete', async () => {
  const complete = ({ method, path }: SeenRequest) => method === 'POST' && path.includes('uploadId=')
  const { storage, bucket } = await behind(firstTimes(1, complete, { swallow: true }), { versioning: true })
  const put = await storage.put('a', stream(20 * MIB))
  expect(put).toMatchObject({ bytes: 20 * MIB, versionId: expect.any(String) })
  expect(await storage.head('a')).toMatchObject({ bytes: 20 * MIB, versionId: put.versionId })
  expect(await openUploads(bucket)).toBe(0)
})

test('an upload cut off while parts are on their way is aborted before the error comes out', async () => {
  const abort = new AbortController()
  const answers = Promise.withResolvers<void>()
  const { storage, bucket } = await behind(({ path }) => {
    if (path.includes('partNumber=2')) abort.abort(new Error('cancelled'))
    return path.includes('partNumber=') ? { until: answers.promise } : undefined
  })
  try {
    // No part is answered before this has ended.
    await expect(storage.put('a', stream(60 * MIB), { signal: abort.signal })).rejects.toThrow('cancelled')
    expect(await openUploads(bucket)).toBe(0)
    expect(await storage.head('a')).toBeUndefined()
  } finally {
    answers.resolve()
  }
})

test('sweeps open uploads below a prefix that are old enough', async () => {
  const { storage, bucket: Bucket } = await opened()
  for (const Key of ['backups/pg/sets/1/a', 'backups/pg/sets/2/a', 'backups/pg/other/a', 'elsewhere/a']) {
    await service.client.send(new CreateMultipartUploadCommand({ Bucket, Key }))
  }
  const later = new Date(Date.now() + 60_000)
  expect(await storage.abortUploads('sets/', new Date(Date.now() - 60_000))).toBe(0)
  expect(await storage.abortUploads('sets/', later)).toBe(2)
  expect(await storage.abortUploads('', later)).toBe(1)
  expect(await openUploads(Bucket)).toBe(1)
})

test('reads on where a connection broke, from the byte asked for to the last', async () => {
  const bytes = 20 * MIB + 77
  const isGet = ({ method }: SeenRequest) => method === 'GET'
  const cuts = firstTimes(4, isGet, { cutAfter: 3 * MIB + 5 })
  const { storage, loopback } = await behind(cuts, { versioning: true })
  await storage.put('a', stream(bytes))
  const read = await bytesOf(await storage.get('a', { start: 1_234 }))
  expect(read.equals(content(1_234, bytes - 1_234))).toBe(true)
  const resumed = loopback.seen.filter(isGet)
  expect(resumed).toHaveLength(5)
  expect(resumed.slice(1).every(({ path, headers }) => headers['if-match'] && path.includes('versionId='))).toBe(true)
})

test('reads on where a peer went silent', async () => {
  const stall = firstTimes(1, ({ method }) => method === 'GET', { stallAfter: 2 * MIB })
  const { storage } = await behind(stall, { patience: { idleTimeout: 2_000 } })
  await storage.put('a', stream(9 * MIB))
  expect((await storage.read('a')).equals(content(0, 9 * MIB))).toBe(true)
})

test('stops reading on when no attempt gets further, and when the object was replaced', async () => {
  const cut = await behind(({ method }) => (method === 'GET' ? { cutAfter: 100 } : undefined))
  await cut.storage.put('a', stream(MIB))
  await expect(cut.storage.read('a')).rejects.toMatchObject({ code: 'storage-unreachable' })
  expect(cut.loopback.seen.filter(({ method }) => method === 'GET')).toHaveLength(8)
  const { storage, bucket } = await behind(firstTimes(1, ({ method }) => method === 'GET', { cutAfter: 3 * MIB }))
  await storage.put('a', stream(9 * MIB))
  const other = await opened({ bucket })
  const body = await storage.get('a')
  await other.storage.put('a', Buffer.alloc(9 * MIB))
  await expect(bytesOf(body)).rejects.toMatchObject({ code: 'object-changed' })
})

test('a reader who stops early closes the connection', async () => {
  const { storage } = await opened()
  await storage.put('a', stream(30 * MIB))
  for await (const chunk of await storage.get('a')) {
    expect(chunk.length).toBeGreaterThan(0)
    break
  }
  const body = await storage.get('a')
  const end = new PassThrough()
  body.pipe(end)
  await new Promise((resolve) => end.once('readable', resolve))
  body.destroy()
  await new Promise((resolve) => body.once('close', resolve))
})

test('goes through the proxy that the environment names, and not where it says no', async () => {
  const { storage: direct, bucket } = await opened()
  await direct.put('a', Buffer.from('by proxy'))
  const proxy = await proxied()
  const withUser = proxy.endpoint.replace('//', '//user:hush-hush@')
  const through = await opened({ bucket, env: { ...service.env, HTTP_PROXY: withUser } })
  expect((await through.storage.read('a')).toString()).toBe('by proxy')
  await through.storage.put('b', stream(9 * MIB))
  expect(proxy.seen.length).toBeGreaterThan(0)
  expect(proxy.seen[0]?.headers['proxy-authorization']).toMatch(/^Basic /)
  const before = proxy.seen.length
  const exempt = { ...service.env, HTTP_PROXY: proxy.endpoint, NO_PROXY: '127.0.0.1' }
  expect((await (await opened({ bucket, env: exempt })).storage.read('a')).toString()).toBe('by proxy')
  expect(proxy.seen.length).toBe(before)
})

test('reaches an https service by a tunnel', async () => {
  const proxy = await proxied()
  const env = { ...service.env, HTTPS_PROXY: proxy.endpoint }
  // There is no TLS behind the tunnel: it is enough that the tunnel is asked for, and what the error then says.
  const endpoint = service.endpoint.replace('http:', 'https:')
  const { storage } = await opened({ endpoint, env })
  await expect(storage.read('a')).rejects.toMatchObject({
    code: 'storage-tls',
    remedy: expect.stringContaining('http://'),
  })
  expect(proxy.seen[0]).toMatchObject({ method: 'CONNECT', path: new URL(endpoint).host })
})

test('names what is wrong and what to do about it', async () => {
  const { storage } = await opened({ bucket: `missing-${randomBytes(4).toString('hex')}` })
  const noBucket = { code: 'no-bucket', remedy: expect.stringContaining('`storage`') }
  await expect(storage.put('a', Buffer.alloc(1))).rejects.toMatchObject(noBucket)
  await expect(listed(storage.list(''))).rejects.toMatchObject(noBucket)
  await expect(storage.get('a')).rejects.toMatchObject(noBucket)
  const { bucket } = await opened()
  const credentials = [
    { ...service.env, AWS_ACCESS_KEY_ID: 'nobody' },
    { ...service.env, AWS_SECRET_ACCESS_KEY: 'hush-hush' },
  ]
  for (const env of credentials) {
    const { storage: refused, log } = await opened({ bucket, env })
    const error = await refused.put('a', Buffer.alloc(1)).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'bad-storage-credentials',
      remedy: expect.stringContaining('AWS_ACCESS_KEY_ID'),
    })
    expect(`${(error as Error).message}${log.lines.join()}`).not.toContain('hush-hush')
  }
})

test('an endpoint where nobody listens is told after three attempts', async () => {
  const { storage, clock } = await opened({ bucket: 'any', endpoint: 'http://127.0.0.1:1' })
  const expected = { code: 'storage-unreachable', remedy: expect.stringContaining('s3-endpoint') }
  await expect(storage.read('a')).rejects.toMatchObject(expected)
  expect(clock.slept).toHaveLength(2)
})

/** The SDK's chain reads the process's environment: nothing of it but `variables` may answer. */
async function withChain(variables: Record<string, string>, work: () => Promise<void>): Promise<void> {
  const saved = { ...process.env }
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name]
  Object.assign(process.env, { AWS_EC2_METADATA_DISABLED: 'true', HOME: '/nonexistent' }, variables)
  try {
    await work()
  } finally {
    for (const name of Object.keys(process.env)) delete process.env[name]
    Object.assign(process.env, saved)
  }
}

test('without credentials it says where they are looked for', () =>
  withChain({}, async () => {
    const { storage } = await opened({ bucket: 'any', env: {} })
    const expected = { code: 'no-storage-credentials', remedy: expect.stringContaining('AWS_ACCESS_KEY_ID') }
    await expect(storage.read('a')).rejects.toMatchObject(expected)
  }))

test('a role by OIDC is asked for through the proxy, too', async () => {
  const proxy = await startProxy({ tunnels: false })
  stops.push(proxy.stop)
  const variables = {
    AWS_REGION: 'eu-central-1',
    AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/backup',
    AWS_WEB_IDENTITY_TOKEN_FILE: fileURLToPath(import.meta.url),
  }
  await withChain(variables, async () => {
    const env = { ...variables, HTTPS_PROXY: proxy.endpoint }
    const storage = await openStorage('s3://any', { env, log: memoryLog(), clock: hastyClock() })
    await expect(storage.read('a')).rejects.toMatchObject({ code: expect.any(String) })
    storage.close()
  })
  const asked = new Set(proxy.seen.map(({ method, path }) => `${method} ${path}`))
  expect([...asked]).toEqual(['CONNECT sts.eu-central-1.amazonaws.com:443'])
})

/** What services other than the one at hand answer; headers and bodies as their documentation shows them. */
test.each([
  [403, 'AccessDenied', 'Access Denied', 'storage-access-denied', 's3:GetObject on arn:aws:s3:::'],
  [403, 'RequestTimeTooSkewed', 'The difference is too large.', 'clock-skew', 'clock'],
  [400, 'ExpiredToken', 'The provided token has expired.', 'bad-storage-credentials', 'AWS_SESSION_TOKEN'],
  [400, 'AuthorizationHeaderMalformed', "the region 'us-east-1' is wrong", 'wrong-region', 'AWS_REGION'],
  [301, 'PermanentRedirect', 'Use the specified endpoint.', 'wrong-region', 'AWS_REGION'],
  [403, 'InvalidObjectState', 'not valid for the storage class', 'object-archived', 'storage-class'],
  [418, 'Teapot', 'short\n and stout', 'storage-error', '`s3-endpoint`'],
])('an answer %d %s (%s) is %s, and the remedy names %s', async (status, name, message, code, remedy) => {
  const body = `<Error><Code>${name}</Code><Message>${message}</Message></Error>`
  const { storage } = await behind(() => ({ answer: status, body }))
  const error = await storage.read('a').catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code, remedy: expect.stringContaining(remedy) })
  expect((error as Error).message).not.toContain('\n')
})

import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import { compareKeys, parseStorageUrl } from '../../src/storage/location.ts'
import { openStorage } from '../../src/storage/open.ts'

test.each([
  ['s3://bucket', { kind: 's3', bucket: 'bucket', prefix: '', url: 's3://bucket' }],
  ['s3://bucket/', { kind: 's3', bucket: 'bucket', prefix: '', url: 's3://bucket' }],
  ['s3://my.bucket-1/a/b c/', { kind: 's3', bucket: 'my.bucket-1', prefix: 'a/b c', url: 's3://my.bucket-1/a/b c' }],
  [' S3://b_1/p%20q ', { kind: 's3', bucket: 'b_1', prefix: 'p%20q', url: 's3://b_1/p%20q' }],
  ['file:///var/backups/', { kind: 'directory', directory: '/var/backups', url: 'file:///var/backups' }],
  ['file:///my%20disk/ü', { kind: 'directory', directory: '/my disk/ü', url: 'file:///my%20disk/%C3%BC' }],
  ['file:///my disk', { kind: 'directory', directory: '/my disk', url: 'file:///my%20disk' }],
  ['file://localhost/srv', { kind: 'directory', directory: '/srv', url: 'file:///srv' }],
])('%s is a storage', (text, expected) => {
  expect(parseStorageUrl(text)).toEqual(expected)
})

test.each([
  '',
  '/var/backups',
  'file://backups',
  'file:backups',
  'file:///',
  'file:///a%2Fb',
  'file:///a?b',
  'file:///a%00b',
  's3://',
  's3:///prefix',
  's3://bucket/a//b',
  's3://bucket/../b',
  's3://bucket/a?region=x',
  's3://key:hush-hush@bucket/prefix',
  'https://hush-hush.example.com/bucket',
])('%j is none, and the error does not repeat it', (text) => {
  let thrown: unknown
  try {
    parseStorageUrl(text)
  } catch (error) {
    thrown = error
  }
  expect(thrown).toMatchObject({ code: 'bad-storage-url', remedy: expect.stringContaining('s3://bucket/prefix') })
  expect(String(thrown)).not.toContain('hush-hush')
})

test('keys are ordered as bytes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (a, b) => {
      expect(compareKeys(a, b)).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
    }),
  )
  expect(compareKeys('\uffee', '\u{1f6df}')).toBe(-1)
})

test.each([
  [{ env: {} }, 'no-region', 'AWS_REGION'],
  [{ env: {}, endpoint: 'localhost:9000' }, 'bad-s3-endpoint', 's3-endpoint'],
  [{ env: {}, endpoint: 'https://key:hush-hush@s3.example.com' }, 'bad-s3-endpoint', 's3-endpoint'],
  [{ env: { AWS_REGION: 'x', HTTPS_PROXY: 'socks5://user:hush-hush@proxy:1' } }, 'bad-proxy', 'HTTPS_PROXY'],
])('opening S3 with %j rejects with %s and names %s', async (options, code, remedy) => {
  const opening = openStorage('s3://bucket', { log: memoryLog(), clock: systemClock, ...options })
  const error = await opening.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toMatchObject({ code, remedy: expect.stringContaining(remedy) })
  expect(String((error as Error).message)).not.toContain('hush-hush')
})

test('the endpoint may come from the variables of the AWS tools', async () => {
  const env = { AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9/', AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' }
  const storage = await openStorage('s3://bucket/p/', { env, log: memoryLog(), clock: systemClock })
  expect(storage).toMatchObject({ url: 's3://bucket/p', canLock: true })
  storage.close()
})

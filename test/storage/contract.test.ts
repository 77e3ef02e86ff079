import { createHash } from 'node:crypto'
import { addAbortSignal, PassThrough } from 'node:stream'
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Storage } from '../../src/storage/storage.ts'
import { type S3Service, startS3 } from '../support/s3-service.ts'
import { until } from '../until.ts'
import { bytesOf, content, listed, openBucket, openTemporaryDirectory, stream } from './setting.ts'

const MIB = 2 ** 20

interface Setting {
  storage: Storage
  /** What a write that did not end well may leave beside the objects: open uploads, temporary files. */
  leftovers(): Promise<number>
  close(): Promise<void>
}

async function directorySetting(): Promise<Setting> {
  const { storage, directory, remove } = await openTemporaryDirectory()
  const { readdir } = await import('node:fs/promises')
  const leftovers = async () => {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => [])
    const stored = await listed(storage.list(''))
    return entries.filter((entry) => entry.isFile()).length - stored.length
  }
  return { storage, leftovers, close: remove }
}

async function s3Setting(): Promise<Setting> {
  const service: S3Service = await startS3()
  const { storage, bucket } = await openBucket(service)
  const leftovers = async () => {
    const answer = await service.client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
    return answer.Uploads?.length ?? 0
  }
  const close = async () => {
    storage.close()
    await service.stop()
  }
  return { storage, leftovers, close }
}

describe.each([
  ['directory', directorySetting],
  ['S3', s3Setting],
] as const)('%s storage', (_name, open) => {
  let setting: Setting
  let storage: Storage
  beforeAll(async () => {
    setting = await open()
    storage = setting.storage
  })
  afterAll(async () => await setting?.close())

  test('is empty before anything was written', async () => {
    expect(await listed(storage.list(''))).toEqual([])
    expect(await storage.folders('')).toEqual([])
    expect(await storage.head('a/b')).toBeUndefined()
    await expect(storage.get('a/b')).rejects.toMatchObject({ code: 'no-object' })
    await expect(storage.read('a/b')).rejects.toMatchObject({ code: 'no-object' })
    expect(await storage.abortUploads('', new Date())).toBe(0)
  })

  test('gives back what was put', async () => {
    const body = Buffer.from('the content')
    const put = await storage.put('round/trip.txt', body)
    expect(put).toMatchObject({ key: 'round/trip.txt', bytes: 11 })
    expect(await storage.read('round/trip.txt')).toEqual(body)
    const head = await storage.head('round/trip.txt')
    expect(head).toMatchObject({ key: 'round/trip.txt', bytes: 11 })
    expect(Math.abs((head?.modified.getTime() ?? 0) - Date.now())).toBeLessThan(60_000)
    expect(await bytesOf(await storage.get('round/trip.txt', { start: 4 }))).toEqual(Buffer.from('content'))
    expect(await bytesOf(await storage.get('round/trip.txt', { start: 11 }))).toEqual(Buffer.alloc(0))
    await storage.put('round/trip.txt', Buffer.from('another'))
    expect(await storage.read('round/trip.txt')).toEqual(Buffer.from('another'))
    await expect(storage.read('round/trip.txt', { limit: 6 })).rejects.toMatchObject({ code: 'object-too-large' })
    expect((await storage.read('round/trip.txt', { limit: 7 })).length).toBe(7)
  })

  test('keeps empty objects, from a buffer and from a stream', async () => {
    await storage.put('empty/buffer', Buffer.alloc(0))
    await storage.put('empty/stream', stream(0))
    for (const key of ['empty/buffer', 'empty/stream']) {
      expect(await storage.read(key)).toEqual(Buffer.alloc(0))
      expect(await storage.head(key)).toMatchObject({ bytes: 0 })
    }
  })

  test('keeps names with spaces, letters of all scripts and what URLs and XML escape', async () => {
    const keys = ['a b+c.txt', 'Größe/日本/🛟.zst', `q?#%20&=<>"'.bin`, 'm/*!~()[]{}|^`.x'].map((key) => `names/${key}`)
    for (const key of keys) await storage.put(key, Buffer.from(key))
    for (const key of keys) expect((await storage.read(key)).toString()).toBe(key)
    const found = (await listed(storage.list('names/'))).map((object) => object.key)
    expect(found.toSorted()).toEqual(keys.toSorted())
    const deletions = await storage.delete(keys.map((key) => ({ key })))
    expect(deletions.map((deletion) => deletion.outcome)).toEqual(keys.map(() => 'deleted'))
    expect(await listed(storage.list('names/'))).toEqual([])
  })

  test.each(['', '/a', 'a/', '../a', 'a/../b', 'a//b', './a', 'a\0b', 'a\nb', 'x'.repeat(901)])(
    'refuses the key %j',
    async (key) => {
      const refused = { code: 'bad-storage-key' }
      await expect(storage.put(key, Buffer.alloc(1))).rejects.toMatchObject(refused)
      await expect(storage.get(key)).rejects.toMatchObject(refused)
      await expect(storage.head(key)).rejects.toMatchObject(refused)
      await expect(storage.delete([{ key }])).rejects.toMatchObject(refused)
    },
  )

  test('takes a stream of many parts and reads from any byte', async () => {
    const bytes = 27 * MIB + 4_321
    const put = await storage.put('big/object', stream(bytes, { chunk: 100_000 }))
    expect(put.bytes).toBe(bytes)
    const expected = createHash('sha256')
    for await (const chunk of stream(bytes)) expected.update(chunk)
    const actual = createHash('sha256')
    for await (const chunk of await storage.get('big/object')) actual.update(chunk)
    expect(actual.digest('hex')).toBe(expected.digest('hex'))
    const tail = await bytesOf(await storage.get('big/object', { start: bytes - 12_345 }))
    expect(tail.equals(content(bytes - 12_345, 12_345))).toBe(true)
    expect(await setting.leftovers()).toBe(0)
  })

  test('a large buffer is an object like any other', async () => {
    const body = content(0, 17 * MIB + 1)
    expect(await storage.put('big/buffer', body)).toMatchObject({ bytes: body.length })
    expect((await storage.read('big/buffer')).equals(body)).toBe(true)
  })

  test.each([0, 1_000, 8 * MIB, 20 * MIB])('a stream that fails after %d bytes leaves nothing', async (bytes) => {
    const error = new Error('the table went away')
    await expect(storage.put('failed/stream', stream(bytes, { error }))).rejects.toBe(error)
    expect(await storage.head('failed/stream')).toBeUndefined()
    expect(await listed(storage.list('failed/'))).toEqual([])
    expect(await setting.leftovers()).toBe(0)
  })

  test('a stream that is longer than announced leaves nothing and says so', async () => {
    const put = storage.put('failed/long', stream(9 * MIB), { maxBytes: 9 * MIB - 1 })
    await expect(put).rejects.toMatchObject({ code: 'object-too-long' })
    expect(await storage.head('failed/long')).toBeUndefined()
    expect(await setting.leftovers()).toBe(0)
    await storage.put('announced/exactly', stream(9 * MIB), { maxBytes: 9 * MIB })
    expect(await storage.head('announced/exactly')).toMatchObject({ bytes: 9 * MIB })
  })

  test.each([1_000, 20 * MIB])(
    'an abort after %d bytes leaves nothing, though the body never goes on',
    async (bytes) => {
      const abort = new AbortController()
      const reason = new Error('cancelled')
      let closed = false
      async function* stalled() {
        try {
          yield* stream(bytes)
          setTimeout(() => abort.abort(reason), 100)
          // A body that waits honours the signal, or its owner ends it; storage must not wait for either.
          const endless = addAbortSignal(abort.signal, new PassThrough())
          for await (const chunk of endless) yield chunk as Buffer
        } finally {
          closed = true
        }
      }
      const put = storage.put('failed/abort', stalled(), { signal: abort.signal })
      await expect(put).rejects.toBe(reason)
      expect(await storage.head('failed/abort')).toBeUndefined()
      expect(await setting.leftovers()).toBe(0)
      await until(() => closed)
    },
  )

  test('does not begin what is already aborted', async () => {
    const signal = AbortSignal.abort(new Error('too late'))
    await expect(storage.put('late', Buffer.alloc(1), { signal })).rejects.toThrow('too late')
    await expect(storage.get('round/trip.txt', { signal })).rejects.toThrow('too late')
    expect(await storage.head('late')).toBeUndefined()
  })

  test('ends a reading that is aborted', async () => {
    await storage.put('abort/reading', stream(20 * MIB))
    const abort = new AbortController()
    const source = await storage.get('abort/reading', { signal: abort.signal })
    const read = async () => {
      for await (const _ of source) abort.abort(new Error('enough'))
    }
    await expect(read()).rejects.toThrow()
    expect(source.destroyed).toBe(true)
  })

  test('lists by prefix, in byte order, after a key, and names folders', async () => {
    const names = ['a.b', 'a/b', 'a/b.c', 'a/b/c'.replace('b/c', 'c/d'), 'a0', 'ab/x', 'é', '\u{1f6df}', '\uffee', 'B']
    const keys = names.map((name) => `order/${name}`)
    for (const key of keys) await storage.put(key, Buffer.from('x'))
    const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    const keysOf = async (prefix: string, after?: string) =>
      (await listed(storage.list(prefix, { after }))).map((object) => object.key)
    expect(await keysOf('order/')).toEqual(sorted)
    expect(await keysOf('order/a')).toEqual(sorted.filter((key) => key.startsWith('order/a')))
    expect(await keysOf('order/a/b')).toEqual(['order/a/b', 'order/a/b.c'])
    for (const after of [...sorted, 'order/a', 'order/a/', 'order/a/z', 'order']) {
      const later = sorted.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0)
      expect(await keysOf('order/', after)).toEqual(later)
    }
    expect(await keysOf('nothing/')).toEqual([])
    expect((await storage.folders('order/')).toSorted()).toEqual(['a', 'ab'])
    expect(await storage.folders('order/a/')).toEqual(['c'])
    expect(await storage.folders('')).toContain('order')
    expect(await storage.folders('nothing/')).toEqual([])
  })

  test('without versions it lists the objects as they are, and nothing is locked', async () => {
    for (const key of ['plain/b', 'plain/a/x', 'plain/b']) await storage.put(key, Buffer.from(key))
    const found = await listed(storage.versions('plain/'))
    expect(found).toMatchObject([
      { key: 'plain/a/x', bytes: 9, isLatest: true, isDeleteMarker: false },
      { key: 'plain/b', bytes: 7, isLatest: true, isDeleteMarker: false },
    ])
    expect(await listed(storage.versions('nothing/'))).toEqual([])
    expect(await storage.locks(found)).toEqual([])
    const signal = AbortSignal.abort(new Error('too late'))
    await expect(listed(storage.versions('plain/', { signal }))).rejects.toThrow('too late')
    expect((await storage.delete(found)).map(({ outcome }) => outcome)).toEqual(['deleted', 'deleted'])
    expect(await listed(storage.versions('plain/'))).toEqual([])
  })

  test('lists and deletes more than a thousand objects', async () => {
    const keys = Array.from({ length: 1_100 }, (_, index) => `many/${String(index).padStart(5, '0')}`)
    const queue = keys.values()
    const lane = async () => {
      for (const key of queue) await storage.put(key, Buffer.from(key))
    }
    await Promise.all(Array.from({ length: 16 }, lane))
    expect((await listed(storage.list('many/'))).map((object) => object.key)).toEqual(keys)
    expect((await listed(storage.versions('many/'))).map((object) => object.key)).toEqual(keys)
    const deletions = await storage.delete(keys.map((key) => ({ key })))
    expect(deletions).toHaveLength(1_100)
    expect(deletions.every((deletion) => deletion.outcome === 'deleted')).toBe(true)
    expect(await listed(storage.list('many/'))).toEqual([])
    expect(await storage.folders('')).not.toContain('many')
  })

  test('deleting what is not there is no error', async () => {
    const deletions = await storage.delete([{ key: 'never/was' }, { key: 'never/was-either' }])
    expect(deletions.map((deletion) => deletion.outcome)).toEqual(['deleted', 'deleted'])
    expect(await storage.delete([{ key: 'never/was' }])).toMatchObject([{ outcome: 'deleted' }])
    expect(await storage.delete([])).toEqual([])
  })

  test('writes several objects at once, and one key twice at once as one of both', async () => {
    const keys = Array.from({ length: 6 }, (_, index) => `parallel/${index}`)
    await Promise.all(keys.map((key, index) => storage.put(key, stream(3 * MIB + index))))
    for (const [index, key] of keys.entries()) expect(await storage.head(key)).toMatchObject({ bytes: 3 * MIB + index })
    await Promise.all([storage.put('parallel/same', stream(9 * MIB)), storage.put('parallel/same', stream(10 * MIB))])
    const same = await storage.read('parallel/same')
    expect([9 * MIB, 10 * MIB]).toContain(same.length)
    expect(same.equals(content(0, same.length))).toBe(true)
    expect(await setting.leftovers()).toBe(0)
  })
})

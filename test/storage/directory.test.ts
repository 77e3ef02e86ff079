import { chmod, mkdir, readdir, readlink, stat, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import { explainFileError } from '../../src/storage/directory-errors.ts'
import { openStorage } from '../../src/storage/open.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { listed, openTemporaryDirectory } from './setting.ts'

let directory: string
let storage: Storage
let remove: () => Promise<void>
beforeEach(async () => {
  const opened = await openTemporaryDirectory()
  directory = opened.directory
  storage = opened.storage
  remove = opened.remove
})
afterEach(async () => await remove())

test('makes the directory with the first write; what it writes is private', async () => {
  await expect(stat(directory)).rejects.toThrow('ENOENT')
  await storage.put('a/b', Buffer.from('x'))
  expect((await stat(join(directory, 'a/b'))).mode & 0o777).toBe(0o600)
  expect((await stat(join(directory, 'a'))).mode & 0o777).toBe(0o700)
})

test('cannot lock, and says what to do', async () => {
  expect(storage.canLock).toBe(false)
  const put = storage.put('a', Buffer.alloc(1), { lockUntil: new Date(Date.now() + 60_000) })
  await expect(put).rejects.toMatchObject({ code: 'cannot-lock', remedy: expect.stringContaining('lock-days') })
  expect(await listed(storage.list(''))).toEqual([])
})

test('leaves no empty folders behind, and only removes its own', async () => {
  await storage.put('sets/1/part', Buffer.from('x'))
  await storage.put('sets/2/part', Buffer.from('x'))
  await storage.delete([{ key: 'sets/1/part' }])
  expect(await readdir(join(directory, 'sets'))).toEqual(['2'])
  await storage.delete([{ key: 'sets/2/part' }])
  expect(await readdir(directory)).toEqual([])
})

test('what a killed write left is not listed, and is swept once it is old', async () => {
  await storage.put('sets/1/part', Buffer.from('x'))
  const names = [
    'sets/1/.part.tmp-0123456789abcdef',
    'sets/2/.gone.tmp-0123456789abcdef',
    'heads/.h.tmp-0123456789abcdef',
  ]
  for (const name of names) {
    await mkdir(dirname(join(directory, name)), { recursive: true })
    await writeFile(join(directory, name), 'half')
    await utimes(join(directory, name), new Date('2026-01-01'), new Date('2026-01-01'))
  }
  expect((await listed(storage.list(''))).map((object) => object.key)).toEqual(['sets/1/part'])
  expect(await storage.folders('sets/')).toEqual(['1'])
  expect(await storage.folders('')).toEqual(['sets'])
  expect(await storage.abortUploads('sets/', new Date('2025-12-31'))).toBe(0)
  expect(await storage.abortUploads('sets/', new Date('2026-01-02'))).toBe(2)
  expect(await storage.abortUploads('', new Date('2026-01-02'))).toBe(1)
  expect(await readdir(directory)).toEqual(['sets'])
  const own = storage.put(names[0] ?? '', Buffer.from('x'))
  await expect(own).rejects.toMatchObject({ code: 'bad-storage-key' })
})

test('a file where a folder should be, and the other way round', async () => {
  await storage.put('a', Buffer.from('x'))
  await expect(storage.put('a/b', Buffer.from('x'))).rejects.toMatchObject({ code: 'bad-storage-directory' })
  await storage.put('f/g', Buffer.from('x'))
  await expect(storage.put('f', Buffer.from('x'))).rejects.toMatchObject({ code: 'bad-storage-directory' })
  await expect(storage.get('f')).rejects.toMatchObject({ code: 'no-object' })
  expect(await storage.head('f')).toBeUndefined()
  expect(await storage.head('a/b')).toBeUndefined()
})

test('a read that is broken off leaves no file open, at whatever moment', async () => {
  await storage.put('part', Buffer.alloc(3 << 20))
  const aborted = new Error('aborted')
  const endings: ((abort: AbortController) => Promise<unknown>)[] = [
    async ({ signal }) => (await storage.get('part', { signal })).destroy(),
    async (abort) => {
      const opening = storage.get('part', { signal: abort.signal })
      abort.abort(aborted)
      for await (const _ of await opening);
    },
    async (abort) => {
      const stream = await storage.get('part', { signal: abort.signal })
      abort.abort(aborted)
      for await (const _ of stream);
    },
    async (abort) => {
      for await (const _ of await storage.get('part', { signal: abort.signal })) abort.abort(aborted)
    },
    async ({ signal }) => {
      for await (const _ of await storage.get('part', { signal })) break
    },
  ]
  for (const end of endings) {
    await end(new AbortController()).catch(() => undefined)
    for (let tries = 0; (await openFiles(directory)) > 0; tries += 1) {
      if (tries === 1000) throw new Error('the file is still open')
      await systemClock.sleep(10)
    }
  }
})

/** How many files below `folder` this process has open. */
async function openFiles(folder: string): Promise<number> {
  const descriptors = await readdir('/proc/self/fd')
  const paths = await Promise.all(descriptors.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')))
  return paths.filter((path) => path.startsWith(folder)).length
}

test('a full disk is named as such', async () => {
  // The one file that is always full.
  const full = await openStorage('file:///dev/full', { env: {}, log: memoryLog(), clock: systemClock })
  await expect(full.put('a', Buffer.from('x'))).rejects.toMatchObject({ code: 'bad-storage-directory' })
  const writeError = await writeFile('/dev/full', 'x').catch((error: unknown) => error)
  expect(explainFileError(writeError, { key: 'a', url: 'file:///disk' })).toMatchObject({
    code: 'storage-full',
    message: 'file:///disk: a: no space is left (ENOSPC).',
  })
})

test('a directory that may not be written is named with what to do', async () => {
  await mkdir(directory)
  await chmod(directory, 0o500)
  const refused = { code: 'storage-access-denied', remedy: expect.stringContaining('`storage`') }
  // Root may write anywhere: then only the words can be tested.
  if (process.getuid?.() !== 0) await expect(storage.put('a', Buffer.from('x'))).rejects.toMatchObject(refused)
  const error = Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })
  expect(explainFileError(error, { key: 'a', url: 'file:///disk' })).toMatchObject(refused)
})

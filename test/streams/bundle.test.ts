import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type BundleFile, packBundle, unpackBundle } from '../../src/streams/bundle.ts'
import { chunkSizes, chunksOf, collect, failureOf, inDirectory, noise, runTool } from './support.ts'

const long = 'n'.repeat(200)
const files: BundleFile[] = [
  { name: '3412.dat', content: Buffer.from('1\ta\n\\.\n\n\n') },
  { name: 'blob_16400.dat', content: noise(70_001) },
  { name: long, content: noise(512) },
  { name: `${'d'.repeat(90)}/${'f'.repeat(90)}`, content: Buffer.alloc(0) },
  { name: 'zürich.dat', content: noise(513, 4) },
  { name: 'zeros', content: Buffer.alloc(4_096) },
]

async function unpack(source: AsyncIterable<Buffer>): Promise<BundleFile[]> {
  const unpacked: BundleFile[] = []
  for await (const { name, bytes, content } of unpackBundle(source)) {
    const whole = await collect(content)
    expect(whole.length).toBe(bytes)
    unpacked.push({ name, content: whole })
  }
  return unpacked
}

test('what is packed comes out, whatever the chunks', async () => {
  const name = fc.stringMatching(/^[A-Za-z0-9_]{1,200}$/)
  const file = fc.record({ name, content: fc.nat({ max: 3_000 }).map((bytes) => noise(bytes)) })
  await fc.assert(
    fc.asyncProperty(fc.array(file, { maxLength: 12 }), chunkSizes, async (some, sizes) => {
      const archive = await collect(packBundle(some))
      const unpacked = await unpack(chunksOf(archive, ...sizes))
      expect(unpacked.map((file) => file.name)).toEqual(some.map((file) => file.name))
      expect(unpacked.every((file, at) => file.content.equals(some[at]?.content ?? archive))).toBe(true)
    }),
    { numRuns: 100 },
  )
})

test('GNU tar extracts it, without a word; and we read it', async () => {
  const archive = await collect(packBundle(files))
  expect(await unpack(chunksOf(archive, 1_000))).toEqual(files)
  await inDirectory(async (directory) => {
    expect(runTool('tar', ['-xf', '-', '-C', directory, '--no-same-owner'], archive).toString()).toBe('')
    expect(readdirSync(directory)).toHaveLength(files.length)
    for (const { name, content } of files) expect(readFileSync(join(directory, name)).equals(content)).toBe(true)
  })
})

test('the same files make the same bytes', async () => {
  expect((await collect(packBundle(files))).equals(await collect(packBundle(files)))).toBe(true)
})

test('an empty bundle is legal, an empty file is none', async () => {
  expect(await unpack(packBundle([]))).toEqual([])
  expect(await failureOf(unpackBundle(chunksOf(Buffer.alloc(0))))).toBe('damaged-bundle')
})

test('content may be left alone, or read in part', async () => {
  const names: string[] = []
  for await (const { name, content } of unpackBundle(chunksOf(await collect(packBundle(files)), 999))) {
    names.push(name)
    if (names.length === 2) for await (const _ of content) break
  }
  expect(names).toEqual(files.map((file) => file.name))
})

async function failureOfUnpacking(archive: Buffer, ...sizes: number[]): Promise<unknown> {
  return await unpack(chunksOf(archive, ...sizes)).then(
    () => 'none',
    (error: { code?: unknown }) => error.code ?? error,
  )
}

test('cut anywhere, also between two files, it is refused', async () => {
  const archive = await collect(packBundle(files))
  const cuts = new Set([1, 511, 513, archive.length - 1])
  for (let cut = 0; cut < archive.length; cut += 512) cuts.add(cut)
  for (const cut of cuts) {
    expect([cut, await failureOfUnpacking(archive.subarray(0, cut), 60_000)]).toEqual([cut, 'damaged-bundle'])
  }
})

test('a header that is zeroed, changed or of another kind is refused; so is anything behind the end', async () => {
  const archive = await collect(packBundle(files.slice(0, 4)))
  for (let block = 0; block < archive.length; block += 512) {
    if (archive.toString('latin1', block + 257, block + 262) !== 'ustar') continue
    const zeroed = Buffer.from(archive).fill(0, block, block + 512)
    expect(await failureOfUnpacking(zeroed, 60_000)).toBe('damaged-bundle')
    for (const at of [0, 100, 124, 148, 156, 257, 345]) {
      const changed = Buffer.from(archive)
      changed.writeUInt8(changed.readUInt8(block + at) ^ 2, block + at)
      expect(await failureOfUnpacking(changed, 60_000)).toBe('damaged-bundle')
    }
  }
  for (const more of [Buffer.from('x'), Buffer.alloc(512), archive]) {
    expect(await failureOfUnpacking(Buffer.concat([archive, more]), 5_000)).toBe('damaged-bundle')
  }
})

test('links, directories and names that lead out of the directory are refused', async () => {
  for (const name of ['../up', 'a/../../up', '/etc/passwd', './a', 'a//b']) {
    expect(await failureOfUnpacking(await collect(packBundle([{ name, content: Buffer.from('x') }])))).toBe(
      'damaged-bundle',
    )
  }
  await inDirectory(async (directory) => {
    runTool('ln', ['-s', '/etc/passwd', join(directory, 'link')], Buffer.alloc(0))
    const links = runTool('tar', ['-c', '--format=posix', '-C', directory, 'link'], Buffer.alloc(0))
    expect(await failureOfUnpacking(links)).toBe('damaged-bundle')
    const folder = runTool('tar', ['-c', '--format=ustar', '-C', directory, '.'], Buffer.alloc(0))
    expect(await failureOfUnpacking(folder)).toBe('damaged-bundle')
  })
})

test('an error of the source arrives, and a reader that stops ends it', async () => {
  const archive = await collect(packBundle(files))
  let ended = 0
  async function* source(fails: boolean) {
    try {
      yield archive.subarray(0, 3_000)
      if (fails) throw Object.assign(new Error('lost'), { code: 'LOST' })
      yield archive.subarray(3_000)
    } finally {
      ended += 1
    }
  }
  expect(await failureOf(unpackBundle(source(true)))).toBe('LOST')
  for await (const _ of unpackBundle(source(false))) break
  expect(ended).toBe(2)
})

import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { beforeAll, expect, test } from '@jest/globals'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import fc from 'fast-check'
import { type AgeIdentity, parseIdentities } from '../../src/streams/age.ts'
import { type Sealing, seal, sealedSuffix, unseal } from '../../src/streams/seal.ts'
import { until } from '../until.ts'
import { chunkSizes, chunksOf, collect, failureOf, lent, noise } from './support.ts'

const plain = Buffer.concat([noise(400_000), Buffer.alloc(900_000, '1\tsome row\n'), noise(200_000, 3)])
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
let identities: AgeIdentity[] = []
let sealings: Sealing[] = []

beforeAll(async () => {
  const secret = await generateX25519Identity()
  identities = await parseIdentities(secret)
  sealings = [
    { level: 1, recipients: [] },
    { level: 3, recipients: [await identityToRecipient(secret)] },
  ]
})

const encrypted = (sealing: Sealing) => ({ encrypted: sealing.recipients.length > 0, identities })

/** A source that tells how much was taken from it and whether it was ended. */
function watched(chunks: number) {
  const watch = { taken: 0, ended: false }
  async function* source() {
    try {
      for (; watch.taken < chunks; watch.taken += 1) yield randomBytes(50_000)
    } finally {
      watch.ended = true
    }
  }
  return { watch, source: source() }
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 60))

test('sealed and unsealed, everything is as it was, and the digests are right', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: plain.length }),
      chunkSizes,
      chunkSizes,
      fc.nat({ max: 1 }),
      async (length, in_, out, kind) => {
        const sealing = sealings[kind] as Sealing
        const original = plain.subarray(0, length)
        const { stream, result } = seal(lent(chunksOf(original, ...in_, 40_000)), sealing)
        const stored = await collect(stream)
        expect(result()).toEqual({
          plainBytes: length,
          bytes: stored.length,
          sha256: sha256(stored),
        })
        const opened = await collect(unseal(chunksOf(stored, ...out, 40_000), encrypted(sealing)))
        expect(opened.equals(original)).toBe(true)
      },
    ),
    { numRuns: 60 },
  )
})

test('storage gets large chunks, and few crumbs between them', async () => {
  for (const sealing of sealings) {
    const sizes: number[] = []
    for await (const chunk of seal(chunksOf(plain, 1_000), sealing).stream) sizes.push(chunk.length)
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    expect(sizes.length).toBeLessThanOrEqual(4 + 2 * Math.ceil(bytes / 65_536))
  }
})

test('names tell how a part is sealed', () => {
  expect(sealings.map(sealedSuffix)).toEqual(['.zst', '.zst.age'])
})

test('there is no result before the end', async () => {
  const { stream, result } = seal(chunksOf(plain, 10_000), sealings[0] as Sealing)
  expect(result).toThrow('not read to its end')
  for await (const _ of stream) {
    expect(result).toThrow('not read to its end')
    break
  }
  expect(result).toThrow('not read to its end')
})

test('nothing is read before somebody reads, and only a little ahead of a slow reader', async () => {
  for (const sealing of sealings) {
    const { watch, source } = watched(1_000)
    const reader = seal(source, sealing).stream[Symbol.asyncIterator]()
    await settled()
    expect(watch.taken).toBe(0)
    await reader.next()
    await settled()
    await settled()
    // Of 1,000 chunks of 50 kB: what fills the few buffers on the way, and no more.
    expect(watch.taken).toBeLessThan(60)
    await reader.return?.()
    await until(() => watch.ended)
  }
})

test('the error of a source is the error of the stream, and the stream has no result', async () => {
  for (const sealing of sealings) {
    for (const chunks of [0, 1, 30]) {
      const { source } = watched(chunks)
      async function* failing() {
        yield* source
        throw Object.assign(new Error('lost'), { code: 'LOST' })
      }
      const { stream, result } = seal(failing(), sealing)
      expect(await failureOf(stream)).toBe('LOST')
      expect(result).toThrow('not read to its end')
    }
    const broken = Readable.from(watched(Infinity).source)
    const { stream } = seal(broken, sealing)
    setTimeout(() => broken.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' })), 20)
    expect(await failureOf(stream)).toBe('ECONNRESET')
  }
})

test('a source that ends early without an error does not make a whole part', async () => {
  const broken = Readable.from(watched(Infinity).source)
  setTimeout(() => broken.destroy(), 20)
  const { stream, result } = seal(broken, sealings[0] as Sealing)
  expect(await failureOf(stream)).toBe('ERR_STREAM_PREMATURE_CLOSE')
  expect(result).toThrow('not read to its end')
})

test('a reader that stops ends a source, be it a stream', async () => {
  const source = Readable.from(watched(1_000).source)
  for await (const _ of seal(source, sealings[1] as Sealing).stream) break
  await until(() => source.destroyed)
})

test('damage ends the reading, and the source', async () => {
  const sealing = sealings[1] as Sealing
  const stored = await collect(seal(chunksOf(plain, 100_000), sealing).stream)
  stored.writeUInt8(stored.readUInt8(150_000) ^ 1, 150_000)
  const source = Readable.from(chunksOf(stored, 10_000))
  expect(await failureOf(unseal(source, encrypted(sealing)))).toBe('damaged-encryption')
  await until(() => source.destroyed)
  expect(await failureOf(unseal(chunksOf(stored, 10_000), { encrypted: false, identities }))).toBe(
    'damaged-compression',
  )
})

test('an abort ends everything with its reason: before, at work, and while the source is silent', async () => {
  const reason = Object.assign(new Error('cancelled'), { code: 'CANCELLED' })
  for (const sealing of sealings) {
    const unread = new Readable({ read: () => {} })
    expect(await failureOf(seal(unread, sealing, AbortSignal.abort(reason)).stream)).toBe('CANCELLED')
    expect(unread.destroyed).toBe(true)

    const atWork = new AbortController()
    const { watch, source } = watched(Infinity)
    setTimeout(() => atWork.abort(reason), 30)
    expect(await failureOf(seal(source, sealing, atWork.signal).stream)).toBe('CANCELLED')
    await until(() => watch.ended)

    const waiting = new AbortController()
    const silent = new Readable({ read: () => {} })
    setTimeout(() => waiting.abort(reason), 30)
    expect(await failureOf(seal(silent, sealing, waiting.signal).stream)).toBe('CANCELLED')
    expect(silent.destroyed).toBe(true)

    const hanging = new AbortController()
    async function* never(): AsyncGenerator<Buffer> {
      yield Buffer.from('1\n')
      await new Promise(() => {})
    }
    setTimeout(() => hanging.abort(reason), 30)
    expect(await failureOf(seal(never(), sealing, hanging.signal).stream)).toBe('CANCELLED')
    expect(
      await failureOf(unseal(new Readable({ read: () => {} }), encrypted(sealing), AbortSignal.timeout(30))),
    ).toBeDefined()
  }
})

test('many streams under one signal end without a warning', async () => {
  const warnings: string[] = []
  const listen = (warning: Error) => warnings.push(warning.message)
  process.on('warning', listen)
  const { signal } = new AbortController()
  const work = Array.from({ length: 30 }, () =>
    collect(seal(chunksOf(plain, 90_000), sealings[1] as Sealing, signal).stream),
  )
  await Promise.all(work)
  await settled()
  process.off('warning', listen)
  expect(warnings).toEqual([])
})

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { beforeAll, expect, test } from '@jest/globals'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import fc from 'fast-check'
import { type AgeIdentity, decryptAge, encryptAge, parseIdentities, parseRecipients } from '../../src/streams/age.ts'
import { runChain } from '../../src/streams/chain.ts'
import { chunkSizes, chunksOf, collect, failureOf, inDirectory, noise, runTool } from './support.ts'

const CHUNK = 65_536
const sizes = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, 3_500_000]
const plain = noise(3_500_000)
const secrets: string[] = []
const recipients: string[] = []
let mine: AgeIdentity[] = []
let yours: AgeIdentity[] = []

beforeAll(async () => {
  for (let key = 0; key < 3; key += 1) {
    const secret = await generateX25519Identity()
    secrets.push(secret)
    recipients.push(await identityToRecipient(secret))
  }
  mine = await parseIdentities(secrets[0] ?? '')
  yours = await parseIdentities(secrets[1] ?? '')
})

const encrypt = (bytes: Buffer, to: string[], ...chunks: number[]) =>
  collect(runChain(chunksOf(bytes, ...chunks), [encryptAge(to)]))
const decrypt = (bytes: Buffer, identities: AgeIdentity[], ...chunks: number[]) =>
  runChain(chunksOf(bytes, ...chunks), [decryptAge(identities)])

test.each(sizes)('%i bytes: the age command reads ours, for both recipients', async (length) => {
  const sealed = await encrypt(plain.subarray(0, length), recipients.slice(0, 2), 10_007, 1, 0, 200_000)
  await inDirectory(async (directory) => {
    for (const secret of secrets.slice(0, 2)) {
      writeFileSync(join(directory, 'key'), `${secret}\n`, { mode: 0o600 })
      expect(runTool('age', ['-d', '-i', join(directory, 'key')], sealed).equals(plain.subarray(0, length))).toBe(true)
    }
  })
  expect((await collect(decrypt(sealed, mine, 9_973))).equals(plain.subarray(0, length))).toBe(true)
})

test.each(sizes)('%i bytes: we read what the age command wrote, for both recipients', async (length) => {
  const to = recipients.slice(0, 2).flatMap((recipient) => ['-r', recipient])
  const sealed = runTool('age', to, plain.subarray(0, length))
  for (const identities of [mine, yours]) {
    const opened = await collect(decrypt(sealed, identities, 50_021, 1, 300_000))
    expect(opened.equals(plain.subarray(0, length))).toBe(true)
  }
})

test('what goes in comes out, whatever the chunks', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 300_000 }), chunkSizes, chunkSizes, async (length, in_, out) => {
      const sealed = await encrypt(plain.subarray(0, length), [recipients[0] ?? ''], ...in_)
      expect((await collect(decrypt(sealed, mine, ...out))).equals(plain.subarray(0, length))).toBe(true)
    }),
    { numRuns: 60 },
  )
})

test('cut at every kind of place, it is refused', async () => {
  for (const length of [0, 5, CHUNK, 2 * CHUNK, 2 * CHUNK + 7]) {
    const sealed = await encrypt(plain.subarray(0, length), [recipients[0] ?? ''])
    const payload = sealed.indexOf('\n', sealed.indexOf('\n--- ') + 5) + 1 + 16
    const block = CHUNK + 16
    const places = [0, 1, 21, 22, 23, 60, payload - 30, payload - 17, payload - 16, payload - 1, payload, payload + 1]
    const inPayload = [payload + 15, payload + 16, payload + block - 1, payload + block, payload + block + 1]
    const late = [payload + block + 16, payload + 2 * block, sealed.length - 17, sealed.length - 16, sealed.length - 1]
    for (const cut of [...places, ...inPayload, ...late].filter((place) => place < sealed.length)) {
      const failure = await failureOf(decrypt(sealed.subarray(0, cut), mine, 30_011))
      expect([length, cut, failure]).toEqual([length, cut, 'damaged-encryption'])
    }
  }
})

test('followed by more, or with its blocks in another order, it is refused', async () => {
  for (const length of [0, 5, CHUNK, CHUNK + 1]) {
    const sealed = await encrypt(plain.subarray(0, length), [recipients[0] ?? ''])
    for (const more of [Buffer.from('x'), Buffer.alloc(16), Buffer.alloc(CHUNK + 16), sealed]) {
      expect(await failureOf(decrypt(Buffer.concat([sealed, more]), mine, 30_011))).toBe('damaged-encryption')
    }
  }
  const sealed = await encrypt(plain.subarray(0, 3 * CHUNK), [recipients[0] ?? ''])
  const payload = sealed.length - 3 * (CHUNK + 16)
  const block = (at: number) => sealed.subarray(payload + at * (CHUNK + 16), payload + (at + 1) * (CHUNK + 16))
  const swapped = Buffer.concat([sealed.subarray(0, payload), block(1), block(0), block(2)])
  expect(await failureOf(decrypt(swapped, mine, 40_009))).toBe('damaged-encryption')
  const dropped = Buffer.concat([sealed.subarray(0, payload), block(0), block(2)])
  expect(await failureOf(decrypt(dropped, mine, 40_009))).toBe('damaged-encryption')
})

test('one changed bit anywhere is refused', async () => {
  const sealed = await encrypt(plain.subarray(0, CHUNK + 99), recipients.slice(0, 2))
  const header = sealed.length - (CHUNK + 99 + 32)
  const place = fc.oneof(fc.nat({ max: header * 8 - 1 }), fc.nat({ max: sealed.length * 8 - 1 }))
  await fc.assert(
    fc.asyncProperty(place, chunkSizes, async (bit, chunks) => {
      const damaged = Buffer.from(sealed)
      damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      // In the recipient's own stanza a change looks just like another recipient.
      expect(['damaged-encryption', 'wrong-identity']).toContain(
        await failureOf(decrypt(damaged, mine, ...chunks, 40_000)),
      )
    }),
    { numRuns: 200 },
  )
})

test('the wrong identity, none, and what is no age file each get an answer of their own', async () => {
  const sealed = await encrypt(plain.subarray(0, 1_000), recipients.slice(0, 2))
  expect(await failureOf(decrypt(sealed, await parseIdentities(secrets[2] ?? ''), 100))).toBe('wrong-identity')
  await expect(collect(decrypt(sealed, [], 100))).rejects.toThrow('no private key was given')
  expect(await failureOf(decrypt(sealed, [...(await parseIdentities(secrets[2] ?? '')), ...yours], 100))).toBe('none')
  await expect(collect(decrypt(noise(100), mine, 7))).rejects.toThrow('not an age v1 file')
  await expect(collect(decrypt(Buffer.alloc(0), mine))).rejects.toThrow('cut off')
  const endless = Buffer.concat([Buffer.from('age-encryption.org/v1\n'), Buffer.alloc(200_000, '-> X25519 a\n')])
  await expect(collect(decrypt(endless, mine, 50_000))).rejects.toThrow('no end')
})

test('recipients are read from a text and checked', async () => {
  const [first = '', second = ''] = recipients
  expect(await parseRecipients(`# ops\n${first}, ${second} # both\r\n\n${first}\n`)).toEqual([first, second])
  expect(await parseRecipients('')).toEqual([])
  for (const wrong of [
    first.slice(0, -1),
    `${first.slice(0, -1)}${first.endsWith('q') ? 'p' : 'q'}`,
    'ssh-ed25519',
    'age1',
    'age1pq1qqqq',
  ]) {
    await expect(parseRecipients(wrong)).rejects.toEqual(expect.objectContaining({ code: 'bad-recipient' }))
  }
  expect(() => encryptAge([])).toThrow(expect.objectContaining({ code: 'bad-recipient' }))
})

test('a private key never appears in an error or a log', async () => {
  const secret = secrets[0] ?? ''
  const texts: string[] = []
  const attempts = [
    () => parseRecipients(secret),
    () => parseIdentities(secret.slice(0, -1)),
    () => parseIdentities(`${secret}x`),
    () => parseIdentities(recipients[0] ?? ''),
  ]
  for (const attempt of attempts) {
    try {
      await attempt()
    } catch (error) {
      texts.push(
        inspect(error, { depth: 9, showHidden: true }),
        JSON.stringify(error),
        (error as { remedy: string }).remedy,
      )
    }
  }
  expect(texts).toHaveLength(12)
  texts.push(inspect(mine, { depth: 9, showHidden: true }), JSON.stringify(mine), String(mine))
  for (const text of texts) expect(text).not.toContain(secret.slice(16, 40))
  expect(mine.map((identity) => identity.secret)).toEqual([secret])
})

test('identities are read as age-keygen writes them', async () => {
  const text = `# created: 2026-11-22T00:00:00Z\n# public key: ${recipients[0]}\n${secrets[0]}\n\n${secrets[1]}\n`
  expect((await parseIdentities(text)).map((identity) => identity.secret)).toEqual(secrets.slice(0, 2))
  expect(await parseIdentities('# nothing\n')).toEqual([])
})

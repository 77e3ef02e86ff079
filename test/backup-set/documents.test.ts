import { execFile } from 'node:child_process'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  headSchema,
  type Manifest,
  manifestSchema,
  parseDocument,
  serializeDocument,
} from '../../src/backup-set/documents.ts'
import { layout } from '../../src/backup-set/layout.ts'
import { openSet } from '../../src/backup-set/open-set.ts'
import { parseSigningKey, parseVerifyKeys, signDocument } from '../../src/backup-set/signature.ts'
import type { LifeboatError } from '../../src/base/errors.ts'
import { headOf, hoursAgo, manifestOf, storeSet, withStorage } from './support.ts'

const run = promisify(execFile)

function codeOf(work: () => unknown): string {
  try {
    work()
    return 'nothing'
  } catch (error) {
    return (error as LifeboatError).code
  }
}

test('documents come back as they were written, and keys that a later release adds are no error', () => {
  const manifest = manifestOf(hoursAgo(1))
  expect(parseDocument(manifestSchema, serializeDocument(manifest), 'it')).toEqual(manifest)
  const head = headOf(manifest, { versionId: 'v1' })
  expect(parseDocument(headSchema, serializeDocument(head), 'it')).toEqual(head)
  const later = JSON.stringify({ ...head, colour: 'blue' })
  expect(parseDocument(headSchema, later, 'it')).toEqual(head)
})

test('an unknown format is told as that, whatever else the document holds; anything else is damage', () => {
  const manifest = manifestOf(hoursAgo(1))
  const altered = (change: object) => () =>
    parseDocument(manifestSchema, JSON.stringify({ ...manifest, ...change }), 'it')
  expect(codeOf(altered({ format: 2, parts: 'elsewhere' }))).toBe('unknown-format')
  for (const change of [
    { kind: 'pg-lifeboat head' },
    { format: '1' },
    { parts: undefined },
    { takenAt: 'yesterday' },
    { content: 'half' },
  ])
    expect(codeOf(altered(change))).toBe('damaged-document')
  const text = serializeDocument(manifest)
  fc.assert(
    fc.property(fc.nat(text.length - 3), (length) => {
      expect(codeOf(() => parseDocument(manifestSchema, text.subarray(0, length), 'it'))).toBe('damaged-document')
    }),
  )
  for (const json of ['null', '[]', '7', '""', '{}'])
    expect(codeOf(() => parseDocument(manifestSchema, json, 'it'))).toBe('damaged-document')
})

test('openssl checks the signature of a manifest, and makes keys that sign one', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'lifeboat-sign-'))
  const at = (name: string) => join(directory, name)
  try {
    await run('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', at('signing.pem')])
    await run('openssl', ['pkey', '-in', at('signing.pem'), '-pubout', '-out', at('verify.pem')])
    const { stdout: pem } = await run('cat', [at('signing.pem')])
    const document = serializeDocument(manifestOf(hoursAgo(1)))
    await writeFile(at('manifest.json'), document)
    await writeFile(at('manifest.json.sig'), signDocument(document, parseSigningKey(pem)))
    const args = ['pkeyutl', '-verify', '-pubin', '-inkey', at('verify.pem'), '-rawin', '-in', at('manifest.json')]
    const check = () => run('openssl', [...args, '-sigfile', at('manifest.json.sig')])
    expect((await check()).stdout).toContain('Signature Verified Successfully')
    await writeFile(at('manifest.json'), Buffer.concat([document, Buffer.from(' ')]))
    await expect(check()).rejects.toThrow()
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})

test('keys that are none are refused without being quoted', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 })
  const rsa = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const garbled = '-----BEGIN PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n-----END PRIVATE KEY-----\n'
  for (const text of [rsa, garbled, '']) {
    expect(codeOf(() => parseSigningKey(text))).toBe('bad-signing-key')
    try {
      parseSigningKey(text)
    } catch (error) {
      expect(String((error as Error).message)).not.toMatch(/c2Vj|MII/)
    }
  }
  const rsaPublic = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  expect(codeOf(() => parseVerifyKeys(rsaPublic))).toBe('bad-verify-key')
  expect(codeOf(() => parseVerifyKeys('no key'))).toBe('bad-verify-key')
})

/** A signed set, its private key's public half, and another key. */
async function signedSet(storage: Parameters<typeof storeSet>[0], change: Partial<Manifest> = {}) {
  const { privateKey } = generateKeyPairSync('ed25519')
  const manifest = { ...manifestOf(hoursAgo(5)), ...change }
  const bytes = serializeDocument(manifest)
  await storage.put(layout.manifest('shop', manifest.id), bytes)
  await storage.put(layout.signature('shop', manifest.id), signDocument(bytes, privateKey))
  const stranger = createPublicKey(generateKeyPairSync('ed25519').privateKey)
  return { manifest, head: headOf(manifest, {}), key: createPublicKey(privateKey), stranger }
}

test('a set opens with any of the keys that may have signed it, and with no other', async () => {
  await withStorage(async (storage) => {
    const { head, key, stranger } = await signedSet(storage)
    expect((await openSet(storage, head, [])).signature).toBe('unchecked')
    expect((await openSet(storage, head, [stranger, key])).signature).toBe('checked')
    await expect(openSet(storage, head, [stranger])).rejects.toMatchObject({ code: 'bad-signature' })
    await storage.delete([{ key: layout.signature('shop', head.id) }])
    await expect(openSet(storage, head, [key])).rejects.toMatchObject({ code: 'bad-signature' })
    const unsigned = await storeSet(storage, hoursAgo(4))
    expect((await openSet(storage, unsigned, [])).signature).toBe('none')
    await expect(openSet(storage, unsigned, [key])).rejects.toMatchObject({ code: 'unsigned-set' })
  })
})

test('a manifest that is missing, changed, or another set’s does not open', async () => {
  await withStorage(async (storage) => {
    const { head, manifest, key } = await signedSet(storage)
    const at = layout.manifest('shop', head.id)
    await storage.put(at, serializeDocument({ ...manifest, dumpSeconds: 9 }))
    await expect(openSet(storage, head, [])).rejects.toMatchObject({ code: 'changed-manifest' })
    // Head and manifest changed alike: only the key tells.
    const forged = { ...manifest, dumpSeconds: 9 }
    await expect(openSet(storage, headOf(forged, {}), [key])).rejects.toMatchObject({ code: 'bad-signature' })
    await storage.delete([{ key: at }])
    await expect(openSet(storage, head, [])).rejects.toMatchObject({ code: 'missing-manifest' })
    const other = await signedSet(storage)
    const swapped = { ...headOf(other.manifest, {}), id: head.id }
    await storage.put(at, serializeDocument(other.manifest))
    await expect(openSet(storage, swapped, [])).rejects.toMatchObject({ code: 'changed-manifest' })
  })
})

test('a head that tells other facts than the signed manifest does not open: nobody signs heads', async () => {
  await withStorage(async (storage) => {
    const { head, key } = await signedSet(storage, { content: 'filtered' })
    const newer = { ...head, takenAt: hoursAgo(0).toISOString() }
    for (const changed of [
      newer,
      { ...head, content: 'whole' as const },
      { ...head, totals: { ...head.totals, rows: 1 } },
    ])
      await expect(openSet(storage, changed, [key])).rejects.toMatchObject({ code: 'changed-head' })
  })
})

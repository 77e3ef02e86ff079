import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import type { Head } from '../../src/backup-set/documents.ts'
import { layout } from '../../src/backup-set/layout.ts'
import { openSet, readContents, storedBytes } from '../../src/backup-set/open-set.ts'
import type { CheckResult } from '../../src/base/findings.ts'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import { parseConnection } from '../../src/postgres/connection.ts'
import { type Database, openDatabase } from '../../src/postgres/database.ts'
import { fetchArchive } from '../../src/restore/archive.ts'
import { proveTables } from '../../src/restore/proof.ts'
import { loadRows } from '../../src/restore/rows.ts'
import { type Defences, selfTest } from '../../src/restore/self-test.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { parseIdentities } from '../../src/streams/age.ts'
import { EMPTY_FINGERPRINT } from '../../src/streams/fingerprint.ts'
import { withStorage } from '../backup-set/support.ts'
import { buildSet, hoursAgo, type SetOptions } from '../checks/set.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'

let server: TestServer
let temp: string
let target: Database

beforeAll(async () => {
  temp = await mkdtemp(join(tmpdir(), 'lifeboat-self-test-'))
  server = await startServer(availableMajors().at(-1) ?? 0)
  const url = await server.createDatabase('target')
  target = await openDatabase(parseConnection(url, {}), { temp, log: memoryLog(), env: process.env })
})

afterAll(async () => {
  await target?.close()
  await server?.stop()
  await rm(temp, { recursive: true, force: true })
})

const identity = await generateIdentity()
const { signal } = new AbortController()
const HEALTHY: Defences = { storedBytes, loadRows, proveTables }

/** The self-test over a set, with some of what is to notice the damage replaced. */
async function run(storage: Storage, head: Head, sabotage: Partial<Defences> = {}): Promise<CheckResult> {
  const identities = await parseIdentities(identity)
  const set = await openSet(storage, head, [])
  const contents = await readContents(set, identities, signal)
  const { toc } = await fetchArchive(set, identities, join(temp, head.id), signal)
  const defences = { ...HEALTHY, ...sabotage }
  return selfTest({ set, contents, toc, identities, target, clock: systemClock, signal, defences })
}

const damageOf = ({ findings }: CheckResult) => findings.map(({ message }) => message.replace(/^.* noticed that /, ''))

/** What is stored, byte for byte. */
async function stored(storage: Storage): Promise<Record<string, string>> {
  const objects: Record<string, string> = {}
  for await (const { key } of storage.list('')) objects[key] = (await storage.read(key)).toString('base64')
  return objects
}

test.each([false, true])('all damage is noticed, and the set stays as it was; encrypted: %p', async (isEncrypted) => {
  await withStorage(async (storage) => {
    const recipients = isEncrypted ? [await identityToRecipient(identity)] : []
    const head = await buildSet(storage, { takenAt: hoursAgo(1), recipients })
    const before = await stored(storage)
    const check = await run(storage, head)
    expect(check).toMatchObject({ id: 'self-test', status: 'passed', findings: [] })
    expect(check.summary).toBe('11 of 11 kinds of damage were noticed')
    expect(await stored(storage)).toEqual(before)
  })
})

test('of a set whose smallest table comes in segments one of these is enough', async () => {
  await withStorage(async (storage) => {
    const only = ({ contents, toc }: Parameters<NonNullable<SetOptions['alter']>>[0]) => {
      contents.tables.shift()
      contents.files.shift()
      toc.entries.shift()
    }
    const head = await buildSet(storage, { takenAt: hoursAgo(1), alter: only })
    expect((await run(storage, head)).summary).toBe('11 of 11 kinds of damage were noticed')
  })
})

test('of a set without rows only what is stored can be tried', async () => {
  await withStorage(async (storage) => {
    const empty: SetOptions['alter'] = ({ contents }) => {
      for (const table of contents.tables) table.fingerprint = EMPTY_FINGERPRINT
    }
    const head = await buildSet(storage, { takenAt: hoursAgo(1), alter: empty })
    expect(await run(storage, head)).toMatchObject({
      status: 'passed',
      summary: '3 of 3 kinds of damage were noticed; no table has rows that could be damaged',
    })
  })
})

test('a defence that lets damage through makes it red, each for its own kinds', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1) })
    const blindReader = await run(storage, head, {
      storedBytes: async function* (set, part) {
        yield* await set.storage.get(layout.part('shop', head.id, part.path))
      },
    })
    expect(damageOf(blindReader)).toEqual([
      'the first byte of a stored object has another bit',
      'a byte in the midst of a stored object has another bit',
      'the last byte of a stored object is missing',
    ])

    const blindLoader = await run(storage, head, { loadRows: (options) => loadRows(options).catch(() => []) })
    expect(damageOf(blindLoader)).toEqual([
      'a row is missing from the stored rows',
      'a row of the stored rows is longer than it was',
      'a row of the stored rows is there twice',
      'a byte of the stored rows is another one',
    ])

    const blindProof = await run(storage, head, {
      proveTables: async (options) => {
        const proofs = await proveTables(options)
        return proofs.map((proof) => ({ ...proof, status: 'equal' as const }))
      },
    })
    expect(damageOf(blindProof)).toEqual([
      'a row was deleted from a restored table',
      'a value in a restored table was changed',
      'a restored table is empty',
      'a restored table is gone',
    ])
    expect([blindReader, blindLoader, blindProof].map(({ status }) => status)).toEqual(['failed', 'failed', 'failed'])
    expect(blindProof.summary).toBe('7 of 11 kinds of damage were noticed')
  })
})

test('a proof that finds nothing equal says nothing of damage: then the self-test could not be carried out', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1) })
    const blind = async () => []
    await expect(run(storage, head, { proveTables: blind })).rejects.toMatchObject({ code: 'self-test-failed' })
  })
})

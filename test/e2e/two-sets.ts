import { createHash } from 'node:crypto'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { expect } from '@jest/globals'
import { availableMajors, type TestServer } from '../support/postgres.ts'
import { type AgeKeys, expectExit, type Lab, type SigningKeys, type TestStorage } from './support.ts'

/** A database and two storages that hold one set of it each. */
export interface TwoSets {
  server: TestServer
  /** Of the database `app`. */
  url: string
  /** Its set is neither encrypted nor signed. */
  plain: TestStorage
  /** Its set is encrypted and signed. */
  sealed: TestStorage
  age: AgeKeys
  signing: SigningKeys
}

/** Makes the two sets, on the oldest major that is there. */
export async function makeTwoSets(lab: Lab): Promise<TwoSets> {
  const [major = 0] = availableMajors()
  const server = await lab.server(major)
  const url = await server.createDatabase('app')
  await server.psql(
    'app',
    `create table customer (id integer primary key, name text);
     insert into customer select i, 'canary customer ' || i from generate_series(1, 2000) i;
     create table document (id integer primary key, body text);
     insert into document select i, repeat(md5(i::text), 40) from generate_series(1, 1500) i;
     create sequence counter; select lo_from_bytea(0, '\\x00ff')`,
  )
  lab.secrets.add('canary customer')
  const [plain, sealed, age, signing] = await Promise.all([
    lab.storage('directory'),
    lab.storage('directory'),
    lab.ageKeys(),
    lab.signingKeys(),
  ])
  const sealing = { recipients: age.recipient, 'signing-key': signing.privateKey }
  const dumps = await Promise.all([
    lab.run('action-dump', plain, { 'database-url': url }),
    lab.run('action-dump', sealed, { 'database-url': url, ...sealing }),
  ])
  for (const dump of dumps) expectExit(dump, 0)
  return { server, url, plain, sealed, age, signing }
}

/** The names of the heads of the sets of `app`. */
export function headsOf(storage: TestStorage): Promise<string[]> {
  return storage.keys('app/heads/')
}

/** A storage with a set that may be damaged. */
export interface SetCopy {
  storage: TestStorage
  folder: string
  /** The set's folder. */
  set: string
  /** The file of its head. */
  head: string
  id: string
}

/** A storage of its own with the one set of `original`, and without evidence. */
export async function copySet(lab: Lab, original: TestStorage): Promise<SetCopy> {
  const storage = await lab.storage('directory')
  const folder = fileURLToPath(storage.url)
  await cp(fileURLToPath(original.url), folder, { recursive: true })
  await rm(join(folder, 'app/evidence'), { recursive: true, force: true })
  const [head = ''] = await headsOf(original)
  const id = head.slice('app/heads/'.length, -'.json'.length)
  return { storage, folder, set: join(folder, 'app/sets', id), head: join(folder, head), id }
}

/** Changes a text file, or fails if there was nothing to change. */
export async function editText(file: string, change: (text: string) => string): Promise<void> {
  const text = await readFile(file, 'utf8')
  const changed = change(text)
  expect(changed).not.toBe(text)
  await writeFile(file, changed)
}

/** Changes the manifest and makes the head agree with its digest, as whoever can write to the storage could. */
export async function forgeManifest(copy: SetCopy, change: (text: string) => string): Promise<void> {
  const manifest = join(copy.set, 'manifest.json')
  await editText(manifest, change)
  const bytes = await readFile(manifest)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  await editText(copy.head, (text) =>
    text.replace(/("bytes": ?)\d+(,\s*"sha256": ?")[0-9a-f]+/, `$1${bytes.length}$2${sha256}`),
  )
}

/** Changes a plain part, and makes digests and head fit: what only the signature of a set could tell. */
export async function forgePart(copy: SetCopy, path: string, change: (plain: Buffer) => Buffer): Promise<void> {
  const file = join(copy.set, path)
  const plain = change(zstdDecompressSync(await readFile(file)))
  const bytes = zstdCompressSync(plain)
  await writeFile(file, bytes)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  await forgeManifest(copy, (text) => {
    const manifest = JSON.parse(text)
    const part = manifest.parts.find((candidate: { path: string }) => candidate.path === path)
    Object.assign(part, { bytes: bytes.length, sha256, plainBytes: plain.length })
    return JSON.stringify(manifest)
  })
}

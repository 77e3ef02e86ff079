import { createHash } from 'node:crypto'
import { cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { ActionResult } from '../../scripts/lib/local-runner.ts'
import { availableMajors, type TestServer } from '../support/postgres.ts'
import { expectRefusal } from './refusal.ts'
import { type AgeKeys, expectExit, Lab, type SigningKeys, type TestStorage } from './support.ts'

const lab = new Lab()
const [MAJOR = 0] = availableMajors()

let server: TestServer
let url: string
/** Holds one set: neither encrypted nor signed. */
let plain: TestStorage
/** Holds one set: encrypted and signed. */
let sealed: TestStorage
let age: AgeKeys
let signing: SigningKeys

beforeAll(async () => {
  server = await lab.server(MAJOR)
  url = await server.createDatabase('app')
  await server.psql(
    'app',
    `create table customer (id integer primary key, name text);
     insert into customer select i, 'customer ' || i from generate_series(1, 2000) i;
     create table document (id integer primary key, body text);
     insert into document select i, repeat(md5(i::text), 40) from generate_series(1, 1500) i;
     create sequence counter; select lo_from_bytea(0, '\\x00ff')`,
  )
  ;[plain, sealed, age, signing] = await Promise.all([
    lab.storage('directory'),
    lab.storage('directory'),
    lab.ageKeys(),
    lab.signingKeys(),
  ])
  expectExit(await lab.run('action-dump', plain, { 'database-url': url }), 0)
  const sealing = { recipients: age.recipient, 'signing-key': signing.privateKey }
  expectExit(await lab.run('action-dump', sealed, { 'database-url': url, ...sealing }), 0)
})
afterAll(() => lab.close())

function headsOf(storage: TestStorage): Promise<string[]> {
  return storage.keys('app/heads/')
}

describe('a set that was tampered with', () => {
  interface Copy {
    storage: TestStorage
    folder: string
    /** Of the set, within `folder`. */
    set: string
    head: string
    id: string
  }

  /** A storage with the same set, to be damaged. */
  async function copyOf(original: TestStorage): Promise<Copy> {
    const storage = await lab.storage('directory')
    const folder = fileURLToPath(storage.url)
    await cp(fileURLToPath(original.url), folder, { recursive: true })
    await rm(join(folder, 'app/evidence'), { recursive: true, force: true })
    const [head = ''] = await headsOf(original)
    const id = head.slice('app/heads/'.length, -'.json'.length)
    return { storage, folder, set: join(folder, 'app/sets', id), head: join(folder, head), id }
  }

  async function largestPart({ set }: Copy): Promise<string> {
    const names = await readdir(join(set, 'database'))
    const sizes = await Promise.all(names.map(async (name) => (await readFile(join(set, 'database', name))).length))
    return `database/${names[sizes.indexOf(Math.max(...sizes))]}`
  }

  async function edit(file: string, change: (text: string) => string): Promise<void> {
    const text = await readFile(file, 'utf8')
    const changed = change(text)
    expect(changed).not.toBe(text)
    await writeFile(file, changed)
  }

  async function flipBit(file: string): Promise<void> {
    const bytes = await readFile(file)
    const at = Math.floor(bytes.length / 2)
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    await writeFile(file, bytes)
  }

  /** Neither a restore test nor an integrity check lets it pass; both say why. Returns the latter's result. */
  async function expectAllRefuse(
    copy: Copy,
    keys: Record<string, string>,
    text: string | RegExp,
  ): Promise<ActionResult> {
    const inputs = { backup: copy.id, ...keys }
    expectRefusal(await lab.run('action-restore-test', copy.storage, inputs), 'failed', text)
    const verified = await lab.run('action-verify', copy.storage, { ...inputs, mode: 'integrity' })
    expectRefusal(verified, 'failed', text)
    return verified
  }

  const DAMAGES: [name: string, damage: (copy: Copy) => Promise<string | RegExp>][] = [
    [
      'a bit of a part is flipped',
      async (copy) => {
        const part = await largestPart(copy)
        await flipBit(join(copy.set, part))
        return part
      },
    ],
    [
      'a part is cut',
      async (copy) => {
        const part = await largestPart(copy)
        const { length } = await readFile(join(copy.set, part))
        await truncate(join(copy.set, part), length - 7)
        return part
      },
    ],
    [
      'a part is removed',
      async (copy) => {
        const part = await largestPart(copy)
        await rm(join(copy.set, part))
        return part
      },
    ],
    [
      'a bit of the contents is flipped',
      async (copy) => {
        const name = (await readdir(copy.set)).find((entry) => entry.startsWith('contents.json')) ?? ''
        await flipBit(join(copy.set, name))
        return name
      },
    ],
    [
      'the table of contents is something else',
      async (copy) => {
        const [name = ''] = (await readdir(join(copy.set, 'database'))).filter((entry) => entry.startsWith('toc.dat'))
        await writeFile(join(copy.set, 'database', name), (await readFile(join(copy.set, 'database', name))).reverse())
        return `database/${name}`
      },
    ],
    [
      'the manifest is edited',
      async (copy) => {
        await edit(join(copy.set, 'manifest.json'), (text) => text.replace(/"rows": ?\d+/, '"rows": 1'))
        return /manifest of .* is not the one that its head names/
      },
    ],
    [
      'the manifest is removed',
      async (copy) => {
        await rm(join(copy.set, 'manifest.json'))
        return /manifest\.json is missing/
      },
    ],
    [
      'the head’s digest is edited',
      async (copy) => {
        await edit(copy.head, (text) => text.replace(/(?<="sha256": ?")./, (digit) => (digit === '0' ? '1' : '0')))
        return copy.id
      },
    ],
    [
      'the head says that the set is younger',
      async (copy) => {
        await edit(copy.head, (text) => text.replace(/("takenAt": ?")\d{4}/, '$12099'))
        return /head of .* does not agree with its manifest/
      },
    ],
    [
      'the head says that there are more rows',
      async (copy) => {
        await edit(copy.head, (text) => text.replace(/("rows": ?)/, '$19'))
        return /head of .* does not agree with its manifest/
      },
    ],
  ]

  test.each(DAMAGES)('%s: never passed', async (_, damage) => {
    for (const original of [plain, sealed]) {
      const copy = await copyOf(original)
      const text = await damage(copy)
      const keys: Record<string, string> =
        original === sealed ? { identity: age.identity, 'verify-key': signing.publicKey } : {}
      const verified = await expectAllRefuse(copy, keys, text)
      expect(verified.outputs.state).toBe('damaged')
    }
  })

  test('the contents are another set’s', async () => {
    const copy = await copyOf(plain)
    const other = await lab.storage('directory')
    expectExit(await lab.run('action-dump', other, { 'database-url': url }), 0)
    const [head = ''] = await headsOf(other)
    const foreign = join(fileURLToPath(other.url), 'app/sets', head.slice('app/heads/'.length, -5), 'contents.json.zst')
    await cp(foreign, join(copy.set, 'contents.json.zst'))
    await expectAllRefuse(copy, {}, 'contents.json.zst')
  })

  test('all digests are made to fit, and the signature does not', async () => {
    const copy = await copyOf(sealed)
    const manifest = join(copy.set, 'manifest.json')
    await edit(manifest, (text) => text.replace(/"serverVersion": ?"/, '$&9'))
    const bytes = await readFile(manifest)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    await edit(copy.head, (text) =>
      text.replace(/("bytes": ?)\d+(,\s*"sha256": ?")[0-9a-f]+/, `$1${bytes.length}$2${sha256}`),
    )
    const keys = { identity: age.identity, 'verify-key': signing.publicKey }
    await expectAllRefuse(copy, keys, /signature of .* was not made by any key/)
  })
})

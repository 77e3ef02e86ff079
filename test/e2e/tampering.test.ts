import { cp, mkdir, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { ActionResult } from '../../scripts/lib/local-runner.ts'
import { parseToc, writeToc } from '../../src/postgres/toc.ts'
import { startFakeBackend } from '../support/fake-backend.ts'
import { availableMajors, binDirectory } from '../support/postgres.ts'
import { withoutPackages } from './machine.ts'
import { expectRefusal } from './refusal.ts'
import { expectExit, Lab, type TestStorage } from './support.ts'
import {
  copySet,
  editText,
  forgeManifest,
  forgePart,
  headsOf,
  makeTwoSets,
  type SetCopy,
  type TwoSets,
} from './two-sets.ts'
import { startVersionProxy } from './version-proxy.ts'

const lab = new Lab()
const MAJORS = availableMajors()
let sets: TwoSets

beforeAll(async () => {
  sets = await makeTwoSets(lab)
})
afterAll(() => lab.close())

describe('a set that was tampered with', () => {
  async function largestPart({ set }: SetCopy): Promise<string> {
    const names = await readdir(join(set, 'database'))
    const sizes = await Promise.all(names.map(async (name) => (await readFile(join(set, 'database', name))).length))
    return `database/${names[sizes.indexOf(Math.max(...sizes))]}`
  }

  async function flipBit(file: string): Promise<void> {
    const bytes = await readFile(file)
    const at = Math.floor(bytes.length / 2)
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    await writeFile(file, bytes)
  }

  /** Neither a restore test nor an integrity check lets it pass; both say why. Returns the latter's result. */
  async function expectAllRefuse(
    copy: SetCopy,
    keys: Record<string, string>,
    text: string | RegExp,
  ): Promise<ActionResult> {
    const inputs = { backup: copy.id, ...keys }
    expectRefusal(await lab.run('action-restore-test', copy.storage, inputs), 'failed', text)
    const verified = await lab.run('action-verify', copy.storage, { ...inputs, mode: 'integrity' })
    expectRefusal(verified, 'failed', text)
    return verified
  }

  const DAMAGES: [name: string, damage: (copy: SetCopy) => Promise<string | RegExp>][] = [
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
        await editText(join(copy.set, 'manifest.json'), (text) => text.replace(/"rows": ?\d+/, '"rows": 1'))
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
        await editText(copy.head, (text) => text.replace(/(?<="sha256": ?")./, (digit) => (digit === '0' ? '1' : '0')))
        return copy.id
      },
    ],
    [
      'the head says that the set is younger',
      async (copy) => {
        await editText(copy.head, (text) => text.replace(/("takenAt": ?")\d{4}/, '$12099'))
        return /head of .* does not agree with its manifest/
      },
    ],
    [
      'the head says that there are more rows',
      async (copy) => {
        await editText(copy.head, (text) => text.replace(/("rows": ?)/, '$19'))
        return /head of .* does not agree with its manifest/
      },
    ],
  ]

  test.each(DAMAGES)('%s: never passed', async (_, damage) => {
    const { plain, sealed, age, signing } = sets
    const check = async (original: TestStorage, keys: Record<string, string>) => {
      const copy = await copySet(lab, original)
      const verified = await expectAllRefuse(copy, keys, await damage(copy))
      expect(verified.outputs.state).toBe('damaged')
    }
    await Promise.all([check(plain, {}), check(sealed, { identity: age.identity, 'verify-key': signing.publicKey })])
  })

  test('the contents are another set’s', async () => {
    const copy = await copySet(lab, sets.plain)
    const other = await lab.storage('directory')
    expectExit(await lab.run('action-dump', other, { 'database-url': sets.url }), 0)
    const [head = ''] = await headsOf(other)
    const foreign = join(fileURLToPath(other.url), 'app/sets', head.slice('app/heads/'.length, -5), 'contents.json.zst')
    await cp(foreign, join(copy.set, 'contents.json.zst'))
    await expectAllRefuse(copy, {}, 'contents.json.zst')
  })

  test('an archive that pg_restore cannot read, all digests made to fit, is evidence against the set', async () => {
    const copy = await copySet(lab, sets.plain)
    await forgePart(copy, 'database/toc.dat.zst', (plain) => {
      const toc = parseToc(plain)
      const encoding = toc.entries.find(({ desc }) => desc === 'ENCODING')
      return writeToc(Object.assign(toc, { entries: [{ ...encoding, defn: 'none' }, ...toc.entries.slice(1)] }))
    })
    const result = await lab.run('action-restore-test', copy.storage)
    expectRefusal(result, 'failed', /pg_restore cannot read the archive.*invalid ENCODING item/)
    const evidence = await copy.storage.keys('app/evidence/')
    expect(evidence).toEqual([expect.stringContaining('-restore-test-failed-')])
    expectRefusal(await lab.run('action-restore-test', copy.storage), 'failed', /None of the 1 backup sets/)
  })

  test('all digests are made to fit, and the signature does not', async () => {
    const { sealed, age, signing } = sets
    const copy = await copySet(lab, sealed)
    await forgeManifest(copy, (text) => text.replace(/"serverVersion": ?"/, '$&9'))
    const keys = { identity: age.identity, 'verify-key': signing.publicKey }
    await expectAllRefuse(copy, keys, /signature of .* was not made by any key/)
  })
})

describe('sets and servers of another time', () => {
  const later = (text: string) => text.replace(/"format": ?1\b/, '"format": 2')

  const forgeContents = (copy: SetCopy) =>
    forgePart(copy, 'contents.json.zst', (plain) => Buffer.from(later(plain.toString())))

  const DOCUMENTS: [name: string, write: (copy: SetCopy) => Promise<void>][] = [
    ['head', (copy) => editText(copy.head, later)],
    ['manifest', (copy) => forgeManifest(copy, later)],
    ['contents', forgeContents],
  ]

  test.each(DOCUMENTS)(
    'the %s of a set has a format that this release does not know: nothing is said against it',
    async (name, write) => {
      const copy = await copySet(lab, sets.plain)
      await write(copy)
      const run = (action: 'action-verify' | 'action-restore-test', inputs = {}) =>
        lab.run(action, copy.storage, inputs)
      const told = new RegExp(
        `${name}.* has format 2; this version reads format 1.*\\n?→ Use the version of pg-lifeboat`,
      )
      expectRefusal(await run('action-verify', { mode: 'integrity' }), 'unverified', told)
      expectRefusal(await run('action-restore-test'), 'unverified', told)
      expect((await copy.storage.keys('app/evidence/')).filter((key) => key.includes('-failed-'))).toEqual([])
    },
  )

  test('the set’s server was newer than any that is to be had', async () => {
    const copy = await copySet(lab, sets.plain)
    await forgeManifest(copy, (text) => text.replace(/"serverMajor": ?\d+/, '"serverMajor": 99'))
    const result = await lab.run('action-restore-test', copy.storage, {}, { env: await withoutPackages(lab) })
    const missing = /server programs of PostgreSQL 99 are not on this machine \(no package source .* postgresql-99\)/
    expectRefusal(result, 'unverified', missing, /apt-get install -y postgresql-client-99 postgresql-99 /)
    expect(await copy.storage.keys('app/evidence/')).toEqual([])
  })

  test('a server that is too old, and one that is newer than any tools to be had', async () => {
    const facts = ['version', 'text', 'encoding']
    const old = await startFakeBackend({ row: ['120022', '12.22 (Debian 12.22-1)', 'UTF8'] }, facts)
    const newest = await lab.server(MAJORS.at(-1) ?? 0)
    const database = await newest.createDatabase('future')
    const proxy = await startVersionProxy(newest, 99)
    const future = `${database.replace(`:${newest.port}/`, `:${proxy.port}/`)}?sslmode=disable`
    // A directory that says it is 99, with the programs of an older major in it.
    const wrong = await lab.directory('wrong-tools')
    await mkdir(join(wrong, '99'))
    await symlink(binDirectory(newest.major), join(wrong, '99', 'bin'))
    const nowhere = await withoutPackages(lab)
    const dump = (url: string, env = {}) => lab.run('action-dump', sets.plain, { 'database-url': url }, { env })
    try {
      const [tooOld, tooNew, olderClient] = await Promise.all([
        dump(`postgresql://app:some-password@127.0.0.1:${old.port}/app?sslmode=disable`),
        dump(future, nowhere),
        dump(future, { ...nowhere, LIFEBOAT_POSTGRES_DIRS: wrong }),
      ])
      expectRefusal(tooOld, 'failed', /runs PostgreSQL 12\.22; 13 is the oldest supported.*\n?.*Upgrade the server/)
      const missing =
        /client programs of PostgreSQL 99 are not on this machine \(no package source .*postgresql-client-99/
      expectRefusal(tooNew, 'failed', missing, /apt-get install -y postgresql-client-99 .*LIFEBOAT_POSTGRES_DIRS/)
      const says = `99/bin/pg_dump is no pg_dump of PostgreSQL 99: it says ${newest.major}.`
      expectRefusal(olderClient, 'failed', missing, says)
      expect(await headsOf(sets.plain)).toHaveLength(1)
    } finally {
      await Promise.all([old.stop(), proxy.stop()])
    }
  })
})

import type { Inventory } from '../../src/postgres/inventory.ts'
import type { Signer } from './bench.ts'
import { type Chapter, CONSISTENT, type Damage, unfoundIn } from './damage.ts'
import type { PlainSet } from './plain-set.ts'

const END = Buffer.from('\\.\n\n\n')
const ALL = ['smoke', 'integrity', 'restore test'] as const

/** What is inside of the set, changed before it is sealed again. */
type Change = (plain: PlainSet) => unknown

/** Digests, manifest, head and signature fit; the contents are those of before, so that they tell of other files. */
function resealed(what: string, change: Change): Damage {
  return {
    what,
    inflict: (bench) => bench.reseal({ fit: false }, change),
    unfound: { smoke: 'smoke opens no part, and manifest, head and signature are right' },
  }
}

/** The same, and the contents fit as well, as if it had been dumped like that. */
function refitted(what: string, unfound: Damage['unfound'], change: Change, signer: Signer = 'ours'): Damage {
  const refusedWithKey = signer !== 'ours'
  return { what, inflict: (bench) => bench.reseal({ signer }, change), refusedWithKey, ...(unfound && { unfound }) }
}

function cutAt(share: number): Damage {
  const cut = (bytes: Buffer) => bytes.subarray(0, Math.floor((bytes.length * share) / 100))
  return resealed(`the rows of a table are cut at ${share} %`, (plain) => plain.alter('orders', cut))
}

const lineEnd = (bytes: Buffer) => bytes.indexOf('\n', bytes.length >> 1) + 1

function flip(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  const at = copy.indexOf(' of things', copy.length >> 1) + 1
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
  return copy
}

function swapRows(plain: PlainSet): void {
  const [one, other] = [plain.fileOf('orders'), plain.fileOf('readings')]
  const [first, second] = [plain.files.get(one), plain.files.get(other)]
  if (first && second) plain.files.set(one, second).set(other, first)
}

function removeRow(plain: PlainSet): void {
  plain.alter('customers', (bytes) => bytes.subarray(bytes.indexOf('\n') + 1))
}

/** Rows, and what names them in the archive; the table stays, as the catalog showed it. */
function leaveOutRows(plain: PlainSet): void {
  plain.drop(plain.fileOf('customers'))
  plain.toc.entries = plain.toc.entries.filter(({ desc, tag }) => desc !== 'TABLE DATA' || tag !== 'customers')
}

/** The table itself as well, as if the database had never had it. */
function leaveOutTable(plain: PlainSet): void {
  leaveOutRows(plain)
  plain.toc.entries = plain.toc.entries.filter(({ tag }) => !/\bcustomers(_pkey)?\b/.test(tag))
  const inventory = plain.contents.inventory as Inventory
  inventory.tables = inventory.tables.filter(({ name }) => name !== 'customers')
  inventory.objects = inventory.objects.filter(({ identity }) => !/\bcustomers(_pkey)?\b/.test(identity))
}

function dropObject(plain: PlainSet): void {
  plain.drop('blob_50001.dat')
}

function setBack(plain: PlainSet): void {
  const entry = plain.toc.entries.find(({ desc }) => desc === 'SEQUENCE SET')
  if (entry?.defn) entry.defn = entry.defn.replace('4711', '1')
}

/** Whoever has the signing key, or damage before there was a signature: in the dump itself. */
export const RESEALED: Chapter = {
  title: 'What is inside, with digests, manifest, head and signature that fit',
  text: 'A faulty pipeline, memory or dump: the damage came first, and was sealed and signed with all the rest.',
  damages: [
    cutAt(20),
    cutAt(60),
    cutAt(99),
    resealed('the rows of a table are cut at a line end', (plain) =>
      plain.alter('orders', (bytes) => bytes.subarray(0, lineEnd(bytes))),
    ),
    resealed('the rows of a table are cut at a line end, and the end mark is put there', (plain) =>
      plain.alter('orders', (bytes) => Buffer.concat([bytes.subarray(0, lineEnd(bytes)), END])),
    ),
    resealed('the rows of a table are cut in a line, and the end mark is put there', (plain) =>
      plain.alter('orders', (bytes) => Buffer.concat([bytes.subarray(0, lineEnd(bytes) - 9), END])),
    ),
    resealed('a bit of a row is flipped', (plain) => plain.alter('orders', flip)),
    resealed('the rows of two tables are swapped', swapRows),
    resealed('the rows of a table are empty', (plain) => plain.alter('orders', () => END)),
    resealed('a row is there twice', (plain) =>
      plain.alter('customers', (bytes) => Buffer.concat([bytes.subarray(0, bytes.indexOf('\n') + 1), bytes])),
    ),
    resealed('a large object is missing', (plain) => plain.files.delete('blob_50001.dat')),
    resealed('the content of a large object is another', (plain) =>
      plain.files.set('blob_50001.dat', Buffer.from('and of an other')),
    ),
    refitted('a large object is missing, and is not counted', { smoke: 'smoke opens no part' }, dropObject),
    {
      ...refitted(
        'the rows of a table are left out everywhere but in the schema',
        { smoke: 'smoke opens no part' },
        leaveOutRows,
      ),
      seenByServer: true,
    },
    {
      ...refitted(
        'a table is left out everywhere, and of what the catalog showed, too',
        unfoundIn(ALL, CONSISTENT),
        leaveOutTable,
      ),
      seenByServer: true,
    },
    refitted('a sequence is behind', { smoke: 'smoke opens no part' }, setBack),
    refitted(
      'a role is missing',
      {
        smoke: 'smoke opens no part',
        integrity: 'whether the schema can be made with the roles that are there only a server can tell',
      },
      (plain) => {
        plain.contents.roles = plain.contents.roles.filter((role) => role !== 'shop_owner')
      },
    ),
    refitted(
      'a role is missing in roles.sql',
      {
        smoke: 'smoke opens no part',
        'restore test':
          'it makes the roles that the schema names by the contents, as whoever restores by RESTORE.md does',
      },
      (plain) => {
        const path = [...plain.others.keys()].find((name) => name.startsWith('roles.sql')) ?? ''
        const lines = plain.others.get(path)?.toString().split('\n') ?? []
        plain.others.set(path, Buffer.from(lines.filter((line) => !/\bshop_owner\b/.test(line)).join('\n')))
      },
    ),
    refitted('a row is removed, and is counted nowhere', unfoundIn(ALL, CONSISTENT), removeRow),
    refitted('a bit of a row is flipped, and its fingerprint is made of that', unfoundIn(ALL, CONSISTENT), (plain) =>
      plain.alter('orders', flip),
    ),
    refitted(
      'two thirds of all rows are missing, and are counted nowhere',
      unfoundIn(['integrity', 'restore test'], CONSISTENT),
      (plain) => {
        for (const table of ['orders', 'readings']) {
          plain.alter(table, (bytes) =>
            Buffer.concat([bytes.subarray(0, bytes.indexOf('\n', bytes.length / 3) + 1), END]),
          )
        }
      },
    ),
    {
      what: 'the dump was made by older tools than the server’s',
      inflict: (bench) =>
        bench.editManifest('ours', (manifest) => {
          manifest.tools.pgDump = `${manifest.source.serverMajor - 1}.9`
        }),
      unfound: {
        'restore test':
          'all that was dumped came back; that the older tools did not know everything, smoke and integrity tell',
      },
    },
  ],
}

/** Whoever can write to the storage and, for some of it, read it; the signing key is elsewhere. */
export const FORGED: Chapter = {
  title: 'What is inside, made to fit without the signing key',
  text: 'Somebody who can write to the storage, and knows how it is done. Nothing but `verify-key` helps against that.',
  damages: [
    refitted(
      'a row is removed, everything fits, and the signature is as it was',
      unfoundIn(ALL, CONSISTENT),
      removeRow,
      'stale',
    ),
    refitted(
      'a row is removed, everything fits, and nobody signed it',
      unfoundIn(ALL, CONSISTENT),
      removeRow,
      'nobody',
    ),
    refitted(
      'a row is removed, everything fits, and another key signed it',
      unfoundIn(ALL, CONSISTENT),
      removeRow,
      'stranger',
    ),
    {
      ...resealed('a bit of a row is flipped, and the fingerprints are as they were', () => undefined),
      inflict: (bench) => bench.reseal({ signer: 'stale', fit: false }, (plain) => plain.alter('orders', flip)),
      refusedWithKey: true,
    },
    {
      what: 'the manifest is edited, and the head fits',
      inflict: (bench) =>
        bench.editManifest('stale', (manifest) => {
          manifest.source.serverVersion = '17.1'
        }),
      unfound: unfoundIn(ALL, CONSISTENT),
      refusedWithKey: true,
    },
    {
      what: 'the manifest is edited, and the head does not fit',
      inflict: (bench) =>
        bench.alter('manifest.json', (bytes) =>
          Buffer.from(bytes.toString().replace(/"serverMajor": \d+/, '"serverMajor": 9')),
        ),
      seenByServer: true,
    },
    {
      what: 'nothing, and another key signed it',
      inflict: (bench) => bench.editManifest('stranger', () => undefined),
      unfound: unfoundIn(ALL, 'who gives no `verify-key` looks at no signature'),
      refusedWithKey: true,
    },
    {
      what: 'nothing, and nobody signed it',
      inflict: (bench) => bench.editManifest('nobody', () => undefined),
      unfound: unfoundIn(ALL, 'who gives no `verify-key` looks at no signature'),
      refusedWithKey: true,
    },
  ],
}

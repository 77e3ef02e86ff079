import type { Bench } from './bench.ts'
import { type Chapter, type Damage, SAME_SIZE, unfoundIn } from './damage.ts'

const UNSEEN = { smoke: SAME_SIZE }
const NO_KEY = 'who gives no `verify-key` looks at no signature'

/** The part of that table's rows, which is the largest there is. */
async function largest(bench: Bench): Promise<string> {
  const [part = ''] = await dataParts(bench)
  return part
}

/** The parts with rows of one table, and then the bundle. */
async function dataParts(bench: Bench): Promise<string[]> {
  const paths = (await bench.objects()).filter((path) => path.startsWith('database/') && !path.includes('toc.dat'))
  return paths.sort((a, b) => Number(a.includes('bundle')) - Number(b.includes('bundle')) || (a < b ? -1 : 1))
}

async function bundle(bench: Bench): Promise<string> {
  return (await dataParts(bench)).at(-1) ?? ''
}

function cut(share: number): Damage {
  return {
    what: `an object of rows is cut at ${share} %`,
    inflict: async (bench) =>
      bench.alter(await largest(bench), (bytes) => bytes.subarray(0, Math.floor((bytes.length * share) / 100))),
  }
}

function flipped(what: string, choose: (bench: Bench) => Promise<string>): Damage {
  const flip = (bytes: Buffer) => {
    const copy = Buffer.from(bytes)
    const at = Math.floor(copy.length / 2)
    copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
    return copy
  }
  return {
    what: `a bit of ${what} is flipped`,
    inflict: async (bench) => bench.alter(await choose(bench), flip),
    unfound: UNSEEN,
  }
}

const RESTORED = 'a restore needs it not, and does not read it'

/** Nothing is made to fit: a disk, a network, a lifecycle rule, a clumsy hand. */
export const STORED: Chapter = {
  title: 'Objects in the storage, as they are',
  text: 'A disk, a network, a lifecycle rule or a clumsy hand. Nothing is made to fit.',
  damages: [
    cut(20),
    cut(60),
    cut(99),
    flipped('an object of rows', largest),
    flipped('a bundle of small files', bundle),
    flipped('the archive’s table of contents', async () => 'database/toc.dat.zst.age'),
    { ...flipped('the contents', async () => 'contents.json.zst.age'), seenByServer: true },
    {
      ...flipped('RESTORE.md', async () => 'RESTORE.md'),
      unfound: { ...UNSEEN, 'restore test': RESTORED },
    },
    {
      what: 'two objects of rows are swapped',
      inflict: async (bench) => {
        const [one = '', other = ''] = await dataParts(bench)
        await bench.swap(one, other)
      },
    },
    {
      what: 'an object is that of another set',
      inflict: async (bench) => bench.takeFrom(bench.crm, 'contents.json.zst.age', 'crm'),
      seenByServer: true,
    },
    { what: 'an object of rows is missing', inflict: async (bench) => bench.remove(await largest(bench)) },
    {
      what: 'an object of rows is empty',
      inflict: async (bench) => bench.alter(await largest(bench), () => Buffer.alloc(0)),
    },
    {
      what: 'RESTORE.md is missing',
      inflict: (bench) => bench.remove('RESTORE.md'),
      unfound: { 'restore test': RESTORED },
    },
    {
      what: 'there is an object too many in the set’s folder',
      inflict: (bench) => bench.add('database/9999.dat.000000.zst.age', Buffer.from('something')),
      unfound: {
        ...unfoundIn(['smoke', 'integrity'], 'nothing of the set is harmed: it is a warning'),
        'restore test': 'nothing of the set is harmed: only what the manifest names is read',
      },
    },
    { what: 'the manifest is missing', inflict: (bench) => bench.remove('manifest.json'), seenByServer: true },
    {
      what: 'the manifest is cut',
      inflict: (bench) => bench.alter('manifest.json', (bytes) => bytes.subarray(0, bytes.length >> 1)),
      seenByServer: true,
    },
    {
      what: 'the head is cut',
      inflict: (bench) => bench.alter('head', (bytes) => bytes.subarray(0, -1)),
      seenByServer: true,
    },
    {
      what: 'the head is missing',
      inflict: (bench) => bench.remove('head'),
      unfound: unfoundIn(
        ['integrity', 'restore test'],
        'a set without a head does not exist: the one before it is examined, which is whole; its age is for smoke to tell',
      ),
    },
    {
      what: 'the head is another set’s',
      inflict: (bench) => bench.takeFrom(bench.older, 'head'),
      seenByServer: true,
    },
    {
      what: 'the signature is missing',
      inflict: (bench) => bench.remove('manifest.json.sig'),
      unfound: unfoundIn(['smoke', 'integrity', 'restore test'], NO_KEY),
      refusedWithKey: true,
    },
    {
      what: 'the signature is cut',
      inflict: (bench) => bench.alter('manifest.json.sig', (bytes) => bytes.subarray(0, 32)),
      unfound: unfoundIn(['smoke', 'integrity', 'restore test'], NO_KEY),
      refusedWithKey: true,
    },
    {
      what: 'nothing, and the identity is of somebody else',
      inflict: async () => undefined,
      identities: 'another',
      seenByServer: true,
      unfound: { smoke: 'smoke opens no part, and needs no identity' },
    },
    {
      what: 'nothing, and there is no identity',
      inflict: async () => undefined,
      identities: 'none',
      unfound: {
        smoke: 'smoke opens no part, and needs no identity',
        integrity: 'what is stored is compared with its digests, and the report says that nothing was opened',
        database: 'the contents cannot be opened, and the report says that nothing was compared',
      },
    },
  ],
}

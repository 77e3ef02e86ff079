import { compactTime } from '../../src/backup-set/layout.ts'
import type { Bench } from './bench.ts'
import { type Chapter, CONSISTENT, unfoundIn } from './damage.ts'

const DATES = 'the set is whole, and of its dates only smoke speaks'

/** An id that a set taken now would have. */
function freshId(): string {
  return `${compactTime(new Date(Date.now() + 5_000))}-nightly-copied`
}

/** The newest set is gone, and the older one goes by a new name. */
async function renewed(bench: Bench, signer: 'ours' | 'nobody', keepDate: boolean): Promise<void> {
  await bench.removeSet(bench.newest)
  await bench.reseal({ id: bench.older, signer }, (plain) => {
    const id = freshId()
    if (keepDate) plain.rename(id)
    else plain.date(new Date())
  })
}

/** Whole sets that are not what they seem. */
export const FOREIGN: Chapter = {
  title: 'Whole sets that are not what they seem',
  text: 'Sets that were copied, renamed, or made at another time or from another database.',
  damages: [
    {
      what: 'a set of another database is copied here',
      inflict: async (bench) => bench.copySet({ id: bench.crm, database: 'crm' }, bench.crm),
      seenByServer: true,
    },
    {
      what: 'another database was dumped under this one’s name',
      inflict: async (bench) => {
        await bench.reseal({ id: bench.crm, database: 'crm' }, (plain) => plain.rename(bench.crm, 'shop'))
      },
      unfound: unfoundIn(['integrity', 'restore test'], CONSISTENT),
      seenByServer: true,
    },
    {
      what: 'an old set is copied to a new id',
      inflict: async (bench) => bench.copySet({ id: bench.older }, freshId()),
      seenByServer: true,
    },
    {
      what: 'an old set is copied to a new id, and its documents name that',
      inflict: (bench) => renewed(bench, 'nobody', true),
      seenByServer: true,
      refusedWithKey: true,
    },
    {
      what: 'an old set is copied to a new id, and its documents name that and a new time',
      inflict: (bench) => renewed(bench, 'nobody', false),
      unfound: unfoundIn(['smoke', 'integrity', 'restore test'], CONSISTENT),
      refusedWithKey: true,
    },
    {
      what: 'the newest set is 40 hours old',
      inflict: (bench) => bench.removeSet(bench.newest),
      unfound: unfoundIn(['integrity', 'restore test'], DATES),
    },
    {
      what: 'a set comes from the future',
      inflict: (bench) => bench.reseal({}, (plain) => plain.date(new Date(Date.now() + 48 * 3_600_000))),
      unfound: unfoundIn(['integrity', 'restore test'], DATES),
    },
  ],
}

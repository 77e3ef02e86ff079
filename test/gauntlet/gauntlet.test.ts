import { afterAll, test } from '@jest/globals'
import { Lab } from '../e2e/support.ts'
import { availableMajors } from '../support/postgres.ts'
import { restoreByHand, roundTrip } from './round-trip.ts'
import { GAUNTLET_DATABASE, Gauntlets } from './support.ts'

/** Everything that a healthy database may hold, there and back: no run may be red, and nothing may come back different. */
const lab = new Lab()
const gauntlets = new Gauntlets()
afterAll(() => Promise.all([lab.close(), gauntlets.close()]), 120_000)

interface Variant {
  major: number
  storage: 'directory' | 's3'
  encrypted: boolean
  /** Restored by hand as well. */
  guide: boolean
}

function variantsOf(major: number): Variant[] {
  const plain = { major, encrypted: false, guide: false }
  const sealed = { major, encrypted: true, guide: true }
  if (major === 17) {
    return [
      { ...plain, storage: 'directory' },
      { ...plain, storage: 's3' },
      { ...sealed, storage: 'directory', guide: false },
      { ...sealed, storage: 's3' },
    ]
  }
  if (major === 15)
    return [
      { ...plain, storage: 'directory', guide: true },
      { ...sealed, storage: 's3', guide: false },
    ]
  return [
    { ...plain, storage: 's3' },
    { ...sealed, storage: 'directory' },
  ]
}

const CASES = availableMajors()
  .flatMap(variantsOf)
  .map((variant) => {
    const { major, storage, encrypted, guide } = variant
    const words = [`PostgreSQL ${major}`, storage, encrypted ? 'encrypted' : 'plain', ...(guide ? ['by hand'] : [])]
    return [words.join(', '), variant] as const
  })

test.each(CASES)(
  '%s',
  async (_, { major, storage: kind, encrypted, guide }) => {
    const source = await gauntlets.server(major)
    const storage = await lab.storage(kind)
    const keys = encrypted ? await lab.ageKeys() : undefined
    const id = await roundTrip({ lab, source, database: GAUNTLET_DATABASE, storage, ...(keys && { keys }) })
    if (!guide) return
    const identityFile = keys?.identityFile
    await restoreByHand({ lab, source, database: GAUNTLET_DATABASE, storage, id, identityFile })
  },
  300_000,
)

import { afterAll, test } from '@jest/globals'
import { Lab } from '../e2e/support.ts'
import { availableMajors, startServer } from '../support/postgres.ts'
import { restoreByHand, roundTrip } from './round-trip.ts'
import { runFixtures } from './support.ts'

/** Thousands of tables and large objects, as many columns as there can be, and a row of 200 MB. */
const lab = new Lab()
afterAll(() => lab.close(), 120_000)

const MAJORS = availableMajors()
const large = MAJORS.findLast((major) => major <= 17) ?? MAJORS.at(-1) ?? 0
const CASES = MAJORS.map((major) => {
  const size = { tables: 2000, row_bytes: (major === large ? 200 : 2) * 2 ** 20 }
  return [major, { ...size, large_objects: 3000 }] as const
})

test.each(CASES)(
  'PostgreSQL %d: much of everything',
  async (major, variables) => {
    const source = await startServer(major, { settings: { max_locks_per_transaction: '256' } })
    try {
      const database = 'many'
      await source.createDatabase(database)
      await runFixtures(source, database, ['many'], variables)
      const storage = await lab.storage(major === large ? 'directory' : 's3')
      const keys = await lab.ageKeys()
      const id = await roundTrip({ lab, source, database, storage, keys })
      // With the longest row, and with the large objects as pg_dump writes them from 17 on.
      if (major !== large) return
      await restoreByHand({ lab, source, database, storage, id, identityFile: keys.identityFile })
    } finally {
      await source.stop()
    }
  },
  300_000,
)

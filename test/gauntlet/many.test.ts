import { afterAll, test } from '@jest/globals'
import { Lab } from '../e2e/support.ts'
import { availableMajors, startServer } from '../support/postgres.ts'
import { restoreByHand, roundTrip } from './round-trip.ts'
import { runFixtures } from './support.ts'

/** Thousands of tables and large objects, as many columns as there can be, and a row of 200 MB. */
const lab = new Lab()
afterAll(() => lab.close(), 120_000)

const VARIABLES = { tables: 2000, row_bytes: 200 * 2 ** 20, large_objects: 3000 }

test.each(availableMajors())(
  'PostgreSQL %d: much of everything',
  async (major) => {
    const source = await startServer(major, { settings: { max_locks_per_transaction: '256' } })
    try {
      const database = 'many'
      await source.createDatabase(database)
      await runFixtures(source, database, ['many'], VARIABLES)
      const storage = await lab.storage(major === 17 ? 'directory' : 's3')
      const keys = await lab.ageKeys()
      const id = await roundTrip({ lab, source, database, storage, keys })
      await restoreByHand({ lab, source, database, storage, id, identityFile: keys.identityFile })
    } finally {
      await source.stop()
    }
  },
  300_000,
)

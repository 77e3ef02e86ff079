import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { compareInventories, type Inventory, readInventory } from '../../src/postgres/inventory.ts'
import { pinOptions } from '../../src/postgres/pins.ts'
import type { DumpReport, RestoreTestReport, VerifyReport } from '../../src/reports/report.ts'
import { expectExit, Lab, reportOf, type TestStorage } from '../e2e/support.ts'
import { availableMajors, type TestServer } from '../support/postgres.ts'
import { followGuide } from './guided.ts'
import { CONTENT, GAUNTLET_DATABASE, Gauntlets, SETTINGS } from './support.ts'

/** Everything that a healthy database may hold, there and back: no run may be red, and nothing may come back different. */
const lab = new Lab()
const gauntlets = new Gauntlets()
afterAll(() => Promise.all([lab.close(), gauntlets.close()]), 120_000)

const ACTIONS = process.env.LIFEBOAT_TEST_ACTIONS ?? ''

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
      { ...sealed, storage: 'directory' },
      { ...sealed, storage: 's3', guide: false },
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
    const id = await roundTrip(source, GAUNTLET_DATABASE, storage, keys && { keys })
    if (guide)
      await restoreByHand({ source, database: GAUNTLET_DATABASE, storage, id, identityFile: keys?.identityFile })
  },
  120_000,
)

interface Keys {
  keys: { recipient: string; identity: string }
}

/** Dump, verify, restore test: all green, every table proven, nothing to note but what is in `notes`. */
async function roundTrip(source: TestServer, database: string, storage: TestStorage, sealing?: Keys): Promise<string> {
  const job = await lab.job(storage)
  const run = (action: string, inputs: Record<string, string>) =>
    job.run({ action: join(ACTIONS, action), inputs: { ...storage.inputs, ...inputs } })
  const identity: Record<string, string> = sealing === undefined ? {} : { identity: sealing.keys.identity }
  const recipients: Record<string, string> = sealing === undefined ? {} : { recipients: sealing.keys.recipient }
  const dump = await run('action-dump', { 'database-url': source.url(database), database: 'gauntlet', ...recipients })
  expectExit(dump, 0)
  const dumped = await reportOf<DumpReport>(dump)
  expect(dumped.findings.filter(({ severity }) => severity !== 'note')).toEqual([])
  const verify = await run('action-verify', { mode: 'integrity', ...identity })
  expectNothingWrong(await reportOf<VerifyReport>(verify))
  expectExit(verify, 0)
  const restored = await run('action-restore-test', identity)
  const report = await reportOf<RestoreTestReport>(restored)
  expectNothingWrong(report)
  expectExit(restored, 0)
  expect(report.tables.filter(({ status }) => status !== 'equal')).toEqual([])
  expect(report.tablesProven).toBe(dumped.totals?.tables)
  expect(report.rowsProven).toBe(dumped.totals?.rows)
  const { orphans } = await job.finish()
  expect(orphans).toEqual([])
  return dump.outputs['backup-id'] ?? ''
}

/** No finding of a check is more than a note, and no check was unverified. */
function expectNothingWrong(report: VerifyReport | RestoreTestReport): void {
  const wrong = report.checks.filter(({ status }) => status !== 'passed' && status !== 'not run')
  expect([...wrong, ...report.findings.filter(({ severity }) => severity !== 'note')]).toEqual([])
}

interface ByHand {
  source: TestServer
  database: string
  storage: TestStorage
  id: string
  identityFile?: string | undefined
}

/** RESTORE.md, to the letter, into a server that knows nothing of us; psql finds the same there as on the source. */
async function restoreByHand({ source, database, storage, id, identityFile }: ByHand): Promise<void> {
  const target = await lab.server(source.major, 'target')
  await followGuide({ lab, target, storage, prefix: `gauntlet/sets/${id}/`, database, identityFile })
  expect((await target.psql(database, CONTENT)).split('\n')).toEqual((await source.psql(database, CONTENT)).split('\n'))
  expect(await target.psql(database, SETTINGS)).toBe(await source.psql(database, SETTINGS))
  const inventories = [await inventoryOf(source, database), await inventoryOf(target, database)] as const
  expect(compareInventories(...inventories).filter(({ expected }) => !expected)).toEqual([])
}

async function inventoryOf({ port, password, major }: TestServer, database: string): Promise<Inventory> {
  const options = pinOptions(major * 10_000)
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database, options })
  await client.connect()
  try {
    await client.query('begin isolation level repeatable read read only')
    return await readInventory(client)
  } finally {
    await client.end()
  }
}

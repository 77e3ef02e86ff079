import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { ActionResult } from '../../scripts/lib/local-runner.ts'
import type { Evidence, Head } from '../../src/backup-set/documents.ts'
import type { RestoreTestReport, VerifyReport } from '../../src/reports/report.ts'
import { availableMajors } from '../support/postgres.ts'
import { plainText } from './refusal.ts'
import { type AgeKeys, expectExit, Lab, reportOf, type SigningKeys, type TestStorage } from './support.ts'

/** What evidence counts for, and what every summary opens with, from the first dump on. */
const lab = new Lab()
afterAll(() => lab.close())

type Action = Parameters<Lab['run']>[0]

let storage: TestStorage
let age: AgeKeys
let signing: SigningKeys
let dumping: Record<string, string>
let reading: Record<string, string>

beforeAll(async () => {
  const server = await lab.server(availableMajors()[0] ?? 0)
  const url = await server.createDatabase('app')
  await server.psql(
    'app',
    `create table customer (id integer primary key, name text not null);
     create function stop() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
     insert into customer select i, 'canary customer ' || i from generate_series(1, 500) i;
     create trigger stop before insert or update or delete on customer execute function stop()`,
  )
  lab.secrets.add('canary customer')
  ;[storage, age, signing] = await Promise.all([lab.storage('directory'), lab.ageKeys(), lab.signingKeys()])
  dumping = { 'database-url': url, recipients: age.recipient, 'signing-key': signing.privateKey }
  reading = { identity: age.identity }
})

/** Runs an action on the storage; `text` is its summary without escapes. */
async function run(action: Action, inputs: Record<string, string>, exit = 0): Promise<ActionResult & { text: string }> {
  const result = await lab.run(action, storage, inputs)
  expectExit(result, exit)
  return { ...result, text: plainText(result.summary) }
}

const strict = () => ({ ...reading, 'verify-key': signing.publicKey })
const signed = () => ({ ...strict(), 'signing-key': signing.privateKey })
const NOBODY_KNOWS =
  'If the database died now nobody knows whether it would come back: no backup of app has ever been restored and proven.'
const LOSS =
  /\n\nIf the database died now you would lose at most \d+(\.\d+)? (s|min \d\d s) \(newest proven set, taken \d{4}-\d\d-\d\d \d\d:\d\d UTC; within the target of 30 h\) and, by the last rehearsal, be back in about \d+(\.\d+)? s \(within the target of 1 h\)\.\n\n/

test('evidence counts where its signature and its words hold; every summary says what a loss would cost', async () => {
  const first = await run('action-dump', dumping)
  const { 'backup-id': id = '' } = first.outputs
  expect(first.text.split('\n')[2]).toBe(
    `${NOBODY_KNOWS}<br>→ Run action-restore-test on this storage: it restores the newest backup into a throw-away server and proves it.`,
  )
  expect(first.log.join('\n')).toContain(`\n${NOBODY_KNOWS}\n  → Run action-restore-test`)

  const proven = await run('action-restore-test', { ...signed(), 'self-test': 'true' })
  expect(proven.text).toMatch(LOSS)
  const report = await reportOf<RestoreTestReport>(proven)
  expect(report.checks.find(({ id: check }) => check === 'self-test')).toMatchObject({
    status: 'passed',
    summary: '11 of 11 kinds of damage were noticed',
  })
  expect(report.lossBudget).toMatchObject({ backups: 1, everProven: true, proven: { backupId: id } })
  const [key = '', signature = '', ...others] = await storage.keys('app/evidence/')
  expect([signature, others]).toEqual([`${key}.sig`, []])

  // Without its signature it is worth something to those alone who ask for none.
  const bytes = await storage.storage.read(signature)
  await storage.storage.delete([{ key: signature }])
  const doubted = await run('action-verify', strict())
  expect(doubted.outputs.state).toBe('written')
  expect(doubted.text).toContain(NOBODY_KNOWS)
  expect(doubted.text).toContain('1 piece of evidence is not signed and does not count')
  const believed = await run('action-verify', reading)
  expect(believed.outputs.state).toBe('proven')
  expect(believed.text).toMatch(LOSS)
  await storage.storage.put(signature, bytes)

  const second = await run('action-dump', dumping)
  expect(second.text).toMatch(LOSS)
  const { 'backup-id': newer = '' } = second.outputs
  const head = await storage.json<Head>(`app/heads/${newer}.json`)
  expect(head.history?.map((past) => past.id)).toEqual([id])

  // What says that one set was proven says nothing of another, signed as it is.
  for (const name of [signature, key]) {
    await storage.storage.put(name.replace(id, newer), await storage.storage.read(name))
  }
  const gate = await run('action-verify', { ...strict(), backup: 'proven' })
  expect(gate.outputs).toMatchObject({ 'backup-id': id, state: 'proven' })
  expect(gate.text).toContain(`does not count: it says that it is about app/${id}`)
}, 300_000)

test('a run that ends early says it too; a strange key is told of', async () => {
  const missing = await run('action-verify', { ...reading, backup: '20200101T000000Z-nightly-abcdef' }, 1)
  expect(missing.text).toMatch(LOSS)
  const nowhere = {
    ...dumping,
    'database-url': 'postgresql://app@127.0.0.1:1/app',
    'rpo-target': '1s',
    'rto-target': '1s',
  }
  const failed = await run('action-dump', nowhere, 1)
  expect(failed.text).toMatch(
    /If the database died now you would lose .*; above the target of 1 s\) and, .* \(above the target of 1 s\)\./,
  )
  const strange = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const told = await run('action-verify', { ...strict(), 'signing-key': strange, mode: 'integrity' })
  expect(told.outputs.state).toBe('intact')
  expect(told.text).toContain('What this run found is signed by a key that is not in verify-key')
  const { lossBudget } = await reportOf<VerifyReport>(told)
  expect(lossBudget?.everProven).toBe(true)
  const evidence = (await storage.keys('app/evidence/')).filter((key) => key.includes('-integrity-'))
  expect(evidence.map((key) => key.endsWith('.sig'))).toEqual([false, true])
  expect(await storage.json<Evidence>(evidence[0] ?? '')).toMatchObject({ verdict: 'passed', test: 'integrity' })
}, 300_000)

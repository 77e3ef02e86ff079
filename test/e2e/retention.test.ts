import { createPrivateKey } from 'node:crypto'
import { ListObjectVersionsCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { writeEvidence } from '../../src/backup-set/evidence.ts'
import { newSetId } from '../../src/backup-set/layout.ts'
import type { DumpReport, VerifyReport } from '../../src/reports/report.ts'
import { keyPair, testRestore, writeSet } from '../backup-set/retiring.ts'
import { evidenceOf } from '../backup-set/support.ts'
import { type SeenRequest, startIntermediary } from '../storage/loopback.ts'
import { availableMajors } from '../support/postgres.ts'
import { expectExit, Lab, reportOf, type TestStorage } from './support.ts'

const lab = new Lab()
let url: string
beforeAll(async () => {
  const server = await lab.server(availableMajors().at(-1) ?? 0)
  url = await server.createDatabase('app')
  await server.psql('app', 'create table a as select id from generate_series(1, 10) id')
})
afterAll(() => lab.close())

function daysAgo(days: number): Date {
  return new Date(Date.now() - days * 86_400_000)
}

async function dump(storage: TestStorage, inputs: Record<string, string>) {
  const result = await lab.run('action-dump', storage, { 'database-url': url, database: 'shop', ...inputs })
  expectExit(result, 0)
  const report = await reportOf<DumpReport>(result)
  const outcomes = Object.fromEntries(report.retention?.sets.map(({ id, outcome }) => [id, outcome]) ?? [])
  return { ...result, report, outcomes, written: result.outputs['backup-id'] ?? '' }
}

test('a plan says what would go and why, and the next dump does it', async () => {
  const storage = await lab.storage('directory')
  const oldest = await writeSet(storage.storage, daysAgo(50))
  const proven = await writeSet(storage.storage, daysAgo(40))
  await testRestore(storage.storage, proven, 'passed', daysAgo(39))
  const before = await storage.keys()
  const counts = { 'keep-last': '1', 'keep-daily': '0' }
  const planned = await dump(storage, { ...counts, retention: 'plan' })
  const kept = { [planned.written]: 'kept', [proven.id]: 'kept' }
  expect(planned.outcomes).toEqual({ ...kept, [oldest.id]: 'would be deleted' })
  expect(await storage.keys()).toEqual(expect.arrayContaining(before))
  const why = 'older than keep-last 1 reach'
  expect(planned.log.join('\n')).toMatch(new RegExp(`would delete ${oldest.id} \\(.*\\): ${why}`))
  expect(planned.summary).toContain('a plan only: would keep 2 backups, delete 1')
  expect(planned.summary).toContain(`| would be deleted | ${why} |`)
  expect(planned.report.findings).toMatchObject([{ severity: 'warning', message: expect.stringContaining(proven.id) }])

  const off = await dump(storage, { ...counts, retention: 'off' })
  expect(off.report.retention).toBeUndefined()
  const done = await dump(storage, counts)
  expect(done.outcomes).toEqual({
    [done.written]: 'kept',
    [off.written]: 'deleted',
    [planned.written]: 'deleted',
    [proven.id]: 'kept',
    [oldest.id]: 'deleted',
  })
  expect(done.summary).toContain('keeps 2 backups, deleted 3')
  expect(await storage.keys('shop/heads/')).toEqual([proven.id, done.written].map((id) => `shop/heads/${id}.json`))
  expect(await storage.storage.folders('shop/sets/')).toEqual([proven.id, done.written])
}, 120_000)

test('in a bucket with versions and locks: what is signed and free goes for good, the rest stays and is told', async () => {
  const storage = await lab.storage('s3', { objectLock: true })
  const { privateKey } = await lab.signingKeys()
  const signedBy = createPrivateKey(privateKey)
  const locked = await writeSet(storage.storage, daysAgo(20), { signedBy, lockUntil: daysAgo(-1) })
  const free = await writeSet(storage.storage, daysAgo(10), { signedBy })
  const foreign = await writeSet(storage.storage, daysAgo(5), { signedBy: keyPair().privateKey })
  const { report, outcomes, written } = await dump(storage, {
    'signing-key': privateKey,
    'keep-last': '1',
    'keep-daily': '0',
    'lock-days': '2',
  })
  expect(outcomes).toEqual({
    [written]: 'kept',
    [foreign.id]: 'left alone',
    [free.id]: 'deleted',
    [locked.id]: 'retained',
  })
  expect(report.findings.map(({ severity, message }) => [severity, message])).toEqual([
    ['note', expect.stringMatching(/^1 backup would go, but cannot yet: locked until /)],
    ['note', expect.stringContaining('left 1 backup alone, neither counted nor deleted: 1 not signed with this key')],
  ])
  const { client } = await lab.s3()
  const { Versions = [], DeleteMarkers } = await client.send(new ListObjectVersionsCommand({ Bucket: storage.bucket }))
  expect(DeleteMarkers ?? []).toEqual([])
  expect(Versions.filter(({ Key = '' }) => Key.includes(free.id))).toEqual([])
  expect(Versions.filter(({ Key = '' }) => Key.includes(locked.id))).toHaveLength(5)
}, 120_000)

test('a dump that can only write, and retention in a job of its own: once the newest backup has passed', async () => {
  const storage = await lab.storage('s3')
  const s3 = await lab.s3()
  await s3.allowGuest(storage.bucket ?? '', ['s3:PutObject'])
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = s3.guest
  const env = { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY }
  const oldest = await writeSet(storage.storage, daysAgo(50))
  const proven = await writeSet(storage.storage, daysAgo(40))
  await testRestore(storage.storage, proven, 'passed', daysAgo(1))
  const abandoned = `shop/sets/${newSetId(daysAgo(30), 'nightly')}/database/1.dat.zst`
  await storage.storage.put(abandoned, Buffer.alloc(2 << 20))
  const inputs = { 'database-url': url, database: 'shop', retention: 'off' }
  const dump = await lab.run('action-dump', storage, inputs, { env })
  expectExit(dump, 0)
  const written = dump.outputs['backup-id'] ?? ''
  const before = await storage.keys()
  expect(before).toContain(abandoned)

  const verify = async (options: Record<string, string>, exit: number, env = {}) => {
    const known = { 'accept-source': 'unknown/app', 'size-change-fail': '1000%', 'keep-last': '1', 'keep-daily': '0' }
    const result = await lab.run('action-verify', storage, { database: 'shop', ...known, ...options }, { env })
    expectExit(result, exit)
    const report = await reportOf<VerifyReport>(result)
    return { ...result, report, fates: report.retention?.sets.map(({ id, outcome }) => `${id} ${outcome}`) }
  }
  // Another database than the older ones: the backup itself is not what it should be.
  for (const mode of ['smoke', 'integrity']) {
    const refused = await verify({ retention: 'after-verify', 'accept-source': '', mode }, 1)
    expect(refused.fates).toBeUndefined()
    expect(refused.report.checks.at(-1)).toMatchObject({
      id: 'retention',
      status: 'not run',
      findings: [
        { severity: 'note', message: expect.stringMatching(/^Retention deleted nothing, .*the same database/) },
      ],
    })
  }
  const refused = await verify({ retention: 'plan', 'accept-source': '' }, 1)
  expect(refused.fates).toContain(`${oldest.id} would be deleted`)
  const accepted = refused.report.checks.flatMap(({ findings }) => findings).map(({ remedy }) => remedy ?? '')
  const source = /`accept-source: ([^`]+)`/.exec(accepted.join('\n'))?.[1] ?? ''
  const plan = await verify({ retention: 'plan', 'accept-source': source }, 0)
  expect(plan.fates).toEqual([`${written} kept`, `${proven.id} kept`, `${oldest.id} would be deleted`])
  expect(await storage.keys('shop/heads/')).toHaveLength(3)

  // Who asks for retention here relies on it.
  await s3.allowGuest(storage.bucket ?? '', ['s3:PutObject', 's3:GetObject', 's3:ListBucket', 's3:ListBucketVersions'])
  const forbidden = await verify({ retention: 'after-verify', 'accept-source': source }, 1, env)
  expect(forbidden.report.checks.flatMap(({ id, status }) => (status === 'failed' ? [id] : []))).toEqual(['retention'])
  expect(forbidden.summary).toContain('that should go could not be deleted')

  // What has nothing to do with the backup itself, storage that fills up least of all, keeps nothing from going.
  const full = await verify({ retention: 'after-verify', 'accept-source': source, 'storage-quota': '1MiB' }, 1)
  expect(full.report.checks.flatMap(({ id, status }) => (status === 'failed' ? [id] : []))).toEqual(['storage-quota'])
  expect(full.fates).toEqual([`${written} kept`, `${proven.id} kept`, `${oldest.id} deleted`])
  expect(full.summary).toContain('keeps 2 backups, deleted 1')
  expect(await storage.keys('shop/heads/')).toEqual([proven.id, written].map((id) => `shop/heads/${id}.json`))
  expect(await storage.keys()).not.toContain(abandoned)
}, 120_000)

test('a storage that gives nothing away proves nothing, so nothing is recorded as passed, and nothing goes', async () => {
  const storage = await lab.storage('s3')
  const { privateKey, publicKey } = await lab.signingKeys()
  const signedBy = createPrivateKey(privateKey)
  const older = await writeSet(storage.storage, daysAgo(3), { signedBy })
  await writeEvidence(storage.storage, evidenceOf(older, 'restore-test', 'passed', daysAgo(2)), signedBy)
  const keys = { 'signing-key': privateKey }
  const { written } = await dump(storage, { ...keys, retention: 'off' })
  // The first that meets it is the age of the restore test, which says nothing of the backup itself.
  const isHeldBack = ({ method, path }: SeenRequest) => method === 'GET' && /restore-test|database\/\w+\.\w/.test(path)
  const body = '<Error><Code>AccessDenied</Code></Error>'
  const fault = (request: SeenRequest) => (isHeldBack(request) ? { answer: 403, body } : undefined)
  const { endpoint, stop } = await startIntermediary((await lab.s3()).endpoint, fault)
  try {
    const behind = { ...storage, inputs: { ...storage.inputs, 's3-endpoint': endpoint } }
    const options = { database: 'shop', mode: 'full', 'database-url': url, 'verify-key': publicKey, ...keys }
    const policy = { retention: 'after-verify', 'keep-last': '1', 'keep-daily': '0', 'size-change-fail': '1000%' }
    const result = await lab.run('action-verify', behind, { ...options, ...policy, 'accept-source': 'unknown/app' })
    expectExit(result, 1)
    const { checks, state } = await reportOf<VerifyReport>(result)
    const statuses = Object.fromEntries(checks.map(({ id, status }) => [id, status]))
    expect(statuses).toMatchObject({
      'restore-test-age': 'unverified',
      'stored-bytes': 'not run',
      retention: 'not run',
    })
    expect(state).toBe('written')
  } finally {
    await stop()
  }
  expect((await storage.keys(`shop/evidence/${written}/`)).filter((key) => key.includes('passed'))).toEqual([])
  expect(await storage.keys('shop/heads/')).toHaveLength(2)
}, 120_000)

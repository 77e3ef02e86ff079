import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  DeleteObjectCommand,
  GetObjectRetentionCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
} from '@aws-sdk/client-s3'
import { afterAll, expect, test } from '@jest/globals'
import pg from 'pg'
import type { Evidence, Head, Manifest } from '../../src/backup-set/documents.ts'
import type { DumpReport, RestoreTestReport } from '../../src/reports/report.ts'
import { availableMajors, type TestServer } from '../support/postgres.ts'
import { startPacedProxy } from './paced-proxy.ts'
import { actionEnvironment, connectionOf, expectExit, Lab, reportOf } from './support.ts'

/** What a set holds, whatever happens around it: writes during the dump, hidden objects, rows that do not come back. */
const lab = new Lab()
afterAll(() => lab.close(), 300_000)

const MAJORS = availableMajors()
const oldest = MAJORS[0] ?? 0
const newest = MAJORS.at(-1) ?? 0

test('what is written during the dump is in the set up to its snapshot, and nothing of it later', async () => {
  const server = await lab.server(newest)
  const url = await server.createDatabase('bank')
  await pgbench(server, ['-i', '-s', '5', '-q']).ended
  const storage = await lab.storage('directory')
  const history = async () => Number(await server.psql('bank', 'select count(*) from pgbench_history'))

  const load = pgbench(server, ['-n', '-c', '4', '-j', '2', '-T', '300', '-b', 'tpcb-like'])
  while ((await history()) === 0) await new Promise((resolve) => setTimeout(resolve, 100))
  const before = await history()
  const dump = await lab.run('action-dump', storage, { 'database-url': url })
  const after = await history()
  load.stop()
  await load.ended
  expectExit(dump, 0)

  const job = await lab.job(storage)
  const inputs = { ...storage.inputs, 'keep-running': 'true' }
  const restored = await job.run({ action: 'action-restore-test', inputs })
  expectExit(restored, 0)
  const sums = await firstRow(
    restored.outputs['database-url'] ?? '',
    `select
       (select sum(abalance) from public.pgbench_accounts)::text accounts,
       (select sum(tbalance) from public.pgbench_tellers)::text tellers,
       (select sum(bbalance) from public.pgbench_branches)::text branches,
       (select sum(delta) from public.pgbench_history)::text history,
       (select count(*)::int from public.pgbench_history) count`,
  )
  expect(sums).toMatchObject({ tellers: sums.accounts, branches: sums.accounts, history: sums.accounts })
  expect(sums.count).toBeGreaterThan(before)
  expect(sums.count).toBeLessThan(after)
  expect(String(500_000 + 50 + 5 + Number(sums.count))).toBe(restored.outputs['rows-proven'])
  const { orphans } = await job.finish()
  expect(orphans).toEqual([])
}, 300_000)

test('a table that does not come back fails the restore test, which names it and the cause', async () => {
  const server = await lab.server(oldest)
  const url = await server.createDatabase('shop')
  await server.psql(
    'shop',
    `create table allowed (code text primary key);
     insert into allowed values ('red'), ('blue');
     create function is_allowed(code text) returns boolean language sql stable
       as 'select exists (select from allowed a where a.code = $1)';
     create table orders (id integer primary key, colour text not null check (is_allowed(colour)));
     insert into orders select id, 'blue' from generate_series(1, 1234) id;
     create table parcels (id integer primary key, order_id integer not null);
     insert into parcels select id, id from generate_series(1, 99) id;`,
  )
  const storage = await lab.storage('directory')
  const dump = await lab.run('action-dump', storage, { 'database-url': url })
  expectExit(dump, 0)
  const { 'backup-id': id = '' } = dump.outputs

  const restored = await lab.run('action-restore-test', storage)
  expectExit(restored, 1)
  expect(restored.outputs).toMatchObject({ verdict: 'failed', 'backup-id': id, 'tables-proven': '2' })
  const report = await reportOf<RestoreTestReport>(restored)
  const tables = Object.fromEntries(report.tables.map(({ table, status, note }) => [table, [status, note]]))
  expect(tables).toEqual({
    'public.orders': ['different', 'empty, instead of 1,234 rows'],
    'public.allowed': ['equal', undefined],
    'public.parcels': ['equal', undefined],
  })
  const failed = report.checks.filter(({ status }) => status === 'failed').map((check) => check.id)
  expect(failed).toEqual(['restore-errors', 'tables'])
  for (const text of [restored.summary, restored.log.join('\n'), JSON.stringify(report.checks)]) {
    expect(text).toMatch(/public\.orders/)
    expect(text).toMatch(/relation \W*allowed\W* does not exist/)
    // The summary's Markdown spells the underscore as an entity.
    expect(text).toMatch(/search(_|&#95;)path/)
  }
  expect(restored.annotations.filter(({ level }) => level === 'error').length).toBeGreaterThan(0)

  const [key = ''] = await storage.keys('shop/evidence/')
  const evidence = await storage.json<Evidence>(key)
  expect(evidence).toMatchObject({ id, test: 'restore-test', verdict: 'failed' })
  const verified = await lab.run('action-verify', storage, { backup: id })
  expect(verified.outputs).toMatchObject({ 'backup-id': id, state: 'damaged' })
  const latest = await lab.run('action-verify', storage)
  expectExit(latest, 1)
  expect(latest.outputs).toMatchObject({ verdict: 'failed', 'backup-id': '' })
  expect(latest.log.join('\n')).toContain(id)
}, 300_000)

test('locked objects: a deletion only hides them, and reads go on', async () => {
  const server = await lab.server(newest)
  const url = await server.createDatabase('vault')
  await server.psql('vault', 'create table coins as select id, md5(id::text) mark from generate_series(1, 60000) id')
  const storage = await lab.storage('s3', { objectLock: true })
  const { client } = await lab.s3()
  const Bucket = storage.bucket
  const began = Date.now()
  const options = { 'database-url': url, 'lock-days': '2', 'storage-class': 'STANDARD' }
  const dump = await lab.run('action-dump', storage, options)
  expectExit(dump, 0)
  const { 'backup-id': id = '' } = dump.outputs

  const head = await storage.json<Head>(`vault/heads/${id}.json`)
  const manifest = await storage.json<Manifest>(`vault/sets/${id}/manifest.json`)
  const locked = Date.parse(manifest.lockUntil ?? '')
  expect(locked).toBeGreaterThanOrEqual(began + 2 * 86_400_000 - 1_000)
  expect(locked).toBeLessThanOrEqual(Date.now() + 2 * 86_400_000)
  expect(head.lockUntil).toBe(manifest.lockUntil)
  expect((await reportOf<DumpReport>(dump)).lockedUntil).toBe(manifest.lockUntil)
  const objects = [
    { key: `vault/sets/${id}/manifest.json`, versionId: head.manifest.versionId },
    ...manifest.parts.map(({ path, versionId }) => ({ key: `vault/sets/${id}/${path}`, versionId })),
  ]
  for (const { key, versionId: VersionId } of objects) {
    const Key = `backups/${key}`
    expect(VersionId).toMatch(/.+/)
    const { Retention } = await client.send(new GetObjectRetentionCommand({ Bucket, Key, VersionId }))
    expect(Retention?.Mode).toBe('COMPLIANCE')
    expect(Math.abs((Retention?.RetainUntilDate?.getTime() ?? 0) - locked)).toBeLessThan(1_000)
    // STANDARD is what S3 leaves unsaid.
    expect((await client.send(new HeadObjectCommand({ Bucket, Key, VersionId }))).StorageClass ?? 'STANDARD').toBe(
      'STANDARD',
    )
    await expect(client.send(new DeleteObjectCommand({ Bucket, Key, VersionId }))).rejects.toThrow()
    await client.send(new DeleteObjectCommand({ Bucket, Key }))
    expect(await storage.storage.head(key)).toBeUndefined()
  }
  const versions = await client.send(new ListObjectVersionsCommand({ Bucket, Prefix: `backups/vault/sets/${id}/` }))
  expect(versions.DeleteMarkers).toHaveLength(objects.length)

  for (const mode of ['smoke', 'integrity']) {
    const verified = await lab.run('action-verify', storage, { mode })
    expectExit(verified, 0)
    expect(verified.outputs).toMatchObject({ verdict: 'passed', 'backup-id': id })
  }
  const restored = await lab.run('action-restore-test', storage)
  expectExit(restored, 0)
  expect(restored.outputs).toMatchObject({ verdict: 'passed', 'tables-proven': '1', 'rows-proven': '60000' })
}, 300_000)

test('partial sets are never the latest, and no restore test takes one', async () => {
  const server = await lab.server(oldest)
  const url = await server.createDatabase('parts')
  await server.psql(
    'parts',
    `create table a as select id from generate_series(1, 10) id;
     create table b as select id from generate_series(1, 20) id;
     create sequence s; select nextval('s'); select lo_from_bytea(0, 'x');
     create role reads_a login password '${server.password}'; grant select on a to reads_a`,
  )
  const storage = await lab.storage('directory')
  const partial: { inputs: Record<string, string>; content: string; rows: string }[] = [
    { inputs: { content: 'schema' }, content: 'schema', rows: '0' },
    { inputs: { content: 'data' }, content: 'data', rows: '30' },
    // Who may read no more than is dumped; the search_path finds it.
    { inputs: { tables: 'A, no.*', 'database-url': server.url('parts', 'reads_a') }, content: 'filtered', rows: '10' },
    { inputs: { 'exclude-tables': 'public.a' }, content: 'filtered', rows: '20' },
    { inputs: { 'exclude-table-data': 'public.b' }, content: 'filtered', rows: '10' },
  ]
  const ids: string[] = []
  const warnings: string[] = []
  for (const { inputs, content, rows } of partial) {
    const dump = await lab.run('action-dump', storage, { 'database-url': url, ...inputs })
    expectExit(dump, 0)
    const { 'backup-id': id = '' } = dump.outputs
    expect(dump.outputs).toMatchObject({ verdict: 'passed', rows })
    expect((await storage.json<Head>(`parts/heads/${id}.json`)).content).toBe(content)
    ids.push(id)
    warnings.push(...dump.annotations.map(({ level, message }) => `${level}: ${message.split('\n')[0]}`))
  }
  expect(warnings).toEqual(['warning: tables: the pattern no.* matches nothing in this database'])
  const none = await lab.run('action-restore-test', storage)
  expectExit(none, 1)
  expect((await reportOf<RestoreTestReport>(none)).error?.code).toBe('no-set')

  const whole = await lab.run('action-dump', storage, { 'database-url': url, label: 'whole' })
  expectExit(whole, 0)
  const newer = await lab.run('action-dump', storage, { 'database-url': url, content: 'schema' })
  expectExit(newer, 0)
  const latest = await lab.run('action-verify', storage, {}, { env: { RUNNER_ENVIRONMENT: 'github-hosted' } })
  expectExit(latest, 0)
  expect(latest.annotations).toEqual([
    expect.objectContaining({
      level: 'warning',
      message: expect.stringMatching(/vanishes with the job\n→ Use an s3:/),
    }),
  ])
  expect(latest.outputs['backup-id']).toBe(whole.outputs['backup-id'])

  for (const id of ids.slice(0, 3)) {
    const integrity = await lab.run('action-verify', storage, { backup: id, mode: 'integrity' })
    expectExit(integrity, 0)
  }
  const refused = await lab.run('action-restore-test', storage, { backup: ids[0] ?? '' })
  expectExit(refused, 1)
  const { error, verdict } = await reportOf<RestoreTestReport>(refused)
  expect([verdict, error?.code]).toEqual(['unverified', 'partial-set'])
  expect(error?.message).toContain(`${ids[0]} is partial (schema)`)
  expect(error?.remedy).toContain('latest')
  expect(await storage.keys('parts/evidence/')).toHaveLength(3)
}, 300_000)

test('a table much larger than the spool passes through it', async () => {
  const server = await lab.server(newest)
  const url = await server.createDatabase('archive')
  await server.psql(
    'archive',
    `create table pages as select id, (
       select string_agg(md5(random()::text || id || n), '') from generate_series(1, 32) n
     ) body from generate_series(1, 100000) id`,
  )
  const storage = await lab.storage('directory')
  const job = await lab.job(storage)
  const spool = watchSpool(join(job.directory, 'temp'))
  // Between two looks at the spool pg_dump goes on; how much it can write then must not depend on the machine.
  const proxy = await startPacedProxy(server.port, { burstBytes: 40e6, bytesPerSecond: 10e6 })
  const dump = await job
    .run({
      action: 'action-dump',
      inputs: {
        ...storage.inputs,
        'database-url': url.replace(`:${server.port}/`, `:${proxy.port}/`),
        'spool-limit': '16MiB',
      },
    })
    .finally(proxy.stop)
  const peak = await spool.stop()
  expectExit(dump, 0)
  expect(dump.outputs).toMatchObject({ rows: '100000', tables: '1' })
  expect(Number(dump.outputs['plain-bytes'])).toBeGreaterThan(100_000_000)
  // At that pace it takes more than five seconds, wherever it runs.
  expect(dump.log).toContainEqual(expect.stringMatching(/^[\d.]+ MiB of about [\d.]+ MiB \(\d+ %\), [\d.]+ MiB\/s/))
  expect(dump.stdout).not.toContain('\r')
  expect(peak).toBeGreaterThan(0)
  expect(peak).toBeLessThan(80_000_000)

  const restored = await job.run({ action: 'action-restore-test', inputs: storage.inputs })
  expectExit(restored, 0)
  expect(restored.outputs).toMatchObject({ verdict: 'passed', 'tables-proven': '1', 'rows-proven': '100000' })
  expect((await job.finish()).orphans).toEqual([])
}, 300_000)

/** pgbench on the database `bank`; `ended` rejects if it fails, not if it was told to stop. */
function pgbench(server: TestServer, args: readonly string[]): { ended: Promise<void>; stop(): void } {
  const env = { PATH: process.env.PATH ?? '', ...actionEnvironment(), ...connectionOf(server, 'bank') }
  const child = spawn(join(server.bin, 'pgbench'), args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (text) => {
    said = `${said}${text}`.slice(-2_000)
  })
  const ended = once(child, 'close').then(([code, signal]) => {
    if (code !== 0 && signal !== 'SIGTERM') throw new Error(`pgbench ended with ${code ?? signal}: ${said}`)
  })
  ended.catch(() => undefined)
  return { ended, stop: () => child.kill('SIGTERM') }
}

async function firstRow(connectionString: string, query: string): Promise<Record<string, string | number>> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    const { rows } = await client.query<Record<string, string | number>>(query)
    return rows[0] ?? {}
  } finally {
    await client.end()
  }
}

/** Looks every 20 ms how much disk the `spool` folders below `temp` hold; `stop` tells the most that was seen, in bytes. */
function watchSpool(temp: string): { stop(): Promise<number> } {
  let peak = 0
  let stopped = false
  const look = async () => {
    const files = await readdir(temp, { recursive: true, withFileTypes: true }).catch(() => [])
    const spooled = files.filter((file) => file.isFile() && file.parentPath.includes('/spool'))
    const blocks = spooled.map(({ parentPath, name }) => stat(join(parentPath, name)).catch(() => ({ blocks: 0 })))
    const used = (await Promise.all(blocks)).reduce((sum, file) => sum + file.blocks * 512, 0)
    peak = Math.max(peak, used)
  }
  const done = (async () => {
    while (!stopped) {
      await look()
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })()
  return {
    stop: async () => {
      stopped = true
      await done
      return peak
    },
  }
}

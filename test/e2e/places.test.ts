import { chmod, chown, cp, mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { ACTIONS } from '../../scripts/lib/actions.ts'
import type { ActionResult, StepResult } from '../../scripts/lib/local-runner.ts'
import { ROOT } from '../../scripts/lib/run.ts'
import { findServerOwner, type ProcessOwner, runAs } from '../../src/postgres/commands.ts'
import { availableMajors, type TestServer } from '../support/postgres.ts'
import { onSmallDisk, openDirectory, ownedBy, withoutSudo } from './machine.ts'
import { expectRefusal } from './refusal.ts'
import { expectExit, Lab, reportOf, type TestStorage } from './support.ts'
import { startVersionProxy } from './version-proxy.ts'

const lab = new Lab()
const MAJOR = availableMajors().at(-1) ?? 0

let server: TestServer
let url: string
let storage: TestStorage

beforeAll(async () => {
  server = await lab.server(MAJOR)
  url = await server.createDatabase('app')
  await server.psql(
    'app',
    `create table big (id integer primary key, body text);
     insert into big select i, repeat(md5(i::text), 30) from generate_series(1, 20000) i;
     create table small (id integer primary key); insert into small select generate_series(1, 1000)`,
  )
  storage = await lab.storage('directory')
})
afterAll(() => lab.close())

/** Of the table `small`, at that address. */
async function countRows(address: string): Promise<string> {
  const client = new pg.Client(address)
  await client.connect()
  try {
    return (await client.query('select count(*) from public.small')).rows[0].count
  } finally {
    await client.end()
  }
}

/** The bundled actions; a copy below `place` where that user cannot get at them. */
async function actionsFor(owner: ProcessOwner, place: string): Promise<string> {
  const folder = process.env.LIFEBOAT_TEST_ACTIONS ?? ROOT
  const probe = await runAs(owner, 'test', ['-r', join(folder, 'action-dump/dist/index.js')])
  if (probe.exitCode === 0) return folder
  for (const { folder: name } of ACTIONS) await cp(join(folder, name), join(place, name), { recursive: true })
  return place
}

describe('several at once, and unusual places', () => {
  /** The ids of two sets, dumped into one storage at the same time. */
  async function dumpTwice(own: TestStorage): Promise<string[]> {
    const dump = () => lab.run('action-dump', own, { 'database-url': url })
    const dumps = await Promise.all([dump(), dump()])
    for (const result of dumps) expectExit(result, 0)
    const ids = dumps.map(({ outputs }) => outputs['backup-id'] ?? '')
    expect(await own.keys('app/heads/')).toEqual(ids.map((id) => `app/heads/${id}.json`).sort())
    return ids
  }

  test('two dumps at once both publish; two restore tests at once do not meet', async () => {
    const own = await lab.storage('s3')
    const [ids] = await Promise.all([dumpTwice(own), lab.storage('directory').then(dumpTwice)])
    const tests = await Promise.all(ids.map((backup) => lab.run('action-restore-test', own, { backup })))
    for (const result of tests) expectExit(result, 0)
    expect(tests.map(({ outputs }) => outputs['backup-id'])).toEqual(ids)
    expect(tests.map(({ outputs }) => outputs['rows-proven'])).toEqual(['21000', '21000'])
  })

  test('a RUNNER_TEMP with spaces', async () => {
    // Root's scratch server is another user's.
    const temp = join(await openDirectory(lab, 'spaces', true), "the runner's own  place")
    for (const action of ['action-dump', 'action-verify', 'action-restore-test'] as const) {
      const inputs: Record<string, string> = action === 'action-dump' ? { 'database-url': url } : {}
      const result = await lab.run(action, storage, inputs, { temp })
      expectExit(result, 0)
      if (action === 'action-restore-test') expect(result.state.cluster?.startsWith(`${temp}/temp/`)).toBe(true)
    }
  })

  test('twice in one job: the steps do not get in each other’s way', async () => {
    const own = await lab.storage('directory')
    const job = await lab.job(own)
    const run = async (action: string, inputs: Record<string, string>) => {
      const result = await job.run({ action, inputs: { ...own.inputs, ...inputs } })
      expectExit(result, 0)
      return result
    }
    const dumps = [await run('action-dump', { 'database-url': url }), await run('action-dump', { 'database-url': url })]
    const ids = dumps.map(({ outputs }) => outputs['backup-id'] ?? '')
    expect(await own.keys('app/heads/')).toEqual(ids.map((id) => `app/heads/${id}.json`).sort())
    // The first one's server lives until the end of the job, whatever the second one does.
    const tests = [
      await run('action-restore-test', { backup: ids[0] ?? '', 'keep-running': 'true' }),
      await run('action-restore-test', { backup: ids[1] ?? '' }),
    ]
    expect(tests.map(({ outputs }) => outputs['backup-id'])).toEqual(ids)
    const [kept = ''] = tests.map(({ outputs }) => outputs['database-url'])
    expect(await countRows(kept)).toBe('1000')
    const all = [...dumps, ...tests]
    for (const name of ['report', 'temp']) {
      const places = all.map(({ outputs, state }) => (name === 'report' ? outputs : state)[name])
      expect(new Set(places).size).toBe(4)
    }
    for (const [index, id] of [...ids, ...ids].entries()) {
      expect(await reportOf(all[index] as StepResult)).toMatchObject({ backupId: id, verdict: 'passed' })
    }
    const { posts, orphans } = await job.finish()
    expect(posts.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0])
    expect(orphans).toEqual([])
    await expect(countRows(kept)).rejects.toThrow(/ECONNREFUSED/)
    const left = await readdir(join(job.directory, 'temp'))
    expect(left.filter((entry) => !entry.startsWith('pg-lifeboat-report-'))).toEqual([])
  })
})

describe('a user other than root', () => {
  let owner: ProcessOwner
  let actions: string
  /** Belongs to that user. */
  let own: TestStorage

  async function runAsOwner(
    action: 'action-dump' | 'action-verify' | 'action-restore-test',
    inputs: Record<string, string>,
    { home, env = {} }: { home?: string; env?: Record<string, string> } = {},
  ): Promise<ActionResult> {
    return lab.run(action, own, inputs, { actions, env: { ...env, ...(await ownedBy(lab, owner, home)) } })
  }

  beforeAll(async () => {
    owner = (await findServerOwner()) ?? {}
    own = await lab.storage('directory')
    const root = dirname(fileURLToPath(own.url))
    await chmod(root, 0o711)
    actions = await actionsFor(owner, root)
    const { uid, gid } = owner
    if (uid !== undefined && gid !== undefined) await chown(fileURLToPath(own.url), uid, gid)
  })

  test.each([
    ['without HOME', undefined],
    ['with a HOME that does not exist', '/nonexistent'],
    ['with a HOME that it may not write to', '/'],
  ])('%s', async (_, home) => {
    const given = home === undefined ? {} : { home }
    const dumped = await runAsOwner('action-dump', { 'database-url': url }, given)
    expectExit(dumped, 0)
    const backup = dumped.outputs['backup-id'] ?? ''
    const tested = await runAsOwner('action-restore-test', { backup }, given)
    expectExit(tested, 0)
    expect([dumped, tested].map(({ post }) => post?.exitCode)).toEqual([0, 0])
    expect([dumped, tested].flatMap(({ annotations }) => annotations)).toEqual([])
  })

  test('a directory that it may read and not write to', async () => {
    const folder = fileURLToPath(own.url)
    const before = await own.keys()
    await chmod(join(folder, 'app/sets'), 0o500)
    try {
      const result = await runAsOwner('action-dump', { 'database-url': url })
      expectRefusal(result, 'failed', /app\/sets\/.*: permission denied \(EACCES\).*\n?.*Give the user .* access/)
      expect(await own.keys()).toEqual(before)
    } finally {
      await chmod(join(folder, 'app/sets'), 0o700)
    }
  })

  test('no sudo, and no tools for this server: the package is named', async () => {
    const proxy = await startVersionProxy(server, 99)
    const future = `${url.replace(`:${server.port}/`, `:${proxy.port}/`)}?sslmode=disable`
    try {
      const result = await runAsOwner('action-dump', { 'database-url': future }, { env: await withoutSudo(lab) })
      const why = /PostgreSQL 99 are not on this machine \(installing them needs root, or sudo that asks no password\)/
      expectRefusal(result, 'failed', why, /apt-get install -y postgresql-client-99/)
    } finally {
      await proxy.stop()
    }
  })

  /** Runs an action where RUNNER_TEMP has so little room, or none. */
  async function runInside(
    mebibytes: number,
    action: 'action-dump' | 'action-verify' | 'action-restore-test',
    { inputs = {}, filled = false }: { inputs?: Record<string, string>; filled?: boolean },
  ): Promise<ActionResult> {
    const temp = await lab.directory('small')
    const disk = join(temp, 'temp')
    await mkdir(disk)
    return onSmallDisk(disk, mebibytes, async () => {
      const filling = filled ? writeFile(join(disk, 'filling'), Buffer.alloc((mebibytes + 1) << 20)) : Promise.resolve()
      await filling.catch(() => undefined)
      return lab.run(action, own, inputs, { actions, temp, env: await ownedBy(lab, owner, '/') })
    })
  }

  test('a RUNNER_TEMP without the room: it is said, and nothing is said of the set', async () => {
    const from = { 'database-url': url }
    expectExit(await runAsOwner('action-dump', from), 0)
    const before = await own.keys()
    const [spool, nothing, server, none] = await Promise.all([
      runInside(4, 'action-dump', { inputs: from }),
      runInside(1, 'action-dump', { inputs: from, filled: true }),
      runInside(48, 'action-restore-test', {}),
      runInside(1, 'action-restore-test', { filled: true }),
    ])
    expectRefusal(
      spool,
      'failed',
      /pg_dump ended with exit code 1: .*No space left on device/,
      /Free disk space on the runner/,
    )
    expectRefusal(nothing, 'failed', /No space is left in RUNNER_TEMP/, /Free disk space on the runner/)
    // The last block that there is room for may be half of one that the server writes, and it says so.
    expectRefusal(server, 'unverified', /no space left|wrote only \d+ of \d+ bytes/i, /RUNNER_TEMP|larger disk/)
    expectRefusal(none, 'unverified', /No space is left in RUNNER_TEMP/)
    expect(await own.keys()).toEqual(before)
    // What needs no room is done, without its report.
    const smoke = await runInside(1, 'action-verify', { filled: true })
    expectExit(smoke, 0)
    expect(smoke.outputs).toMatchObject({ verdict: 'passed', report: '' })
    expect(smoke.log.join('\n')).toMatch(/Warning: The report could not be written: ENOSPC/)
  })
})

import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Job, type StepOptions, type StepResult, startJob } from '../../scripts/lib/local-runner.ts'
import { availableMajors, binDirectory, type TestServer } from '../support/postgres.ts'
import { type HeldProxy, startHeldProxy } from './held-proxy.ts'
import { processesOf, untilNone } from './processes.ts'
import { scanForSecrets, secretsOf } from './secrets.ts'
import { actionEnvironment, expectExit, Lab, type TestStorage } from './support.ts'

const lab = new Lab()
const MAJOR = availableMajors().at(-1) ?? 0
const MIB = 2 ** 20
/** How long what was killed without warning may take to be gone. */
const GONE_SECONDS = 10

let server: TestServer
let url: string
let storage: TestStorage
/** Everything that the jobs of this file write is below. */
let root: string

beforeAll(async () => {
  server = await lab.server(MAJOR)
  url = await server.createDatabase('app')
  // Rows of random digits: 60 MiB that stay 30 when compressed, so that an upload takes more than one part.
  await server.psql(
    'app',
    `create table big (id integer primary key, body text);
     insert into big select i, (select string_agg(md5(i::text || j), '') from generate_series(1, 32) j) from generate_series(1, 60000) i;
     create table small (id integer primary key); insert into small select generate_series(1, 1000);
     select lo_from_bytea(0, decode(repeat('00ff', 50), 'hex')) from generate_series(1, 20)`,
  )
  root = dirname(await lab.directory('first'))
  storage = await lab.storage('directory')
  expectExit(await lab.run('action-dump', storage, { 'database-url': url }), 0)
})
afterAll(() => lab.close())

/** The database's address by way of a proxy that falls silent in the middle of the big table. */
async function throughProxy<T>(bytes: number, work: (proxy: HeldProxy, inputs: Record<string, string>) => Promise<T>) {
  const proxy = await startHeldProxy(server.port, bytes)
  try {
    const inputs = { 'database-url': url.replace(`:${server.port}/`, `:${proxy.port}/`), jobs: '2' }
    return await work(proxy, inputs)
  } finally {
    await proxy.stop()
  }
}

function sessions(): Promise<string[]> {
  return server
    .psql(
      'postgres',
      `select pid || ' ' || application_name || ' ' || state from pg_stat_activity
       where application_name like 'pg-lifeboat%' or application_name like 'pg\\_dump%'`,
    )
    .then((text) => text.split('\n').filter((line) => line !== ''))
}

async function spools(): Promise<string[]> {
  const entries = await readdir(root, { recursive: true }).catch(() => [])
  return entries.filter((entry) => /(^|\/)(spool|toc\.dat)$/.test(entry))
}

async function expectNothingLeft(): Promise<void> {
  await untilNone(() => processesOf([root]), GONE_SECONDS)
  await untilNone(sessions)
  await untilNone(spools)
}

function pgDumps() {
  return processesOf([root]).then((all) => all.filter(({ command }) => /\/pg_dump /.test(command)))
}

/** Waits until there are as many as that; the leader comes first. */
async function runningPgDumps(count: number): Promise<number[]> {
  for (let turn = 0; turn < 200; turn += 1) {
    const pids = (await pgDumps()).map(({ pid }) => pid)
    if (pids.length >= count) return pids.sort((a, b) => a - b)
    await sleep(20)
  }
  throw new Error(`${count} processes of pg_dump were expected: ${JSON.stringify(await processesOf([root]))}`)
}

/** What a dump that failed must leave: what was there before, and a storage that takes the next one. */
async function expectUntouched(where: TestStorage, before: readonly string[]): Promise<void> {
  expect(await where.keys('app/heads/')).toEqual(before)
  const verified = await lab.run('action-verify', where)
  expectExit(verified, 0)
  expect(`app/heads/${verified.outputs['backup-id']}.json`).toBe(before.at(-1))
  const next = await lab.run('action-dump', where, { 'database-url': url })
  expectExit(next, 0)
  expect(await where.keys('app/heads/')).toEqual([...before, `app/heads/${next.outputs['backup-id']}.json`])
}

/** Runs a main step whose post step the caller asks for, or not: `job.finish()`. */
async function runMainStep(where: TestStorage, options: StepOptions): Promise<{ job: Job; result: StepResult }> {
  const env = { ...actionEnvironment(), ...where.env }
  const inputs = { ...where.inputs, ...options.inputs }
  const job = await startJob({ temp: await lab.directory('job'), env })
  const result = await job.run({ ...options, inputs })
  await scanForSecrets({ ...result, orphans: [] }, secretsOf(inputs, env), where.storage)
  return { job, result }
}

function expectFailed(result: StepResult, text: RegExp): void {
  const errors = result.annotations.filter(({ level }) => level === 'error').map(({ message }) => message)
  expect(errors.join('\n')).toMatch(text)
  expect(result).toMatchObject({ exitCode: 1, outputs: { verdict: 'failed', 'backup-id': '' } })
  expect(result.summary).toMatch(/no backup of .* was written; earlier backups are untouched/)
}

describe('a dump that ends in its middle', () => {
  test('cancelled: it says so, tidies up and leaves no set', async () => {
    const before = await storage.keys('app/heads/')
    await throughProxy(2 * MIB, async (proxy, inputs) => {
      const interrupt = { when: () => proxy.held, with: 'cancel' as const }
      const { job, result } = await runMainStep(storage, { action: 'action-dump', inputs, interrupt })
      expectFailed(result, /run was cancelled \(SIGINT\)/)
      expect(result.conclusion).toBe('cancelled')
      // Before the post step has done its part.
      expect(await processesOf([root])).toEqual([])
      expect(await spools()).toEqual([])
      await untilNone(sessions, 1)
      expect((await job.finish()).orphans).toEqual([])
    })
    await expectUntouched(storage, before)
  })

  test('cancelled in the middle of a multipart upload: no upload stays open', async () => {
    const s3 = await lab.storage('s3')
    const { client } = await lab.s3()
    const uploads = async () => {
      const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: s3.bucket }))
      return Uploads ?? []
    }
    expectExit(await lab.run('action-dump', s3, { 'database-url': url }), 0)
    const before = await s3.keys('app/heads/')
    await throughProxy(50 * MIB, async (proxy, inputs) => {
      const when = async () => {
        await proxy.held
        for (let turn = 0; turn < 200 && (await uploads()).length === 0; turn += 1) await sleep(20)
        expect(await uploads()).not.toEqual([])
      }
      const { job, result } = await runMainStep(s3, {
        action: 'action-dump',
        inputs,
        interrupt: { when, with: 'SIGINT' },
      })
      expectFailed(result, /run was cancelled/)
      expect(await uploads()).toEqual([])
      expect(await spools()).toEqual([])
      await job.finish()
    })
    await expectNothingLeft()
    await expectUntouched(s3, before)
  })

  test.each(['running', 'paused'])('killed while pg_dump is %s: the watchdog ends it', async (state) => {
    const before = await storage.keys('app/heads/')
    await throughProxy(2 * MIB, async (proxy, inputs) => {
      const when = async () => {
        await proxy.held
        const pids = await runningPgDumps(2)
        if (state === 'paused') for (const pid of pids) process.kill(pid, 'SIGSTOP')
      }
      const interrupt = { when, with: 'SIGKILL' as const }
      const { job, result } = await runMainStep(storage, { action: 'action-dump', inputs, interrupt })
      expect(result.signal).toBe('SIGKILL')
      await expectNothingLeft()
      expect((await job.finish()).orphans).toEqual([])
    })
    await expectUntouched(storage, before)
  })

  test.each([
    ['its first process', (pids: number[]) => pids.slice(0, 1)],
    ['one of its workers', (pids: number[]) => pids.slice(-1)],
  ])('pg_dump is killed, %s', async (_, choose) => {
    const before = await storage.keys('app/heads/')
    await throughProxy(2 * MIB, async (proxy, inputs) => {
      const running = lab.run('action-dump', storage, inputs, { timeoutSeconds: 30 })
      await proxy.held
      for (const pid of choose(await runningPgDumps(3))) process.kill(pid, 'SIGKILL')
      expectFailed(await running, /pg_dump (was ended by SIGKILL|ended with exit code 1)/)
    })
    await expectNothingLeft()
    await expectUntouched(storage, before)
  })

  test('the server ends the session that holds the snapshot', async () => {
    const before = await storage.keys('app/heads/')
    await throughProxy(2 * MIB, async (proxy, inputs) => {
      const running = lab.run('action-dump', storage, inputs, { timeoutSeconds: 30 })
      await proxy.held
      const ended = `select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'pg-lifeboat snapshot'`
      expect(await server.psql('postgres', ended)).toBe('1')
      expectFailed(await running, /connection that holds the snapshot was lost/)
    })
    await expectNothingLeft()
    await expectUntouched(storage, before)
  })

  test('pg_dump writes everything and fails at its very end', async () => {
    const before = await storage.keys('app/heads/')
    const directory = await lab.directory('tools')
    const bin = join(directory, String(MAJOR), 'bin')
    await mkdir(bin, { recursive: true })
    for (const tool of ['pg_dumpall', 'pg_restore']) await symlink(join(binDirectory(MAJOR), tool), join(bin, tool))
    const script = `#!/bin/sh\n'${join(binDirectory(MAJOR), 'pg_dump')}' "$@" || exit\n[ "$1" = --version ] && exit\necho 'pg_dump: error: a late failure' >&2\nexit 1\n`
    await writeFile(join(bin, 'pg_dump'), script)
    await chmod(join(bin, 'pg_dump'), 0o755)
    const result = await lab.run(
      'action-dump',
      storage,
      { 'database-url': url },
      { env: { LIFEBOAT_POSTGRES_DIRS: directory } },
    )
    expectFailed(result, /pg_dump ended with exit code 1: .*a late failure\n→ /)
    await expectNothingLeft()
    await expectUntouched(storage, before)
  })
})

describe('a restore test that ends in its middle', () => {
  const clusterOf = (result: StepResult) => result.state.cluster ?? ''

  test.each([
    ['the rows', /^##\[group\]Rows/, 0, {}],
    ['an assertion', /^##\[group\]Assertions/, 500, { assertions: 'slow: select pg_sleep(60) is not null' }],
    ['the command', /^command: ready/, 0, { command: 'echo ready; sleep 60' }],
  ])('cancelled in %s: the server is gone within 8 s, no evidence is written', async (_, line, delay, inputs) => {
    const evidence = await storage.keys('app/evidence/')
    const { promise: seen, resolve: see } = Promise.withResolvers<void>()
    const onLine = (text: string) => {
      if (line.test(text)) see()
    }
    let since = 0
    const when = async () => {
      await seen
      await sleep(delay)
      since = performance.now()
    }
    const interrupt = { when, with: 'cancel' as const }
    const { job, result } = await runMainStep(storage, { action: 'action-restore-test', inputs, interrupt, onLine })
    const seconds = (performance.now() - since) / 1_000
    expect(result).toMatchObject({ conclusion: 'cancelled', exitCode: 1, outputs: { verdict: 'unverified' } })
    expect(result.log.join('\n')).toMatch(/run was cancelled \(SIGINT\)/)
    expect(seconds).toBeLessThan(8)
    expect(existsSync(clusterOf(result))).toBe(false)
    expect(await processesOf([root, clusterOf(result)])).toEqual([])
    expect((await job.finish()).orphans).toEqual([])
    expect(await storage.keys('app/evidence/')).toEqual(evidence)
  })

  test('killed: its guard ends the server without a post step', async () => {
    const interrupt = { when: /^##\[group\]Rows/, with: 'SIGKILL' as const }
    const { job, result } = await runMainStep(storage, { action: 'action-restore-test', interrupt })
    expect(result.signal).toBe('SIGKILL')
    expect(clusterOf(result)).toMatch(/pg-lifeboat-scratch-/)
    await untilNone(() => processesOf([root, clusterOf(result)]), GONE_SECONDS)
    await untilNone(async () => (existsSync(clusterOf(result)) ? [clusterOf(result)] : []))
    expect((await job.finish()).orphans).toEqual([])
    expectExit(await lab.run('action-restore-test', storage), 0)
  })
})

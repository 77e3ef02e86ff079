import { existsSync } from 'node:fs'
import { readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import type { StepOptions } from '../../scripts/lib/local-runner.ts'
import { startIntermediary } from '../storage/loopback.ts'
import { availableMajors } from '../support/postgres.ts'
import { until } from '../until.ts'
import { FaultBench } from './fault-bench.ts'
import { startGateProxy } from './gate-proxy.ts'
import { killedAt, openDirectory, withTools } from './machine.ts'
import { processesOf, untilNone } from './processes.ts'
import { expectExit, Lab, type TestStorage } from './support.ts'

/** SIGKILL, which nobody can do anything about, in every stage; while pg_dump runs: faults.test.ts. */
const lab = new Lab()
const MAJOR = availableMajors().at(-1) ?? 0
/** How long what is left may take to be gone. */
const GONE_SECONDS = 10

let bench: FaultBench
/** Holds a set whose restore never ends: on any server but its own, making its index takes for ever. */
let endless: TestStorage

beforeAll(async () => {
  bench = await FaultBench.make(lab, MAJOR, 8_000)
  const url = await bench.server.createDatabase('endless')
  await bench.server.psql(
    'endless',
    `create table small (id integer primary key); insert into small select generate_series(1, 10);
     create function same(value integer) returns integer immutable language plpgsql as
       $$ begin if current_setting('port') <> '${bench.server.port}' then perform pg_sleep(600); end if; return value; end $$;
     create index on small (same(id))`,
  )
  endless = await lab.storage('directory')
  expectExit(await lab.run('action-dump', endless, { 'database-url': url }), 0)
}, 300_000)
afterAll(() => lab.close())

const KILL = 'SIGKILL' as const

describe('a dump that is killed', () => {
  const STAGES = ['Connect', 'Client tools', 'Preflight', 'Locks and snapshot', 'Dump, seal and store', 'Publish']
  const orphans = async () => {
    const [sets, heads] = [await bench.storage.storage.folders('app/sets/'), await bench.heads()]
    return sets.filter((id) => !heads.includes(`app/heads/${id}.json`))
  }

  /** Runs a dump that is killed; nothing of it runs on, and its post step leaves nothing. The log by then. */
  async function kill(options: Partial<StepOptions>): Promise<string[]> {
    const job = await bench.job()
    const result = await job.run({ action: 'action-dump', inputs: { 'database-url': bench.url }, ...options })
    expect(result.signal).toBe('SIGKILL')
    await untilNone(() => processesOf([job.directory]), GONE_SECONDS)
    const { posts, orphans: left } = await job.finish()
    expect([posts.map(({ exitCode }) => exitCode), left]).toEqual([[0], []])
    expect(await readdir(join(job.directory, 'temp'))).toEqual([])
    return result.log
  }

  /** Kills a dump while the server answers pg_dumpall: its session must not live on either. */
  async function killInPgDumpAll(): Promise<void> {
    const proxy = await startGateProxy(bench.server.port)
    const gate = proxy.hold('is_current_user', 'answer')
    try {
      const inputs = { 'database-url': bench.url.replace(`:${bench.server.port}/`, `:${proxy.port}/`) }
      const when = async () => {
        await gate.reached
        expect(await bench.sessions()).toContainEqual(expect.stringContaining('pg_dumpall'))
      }
      await kill({ inputs, interrupt: { when, with: KILL } })
      await untilNone(async () => (await bench.sessions()).filter((session) => session.includes('pg_dumpall')))
    } finally {
      await proxy.stop()
    }
  }

  test('at the beginning of each stage: no head, nothing runs on, and the next dump sweeps what is left', async () => {
    const before = await bench.heads()
    const stages = STAGES.map(async (stage) => {
      const log = await kill({ env: await killedAt(lab, stage) })
      expect(log.at(-1)).toMatch(new RegExp(`^##\\[group\\]${stage}`))
    })
    await Promise.all([...stages, killInPgDumpAll()])
    await untilNone(bench.sessions)
    expect(await bench.heads()).toEqual(before)
    // At `Publish` all was stored but what makes it a set, in pg_dumpall all but the roles.
    const halves = await orphans()
    expect(halves).toHaveLength(2)
    const sets = join(fileURLToPath(bench.storage.url), 'app/sets')
    for (const half of halves) await rename(join(sets, half), join(sets, half.replace(/^\d{8}/, '20260101')))
    await bench.expectUntouched(before)
    expect(await orphans()).toEqual([])
  })

  test('while it waits for a lock: its session does not wait on', async () => {
    const holder = new pg.Client(bench.url)
    await holder.connect()
    try {
      await holder.query('begin; lock table big in access exclusive mode')
      const waits = async () =>
        (await bench.sessions()).some((session) => /pg-lifeboat snapshot active Lock/.test(session))
      const job = await bench.job()
      const inputs = { 'database-url': bench.url, 'lock-wait-timeout': '10m' }
      const interrupt = { when: () => until(waits), with: KILL }
      expect((await job.run({ action: 'action-dump', inputs, interrupt })).signal).toBe('SIGKILL')
      await bench.expectNothingLeft(job.directory)
      await job.finish()
    } finally {
      await holder.end()
    }
  })

  test('between manifest and head', async () => {
    const s3 = await lab.storage('s3')
    expectExit(await lab.run('action-dump', s3, { 'database-url': bench.url }), 0)
    const before = await s3.keys('app/heads/')
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
    const { promise: over, resolve: end } = Promise.withResolvers<void>()
    const gate = await startIntermediary((await lab.s3()).endpoint, ({ method, path }) => {
      if (method !== 'PUT' || !path.includes('/manifest.json')) return undefined
      reach()
      // It arrives, and the answer does not: the head is not written.
      return { until: over }
    })
    try {
      const job = await bench.job(s3)
      const inputs = { 'database-url': bench.url, 's3-endpoint': gate.endpoint }
      const result = await job.run({
        action: 'action-dump',
        inputs,
        interrupt: { when: () => reached, with: KILL },
      })
      expect(result.signal).toBe('SIGKILL')
      await bench.expectNothingLeft(job.directory)
      await job.finish()
    } finally {
      end()
      await gate.stop()
    }
    await bench.expectUntouched(before, s3)
  })
})

describe('a restore test that is killed', () => {
  interface Kill {
    where?: TestStorage
    options?: Partial<StepOptions>
    /** Kills the run as soon as a process of it has this in its command line. */
    at?: string
    /** There is nothing of a cluster yet. */
    early?: boolean
  }

  async function kill({ where = bench.storage, options, at, early = false }: Kill): Promise<void> {
    const job = await bench.job(where)
    const reached = async () => (await processesOf([job.directory])).some(({ command }) => command.includes(at ?? ''))
    const interrupt = { when: () => until(reached), with: KILL }
    const result = await job.run({
      action: 'action-restore-test',
      ...options,
      ...(at === undefined ? {} : { interrupt }),
    })
    expect(result.signal).toBe('SIGKILL')
    const { cluster } = result.state
    expect(cluster ?? 'none').toMatch(early ? 'none' : /pg-lifeboat-scratch-/)
    const marks = [job.directory, ...(cluster === undefined ? [] : [cluster])]
    await untilNone(() => processesOf(marks), GONE_SECONDS)
    await untilNone(async () => marks.slice(1).filter(existsSync))
    expect((await job.finish()).orphans).toEqual([])
  }

  async function killAt(stage: string): Promise<void> {
    await kill({ options: { env: await killedAt(lab, stage) }, early: /^(Choose|Server|Scratch)/.test(stage) })
  }

  /** Kills a run as soon as that program is at work, which does not come to an end. */
  async function killIn(program: string, argument: string): Promise<void> {
    const mark = join(await openDirectory(lab, 'mark', true), 'running')
    const script = `case "$*" in *${argument}*) : > '${mark}'; exec sleep 600 ;; esac\nexec "$real" "$@"`
    const env = await withTools(lab, MAJOR, { [program]: script })
    await kill({ options: { env, interrupt: { when: () => until(() => existsSync(mark)), with: KILL } } })
  }

  async function killInCommand(): Promise<void> {
    const interrupt = { when: /^command: ready/, with: KILL }
    await kill({ options: { inputs: { command: 'sleep 600 & echo ready; exec sleep 600' }, interrupt } })
  }

  test('at the beginning of each stage: nothing runs on, and there is no evidence', async () => {
    const STAGES = ['Choose', 'Server and tools', 'Scratch server', 'Database and roles', 'Sequences', 'Rows']
    STAGES.push('Statistics', 'Proof', 'Assertions')
    await Promise.all(STAGES.map(killAt))
  })

  test('while its cluster is made, in its schema, its indexes and the command: nothing of them runs on', async () => {
    const schema = killIn('pg_restore', '--section=pre-data')
    const indexes = kill({ where: endless, at: '--section=post-data' })
    await Promise.all([killIn('initdb', '--username=postgres'), schema, indexes, killInCommand()])
  })

  test('after all that there is no evidence of any of them', async () => {
    for (const { keys } of [bench.storage, endless]) {
      expect((await keys()).filter((key) => key.includes('/evidence/'))).toEqual([])
    }
  })
})

import { existsSync } from 'node:fs'
import { readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import type { StepOptions } from '../../scripts/lib/local-runner.ts'
import { startIntermediary } from '../storage/loopback.ts'
import { availableMajors } from '../support/postgres.ts'
import { until } from '../until.ts'
import { FaultBench } from './fault-bench.ts'
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

describe('a dump that is killed', () => {
  const STAGES = ['Connect', 'Client tools', 'Preflight', 'Locks and snapshot', 'Dump, seal and store', 'Publish']
  const orphans = async () => {
    const [sets, heads] = [await bench.storage.storage.folders('app/sets/'), await bench.heads()]
    return sets.filter((id) => !heads.includes(`app/heads/${id}.json`))
  }

  test('at the beginning of each stage: no head, nothing runs on, and the next dump sweeps what is left', async () => {
    const before = await bench.heads()
    const runs = STAGES.map(async (stage) => {
      const job = await bench.job()
      const env = await killedAt(lab, stage)
      const result = await job.run({ action: 'action-dump', inputs: { 'database-url': bench.url }, env })
      expect(result.signal).toBe('SIGKILL')
      expect(result.log.at(-1)).toMatch(new RegExp(`^##\\[group\\]${stage}`))
      await untilNone(() => processesOf([job.directory]), GONE_SECONDS)
      const { posts, orphans: left } = await job.finish()
      expect([posts.map(({ exitCode }) => exitCode), left]).toEqual([[0], []])
      expect(await readdir(join(job.directory, 'temp'))).toEqual([])
    })
    await Promise.all(runs)
    await untilNone(bench.sessions)
    expect(await bench.heads()).toEqual(before)
    // Everything was stored but what makes it a set.
    const [half = '', ...others] = await orphans()
    expect(others).toEqual([])
    const sets = join(fileURLToPath(bench.storage.url), 'app/sets')
    await rename(join(sets, half), join(sets, half.replace(/^\d{8}/, '20260101')))
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
      const interrupt = { when: () => until(waits), with: 'SIGKILL' as const }
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
        interrupt: { when: () => reached, with: 'SIGKILL' },
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
    where: TestStorage
    options?: Partial<StepOptions>
    /** Kills the run as soon as a process of it has this in its command line. */
    at?: string
    /** Lets what is held go; until then, and without a post step, it stays. */
    release?: () => Promise<void>
  }

  async function kill({ where, options, at, release }: Kill): Promise<void> {
    const evidence = (await where.keys()).filter((key) => key.includes('/evidence/'))
    const job = await bench.job(where)
    const reached = async () => (await processesOf([job.directory])).some(({ command }) => command.includes(at ?? ''))
    const interrupt = { when: () => until(reached), with: 'SIGKILL' as const }
    const result = await job.run({
      action: 'action-restore-test',
      ...options,
      ...(at === undefined ? {} : { interrupt }),
    })
    expect(result.signal).toBe('SIGKILL')
    const { cluster = '' } = result.state
    expect(cluster).toMatch(/pg-lifeboat-scratch-/)
    await release?.()
    await untilNone(() => processesOf([job.directory, cluster]), GONE_SECONDS)
    if (release === undefined) await untilNone(async () => (existsSync(cluster) ? [cluster] : []))
    expect((await job.finish()).orphans).toEqual([])
    expect(existsSync(cluster)).toBe(false)
    expect((await where.keys()).filter((key) => key.includes('/evidence/'))).toEqual(evidence)
  }

  /** Kills a run as soon as that program is at work, which does not come to an end. */
  async function killedIn(program: string, argument: string): Promise<Kill & { release(): Promise<void> }> {
    const mark = join(await openDirectory(lab, 'mark', true), 'running')
    const wait = `: > '${mark}'; while [ -e '${mark}' ]; do sleep 0.1; done; exit 1`
    const script = `case "$*" in *${argument}*) ${wait} ;; esac\nexec "$real" "$@"`
    const env = await withTools(lab, MAJOR, { [program]: script })
    const interrupt = { when: () => until(() => existsSync(mark)), with: 'SIGKILL' as const }
    return { where: bench.storage, options: { env, interrupt }, release: () => rm(mark) }
  }

  test('while its cluster is made: the post step removes what there is of it', async () => {
    await kill(await killedIn('initdb', '--username=postgres'))
  })

  test('in its schema, in its indexes, at its rows and its proof: the server and pg_restore are gone', async () => {
    const { where, options } = await killedIn('pg_restore', '--section=pre-data')
    await Promise.all([
      kill({ where, ...(options === undefined ? {} : { options }) }),
      kill({ where: endless, at: '--section=post-data' }),
      kill({ where, options: { env: await killedAt(lab, 'Rows') } }),
      kill({ where, options: { env: await killedAt(lab, 'Proof') } }),
    ])
  })
})

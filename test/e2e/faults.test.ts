import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ListMultipartUploadsCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { StepResult } from '../../scripts/lib/local-runner.ts'
import { sweepLeftOvers } from '../../src/backup-set/sweep.ts'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import { availableMajors } from '../support/postgres.ts'
import { startClock, until } from '../until.ts'
import { expectFailed, FaultBench, MIB, spools } from './fault-bench.ts'
import { withTools } from './machine.ts'
import { processesOf, untilNone } from './processes.ts'
import { expectExit, Lab } from './support.ts'

const lab = new Lab()
const MAJORS = availableMajors()
const NEWEST = MAJORS.at(-1) ?? 0

/** One for each major, the newest last: what pg_dump does when it ends differs. */
let benches: FaultBench[]
/** On the newest major, with so much in it that an upload takes more than one part. */
let large: FaultBench

beforeAll(async () => {
  benches = await Promise.all(MAJORS.map((major) => FaultBench.make(lab, major, major === NEWEST ? 60_000 : 8_000)))
  large = benches.at(-1) as FaultBench
}, 300_000)
afterAll(() => lab.close())

/** The same on all majors at once: most of it is waiting. The storage has the sets that it had. */
async function onEach(work: (bench: FaultBench) => Promise<void>): Promise<void> {
  const attempts = benches.map(async (bench) => {
    const before = await bench.heads()
    await work(bench)
    expect(await bench.heads()).toEqual(before)
  })
  // A failure must not let the others' processes live on into the next test.
  await Promise.allSettled(attempts)
  await Promise.all(attempts)
}

describe('a dump that ends in its middle, on every major', () => {
  test('cancelled: it says so, tidies up and leaves no set', async () => {
    await onEach((bench) =>
      bench.throughProxy(async (proxy, inputs) => {
        const job = await bench.job()
        const interrupt = { when: () => proxy.held, with: 'cancel' as const }
        const result = await job.run({ action: 'action-dump', inputs, interrupt })
        expectFailed(result, /run was cancelled \(SIGINT\)/)
        expect(result.conclusion).toBe('cancelled')
        // Before the post step has done its part.
        expect(await processesOf([job.directory])).toEqual([])
        expect(await spools(job.directory)).toEqual([])
        await untilNone(bench.sessions)
        expect((await job.finish()).orphans).toEqual([])
      }),
    )
  })

  test.each(['running', 'paused'])('killed while pg_dump is %s: the watchdog ends it', async (state) => {
    await onEach((bench) =>
      bench.throughProxy(async (proxy, inputs) => {
        const job = await bench.job()
        const when = async () => {
          await proxy.held
          const pids = await bench.runningPgDumps(job.directory, 2)
          if (state === 'paused') for (const pid of pids) process.kill(pid, 'SIGSTOP')
        }
        const result = await job.run({ action: 'action-dump', inputs, interrupt: { when, with: 'SIGKILL' } })
        expect(result.signal).toBe('SIGKILL')
        await bench.expectNothingLeft(job.directory)
        expect((await job.finish()).orphans).toEqual([])
      }),
    )
  })

  test.each([
    ['its first process', (pids: number[]) => pids.slice(0, 1)],
    ['one of its workers', (pids: number[]) => pids.slice(-1)],
  ])('pg_dump is killed, %s', async (_, choose) => {
    await onEach((bench) =>
      bench.throughProxy(async (proxy, inputs) => {
        const job = await bench.job()
        const running = job.run({ action: 'action-dump', inputs })
        await proxy.held
        for (const pid of choose(await bench.runningPgDumps(job.directory, 3))) process.kill(pid, 'SIGKILL')
        expectFailed(await running, /pg_dump (was ended by SIGKILL|ended with exit code 1)/)
        await bench.expectNothingLeft(job.directory)
        await job.finish()
      }),
    )
  })

  test('the server ends the session that holds the snapshot', async () => {
    await onEach((bench) =>
      bench.throughProxy(async (proxy, inputs) => {
        const job = await bench.job()
        const running = job.run({ action: 'action-dump', inputs })
        await proxy.held
        const ended = `select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'pg-lifeboat snapshot'`
        expect(await bench.server.psql('postgres', ended)).toBe('1')
        expectFailed(await running, /connection that holds the snapshot was lost/)
        await bench.expectNothingLeft(job.directory)
        await job.finish()
      }),
    )
  })

  test('pg_dump writes everything and fails at its very end', async () => {
    await onEach(async (bench) => {
      const script = `"$real" "$@" || exit\n[ "$1" = --version ] && exit\necho 'pg_dump: error: a late failure' >&2\nexit 1`
      const env = await withTools(lab, bench.server.major, { pg_dump: script })
      const job = await bench.job()
      const result = await job.run({ action: 'action-dump', inputs: { 'database-url': bench.url }, env })
      expectFailed(result, /pg_dump ended with exit code 1: .*a late failure\n→ /)
      await bench.expectNothingLeft(job.directory)
      await job.finish()
    })
  })

  test('after all that the earlier set is the latest, and the storage takes the next dump', async () => {
    await Promise.all(benches.map(async (bench) => bench.expectUntouched(await bench.heads())))
  })
})

test('in the middle of a multipart upload: cancelled it leaves none open, killed it leaves what is swept a week later', async () => {
  const s3 = await lab.storage('s3')
  const { client } = await lab.s3()
  const uploads = async () => {
    const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: s3.bucket }))
    return Uploads ?? []
  }
  const versions = async () => {
    const { Versions = [], DeleteMarkers = [] } = await client.send(
      new ListObjectVersionsCommand({ Bucket: s3.bucket }),
    )
    return [...Versions, ...DeleteMarkers].map(({ Key, VersionId }) => `${Key} ${VersionId}`)
  }
  expectExit(await lab.run('action-dump', s3, { 'database-url': large.url }), 0)
  const before = { heads: await s3.keys('app/heads/'), versions: await versions() }
  const interrupted = (signal: 'SIGINT' | 'SIGKILL') =>
    large.throughProxy(async (proxy, inputs) => {
      const job = await large.job(s3)
      const when = async () => {
        await proxy.held
        await until(async () => (await uploads()).length > 0)
      }
      const result = await job.run({ action: 'action-dump', inputs, interrupt: { when, with: signal } })
      await large.expectNothingLeft(job.directory)
      await job.finish()
      return result
    }, 50 * MIB)
  expectFailed(await interrupted('SIGINT'), /run was cancelled/)
  expect(await uploads()).toEqual([])
  expect((await interrupted('SIGKILL')).signal).toBe('SIGKILL')
  expect(await uploads()).not.toEqual([])
  const nextWeek = { ...systemClock, now: () => new Date(Date.now() + 8 * 86_400_000) }
  expect(await sweepLeftOvers(s3.storage, 'app', nextWeek, memoryLog())).toEqual([])
  expect(await uploads()).toEqual([])
  expect(await versions()).toEqual(before.versions)
  await large.expectUntouched(before.heads, s3)
})

describe('a restore test that ends in its middle', () => {
  const clusterOf = (result: StepResult) => result.state.cluster ?? ''

  test.each([
    ['the rows', /^##\[group\]Rows/, 0, {}],
    ['an assertion', /^##\[group\]Assertions/, 500, { assertions: 'slow: select pg_sleep(60) is not null' }],
    ['the command', /^command: ready/, 0, { command: 'echo ready; sleep 60' }],
  ])('cancelled in %s: the server is gone within 8 s, no evidence is written', async (_, line, delay, inputs) => {
    const evidence = await large.storage.keys('app/evidence/')
    const { promise: seen, resolve: see } = Promise.withResolvers<void>()
    const onLine = (text: string) => {
      if (line.test(text)) see()
    }
    let clock = startClock()
    const when = async () => {
      await seen
      await sleep(delay)
      clock = startClock()
    }
    const interrupt = { when, with: 'cancel' as const }
    const job = await large.job()
    const result = await job.run({ action: 'action-restore-test', inputs, interrupt, onLine })
    const seconds = clock.seconds()
    expect(result).toMatchObject({ conclusion: 'cancelled', exitCode: 1, outputs: { verdict: 'unverified' } })
    expect(result.log.join('\n')).toMatch(/run was cancelled \(SIGINT\)/)
    expect(seconds).toBeLessThan(8)
    expect(existsSync(clusterOf(result))).toBe(false)
    expect(await processesOf([job.directory, clusterOf(result)])).toEqual([])
    expect((await job.finish()).orphans).toEqual([])
    expect(await large.storage.keys('app/evidence/')).toEqual(evidence)
  })
})

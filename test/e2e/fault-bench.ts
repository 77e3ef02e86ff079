import { readdir } from 'node:fs/promises'
import { expect } from '@jest/globals'
import type { Job, StepOptions, StepResult } from '../../scripts/lib/local-runner.ts'
import type { TestServer } from '../support/postgres.ts'
import { until } from '../until.ts'
import { type HeldProxy, startHeldProxy } from './held-proxy.ts'
import { processesOf, untilNone } from './processes.ts'
import { expectExit, type Lab, type TestStorage } from './support.ts'

export const MIB = 2 ** 20
/** How long what was killed without warning may take to be gone. */
const GONE_SECONDS = 10

/** A database of one big and one small table, a storage that holds one set of it, and how runs on them are judged. */
export class FaultBench {
  readonly server: TestServer
  readonly url: string
  readonly storage: TestStorage
  readonly #lab: Lab

  private constructor(lab: Lab, facts: Pick<FaultBench, 'server' | 'url' | 'storage'>) {
    this.#lab = lab
    this.server = facts.server
    this.url = facts.url
    this.storage = facts.storage
  }

  /** The big table's rows are random digits: so many KiB each, half of that when compressed. */
  static async make(lab: Lab, major: number, rows: number): Promise<FaultBench> {
    const server = await lab.server(major)
    const url = await server.createDatabase('app')
    await server.psql(
      'app',
      `create table big (id integer primary key, body text);
       insert into big select i, (select string_agg(md5(i::text || j), '') from generate_series(1, 32) j) from generate_series(1, ${rows}) i;
       create table small (id integer primary key); insert into small select generate_series(1, 1000);
       select lo_from_bytea(0, decode(repeat('00ff', 50), 'hex')) from generate_series(1, 20)`,
    )
    const bench = new FaultBench(lab, { server, url, storage: await lab.storage('directory') })
    expectExit(await lab.run('action-dump', bench.storage, { 'database-url': url }), 0)
    return bench
  }

  heads(): Promise<string[]> {
    return this.storage.keys('app/heads/')
  }

  /** The database's address by way of a proxy that falls silent in the middle of the big table. */
  async throughProxy<T>(
    work: (proxy: HeldProxy, inputs: Record<string, string>) => Promise<T>,
    bytes = 2 * MIB,
  ): Promise<T> {
    const { port } = this.server
    const proxy = await startHeldProxy(port, bytes)
    try {
      return await work(proxy, { 'database-url': this.url.replace(`:${port}/`, `:${proxy.port}/`), jobs: '2' })
    } finally {
      await proxy.stop()
    }
  }

  /** Sessions of a dump on the server, whatever they do. */
  sessions = async (): Promise<string[]> => {
    const text = await this.server.psql(
      'postgres',
      `select pid || ' ' || application_name || ' ' || state || ' ' || coalesce(wait_event_type, '') from pg_stat_activity
       where application_name like 'pg-lifeboat%' or application_name like 'pg\\_dump%'`,
    )
    return text.split('\n').filter((line) => line !== '')
  }

  /** Of a job, by its directory: no process of it is left within its time, no session, nothing of what it spooled. */
  async expectNothingLeft(directory: string): Promise<void> {
    await untilNone(() => processesOf([directory]), GONE_SECONDS)
    await untilNone(this.sessions)
    await untilNone(() => spools(directory))
  }

  /** The processes of pg_dump of a job, by its directory, once there are so many; the leader comes first. */
  async runningPgDumps(directory: string, count: number): Promise<number[]> {
    let pids: number[] = []
    await until(async () => {
      const all = await processesOf([directory])
      pids = all.filter(({ command }) => /\/pg_dump /.test(command)).map(({ pid }) => pid)
      return pids.length >= count
    })
    return pids.sort((a, b) => a - b)
  }

  /** What a dump that failed must leave: what was there before, and a storage that takes the next one. */
  async expectUntouched(before: readonly string[], where = this.storage): Promise<void> {
    expect(await where.keys('app/heads/')).toEqual(before)
    const verified = await this.#lab.run('action-verify', where)
    expectExit(verified, 0)
    expect(`app/heads/${verified.outputs['backup-id']}.json`).toBe(before.at(-1))
    // What was there before is looked for again later.
    const inputs = { 'database-url': this.url, retention: 'off' }
    const next = await this.#lab.run('action-dump', where, inputs)
    expectExit(next, 0)
    expect(await where.keys('app/heads/')).toEqual([...before, `app/heads/${next.outputs['backup-id']}.json`])
  }

  /** A job on that storage. Its post steps run with `finish()`, or not at all. */
  async job(where = this.storage): Promise<Job & { directory: string }> {
    const job = await this.#lab.job(where)
    const run = (options: StepOptions) => job.run({ ...options, inputs: { ...where.inputs, ...options.inputs } })
    return { ...job, run }
  }
}

/** What a dump leaves below RUNNER_TEMP while it runs. */
export async function spools(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true }).catch(() => [])
  return entries.filter((entry) => /(^|\/)(spool|toc\.dat)$/.test(entry))
}

/** A dump that said what went wrong, and that nothing was written. */
export function expectFailed(result: StepResult, text: RegExp): void {
  const errors = result.annotations.filter(({ level }) => level === 'error').map(({ message }) => message)
  expect(errors.join('\n')).toMatch(text)
  expect(result).toMatchObject({ exitCode: 1, outputs: { verdict: 'failed', 'backup-id': '' } })
  expect(result.summary).toMatch(/no backup of .* was written; earlier backups are untouched/)
}

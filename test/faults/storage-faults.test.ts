import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { ActionResult } from '../../scripts/lib/local-runner.ts'
import { processesOf, untilNone } from '../e2e/processes.ts'
import { expectRefusal } from '../e2e/refusal.ts'
import { expectExit, Lab, type RunOptions, type TestStorage } from '../e2e/support.ts'
import { availableMajors, type TestServer } from '../support/postgres.ts'
import { CASES, type Case } from './cases.ts'
import { startFaultProxy } from './fault-proxy.ts'

/** The bundled actions before a storage in trouble: they come through, or they end clearly and leave nothing half done. */
const lab = new Lab()
const run = promisify(execFile)
/** A run that gives up has done so within this time from when the trouble began: 26 s of waiting, and what it takes to end. */
const LONGEST_SECONDS = 60
/** Runs at once; those that do little but wait are not counted. */
const LANES = 3

/** A set, object by object: every case begins with one in a bucket of its own. */
type Seed = [key: string, bytes: Buffer][]

let server: TestServer
let url: string
/** What a dump finds: from before the big table had its rows. */
let earlier: Seed
/** What is restored. */
let whole: Seed
let root: string

async function prepare(): Promise<void> {
  server = await lab.server(availableMajors().at(-1) ?? 0)
  url = await server.createDatabase('app')
  await server.psql(
    'app',
    `create table big (id integer primary key, body text);
     create table small (id integer primary key); insert into small select generate_series(1, 1000);
     create table empty (id integer); create sequence numbers start 42`,
  )
  root = dirname(await lab.directory('first'))
  earlier = await dumpSeed()
  // Rows of random digits: 18 MiB that stay 9 when compressed, so that an upload takes two parts.
  await server.psql(
    'app',
    `insert into big select i, (select string_agg(md5(i::text || j), '') from generate_series(1, 32) j)
     from generate_series(1, 18500) i`,
  )
  whole = await dumpSeed()
}

async function dumpSeed(): Promise<Seed> {
  const storage = await lab.storage('directory')
  expectExit(await lab.run('action-dump', storage, { 'database-url': url }), 0)
  const keys = await storage.keys()
  return Promise.all(keys.map(async (key) => [key, await storage.storage.read(key)] as Seed[number]))
}

async function seeded({ action, bucket = {} }: Case): Promise<TestStorage> {
  const storage = await lab.storage('s3', bucket)
  for (const [key, bytes] of action === 'action-dump' ? earlier : whole) await storage.storage.put(key, bytes)
  return storage
}

/** A process that runs `code` before all else. */
async function preloading(code: string): Promise<RunOptions> {
  const file = join(await lab.directory('preload'), 'preload.mjs')
  await writeFile(file, code)
  return { env: { NODE_OPTIONS: `--import=${file}` } }
}

/** A process whose clock is so many hours fast. */
function wrongClock(hoursFast: number): Promise<RunOptions> {
  return preloading(
    `const Real = Date
     const now = () => Real.now() + ${hoursFast * 3_600_000}
     globalThis.Date = class extends Real {
       constructor(...args) { super(...(args.length === 0 ? [now()] : args)) }
       static now() { return now() }
     }`,
  )
}

/** A process whose pauses between attempts are as short as they can be, and so the same in every run. */
function leastPauses(): Promise<RunOptions> {
  return preloading('Math.random = () => 0')
}

const INPUTS: Record<Case['action'], () => Record<string, string>> = {
  'action-dump': () => ({ 'database-url': url }),
  'action-verify': () => ({ mode: 'integrity' }),
  'action-restore-test': () => ({}),
}

async function runCase(each: Case): Promise<void> {
  const s3 = await lab.s3()
  const storage = await seeded(each)
  const before = { heads: await storage.keys('app/heads/'), evidence: await storage.keys('app/evidence/') }
  const proxy = await startFaultProxy(s3.endpoint, each)
  try {
    const inputs = { 's3-endpoint': proxy.endpoint, ...INPUTS[each.action]() }
    const options = each.hoursFast ? await wrongClock(each.hoursFast) : each.waits ? await leastPauses() : {}
    const result = await lab.run(each.action, storage, inputs, { timeoutSeconds: 240, ...options })
    const ended = performance.now()
    if (each.ends) expect(ended - (proxy.strikes[0] ?? 0)).toBeLessThan(LONGEST_SECONDS * 1_000)
    const judge = each.ends ? expectClearEnd : expectSuccess
    await judge(each, result, storage, before)
    expect(proxy.strikes.length).toBeGreaterThanOrEqual(each.strikes)
    if (each.tells) expect(result.log.join('\n')).toMatch(each.tells)
    if (each.slow) expect(result.seconds).toBeGreaterThan(8)
  } finally {
    await proxy.stop()
  }
}

interface Before {
  heads: string[]
  evidence: string[]
}

async function expectSuccess({ action }: Case, result: ActionResult, storage: TestStorage, before: Before) {
  expectExit(result, 0)
  expect(result.outputs.verdict).toBe('passed')
  expect(result.annotations).toEqual([])
  if (action !== 'action-dump') {
    expect(result.outputs).toMatchObject(action === 'action-verify' ? { state: 'intact' } : { 'rows-proven': '19500' })
    expect(await storage.keys('app/evidence/')).toHaveLength(before.evidence.length + 1)
  } else {
    const { 'backup-id': id = '' } = result.outputs
    expect(await storage.keys('app/heads/')).toEqual([...before.heads, `app/heads/${id}.json`])
    const verified = await lab.run('action-verify', storage, { mode: 'integrity' })
    expectExit(verified, 0)
    expect(verified.outputs).toMatchObject({ verdict: 'passed', 'backup-id': id })
    expect(await openUploads(storage)).toEqual([])
  }
}

async function expectClearEnd(
  { action, ends, cutOff }: Case,
  result: ActionResult,
  storage: TestStorage,
  before: Before,
) {
  expectRefusal(result, action === 'action-dump' ? 'failed' : 'unverified')
  const errors = result.annotations.filter(({ level }) => level === 'error').map(({ message }) => message)
  // Each check that could not be carried out says why.
  const told = action === 'action-verify' ? [...new Set(errors)] : errors
  expect(told).toEqual([expect.stringMatching(ends ?? /./)])
  expect(await storage.keys('app/heads/')).toEqual(before.heads)
  expect(await storage.keys('app/evidence/')).toEqual(before.evidence)
  if (!cutOff) expect(await openUploads(storage)).toEqual([])
  if (action === 'action-dump') await expectLatest(storage, before.heads)
}

async function expectLatest(storage: TestStorage, heads: string[]): Promise<void> {
  const verified = await lab.run('action-verify', storage)
  expectExit(verified, 0)
  expect(`app/heads/${verified.outputs['backup-id']}.json`).toBe(heads.at(-1))
}

async function openUploads({ bucket }: TestStorage): Promise<unknown[]> {
  const { client } = await lab.s3()
  return (await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads ?? []
}

async function fillDisk(): Promise<void> {
  const storage = await lab.storage('directory')
  const directory = fileURLToPath(storage.url)
  const root = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const as = async (...command: string[]) => {
    const [program = '', ...args] = [...root, ...command]
    await run(program, args)
  }
  // Room for the earlier set, not for another one.
  const options = `size=8m,mode=0700,uid=${process.getuid?.() ?? 0},gid=${process.getgid?.() ?? 0}`
  await as('mount', '-t', 'tmpfs', '-o', options, 'tmpfs', directory)
  try {
    for (const [key, bytes] of earlier) await storage.storage.put(key, bytes)
    const heads = await storage.keys('app/heads/')
    const result = await lab.run('action-dump', storage, { 'database-url': url })
    expectRefusal(
      result,
      'failed',
      /no space is left \(ENOSPC\)/,
      /Free space there, or point `?storage`? at a larger disk/,
    )
    expect(result.annotations.filter(({ level }) => level === 'error')).toHaveLength(1)
    expect(await storage.keys('app/heads/')).toEqual(heads)
    expect(await storage.storage.abortUploads('', new Date(Date.now() + 60_000))).toBe(0)
    await expectLatest(storage, heads)
  } finally {
    await as('umount', directory)
  }
}

let runs: Map<string, Promise<void>>
const label = ({ action, name }: Case) => `${action}: the service ${name}`

beforeAll(async () => {
  await prepare()
  const working = CASES.filter(({ waits }) => !waits)
  const lanes = Array.from({ length: LANES }, () => Promise.resolve())
  runs = new Map(CASES.filter(({ waits }) => waits).map((each) => [label(each), runCase(each)]))
  working.forEach((each, index) => {
    const lane = index % LANES
    const run = (lanes[lane] ?? Promise.resolve()).then(() => runCase(each))
    lanes[lane] = run.catch(() => undefined)
    runs.set(label(each), run)
  })
  // Each is awaited by its own test.
  for (const run of runs.values()) run.catch(() => undefined)
}, 240_000)

afterAll(async () => {
  await Promise.allSettled(runs?.values() ?? [])
  await lab.close()
}, 300_000)

test.each(CASES.map((each) => [label(each)]))('%s', async (name) => await runs.get(name), 300_000)

test('action-dump: the disk that holds the directory is full', fillDisk, 240_000)

test('nothing is left of all these runs', async () => {
  await untilNone(() => processesOf([root]), 60)
  const sessions = `select pid from pg_stat_activity where application_name like 'pg-lifeboat%' or application_name like 'pg\\_dump%'`
  await untilNone(async () => (await server.psql('postgres', sessions)).match(/\d+/g) ?? [], 60)
})

import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { ActionResult } from '../../scripts/lib/local-runner.ts'
import { processesOf, untilNone } from '../e2e/processes.ts'
import { expectRefusal } from '../e2e/refusal.ts'
import { expectExit, Lab, type RunOptions, type TestStorage } from '../e2e/support.ts'
import type { Fault, SeenRequest } from '../storage/loopback.ts'
import type { TestServer } from '../support/postgres.ts'
import type { BucketOptions } from '../support/s3-service.ts'
import { type FaultProxy, startFaultProxy, type Trouble } from './fault-proxy.ts'

/** The bundled actions before a storage in trouble: they come through, or they end clearly and leave nothing half done. */
const lab = new Lab()
const run = promisify(execFile)
const MIB = 2 ** 20
/** However a run ends, it ends within this time. */
const LONGEST_SECONDS = 60
/** Runs at once; those that do little but wait are not counted. */
const LANES = 3

type Action = 'action-dump' | 'action-restore-test'

let server: TestServer
let url: string
/** The earlier set, object by object: every case begins with it in a bucket of its own. */
let seed: [key: string, bytes: Buffer][]
let root: string

async function prepare(): Promise<void> {
  server = await lab.server(17)
  url = await server.createDatabase('app')
  // Rows of random digits: 18 MiB that stay 9 when compressed, so that an upload takes two parts.
  await server.psql(
    'app',
    `create table big (id integer primary key, body text);
     insert into big select i, (select string_agg(md5(i::text || j), '') from generate_series(1, 32) j) from generate_series(1, 18500) i;
     create table small (id integer primary key); insert into small select generate_series(1, 1000);
     create table empty (id integer); create sequence numbers start 42`,
  )
  root = dirname(await lab.directory('first'))
  const storage = await lab.storage('s3')
  expectExit(await lab.run('action-dump', storage, { 'database-url': url }), 0)
  const keys = await storage.keys()
  seed = await Promise.all(keys.map(async (key) => [key, await storage.storage.read(key)] as [string, Buffer]))
}

async function seeded(options: BucketOptions = {}): Promise<TestStorage> {
  const storage = await lab.storage('s3', options)
  for (const [key, bytes] of seed) await storage.storage.put(key, bytes)
  return storage
}

interface Case extends Trouble {
  name: string
  action: Action
  /** What the run ends with; without it, it comes through. */
  ends?: RegExp
  /** At least so many strikes, or the case has tested nothing. */
  strikes: number
  /** The service cannot be told to drop what was begun. */
  cutOff?: boolean
  bucket?: BucketOptions
  options?: () => Promise<RunOptions>
  /** Connections are accepted once so many were refused. */
  acceptAfter?: number
  /** What the log then tells of. */
  tells?: RegExp
  /** It waits more than it works. */
  waits?: boolean
}

const errorXml = (code: string) => `<Error><Code>${code}</Code><Message>Injected: ${code}</Message></Error>`
const answer = (status: number, code: string): Fault => ({ answer: status, body: errorXml(code) })

/** Each fault is done to the first request that its pattern (`METHOD path`) matches. */
function once(...faults: [RegExp, Fault | ((proxy: FaultProxy) => Fault | undefined)][]) {
  const left = [...faults]
  return (request: SeenRequest, proxy: FaultProxy) => {
    const index = left.findIndex(([pattern]) => pattern.test(`${request.method} ${request.path}`))
    const [found] = index < 0 ? [] : left.splice(index, 1)
    return typeof found?.[1] === 'function' ? found[1](proxy) : found?.[1]
  }
}

/** From the first request on that the pattern matches, all get that answer; with `only`, those alone that match. */
function from(pattern: RegExp, fault: Fault, only = false) {
  let begun = false
  return ({ method, path }: SeenRequest) => {
    const matches = pattern.test(`${method} ${path}`)
    begun ||= matches
    return (only ? matches : begun) ? fault : undefined
  }
}

/** Three of eight requests are refused, one after the other. */
function bursts() {
  let count = 0
  return () => {
    count += 1
    if (count % 8 < 3 || count % 8 > 5) return undefined
    return count % 2 === 0 ? answer(503, 'SlowDown') : answer(500, 'InternalError')
  }
}

const goesAway = (milliseconds?: number) => (proxy: FaultProxy) => {
  proxy.refuse()
  if (milliseconds !== undefined) void sleep(milliseconds).then(() => proxy.accept())
  return undefined
}

/** A process whose clock is an hour fast. */
async function fastClock(): Promise<RunOptions> {
  const file = join(await lab.directory('clock'), 'clock.mjs')
  await writeFile(
    file,
    `const Real = Date
     const now = () => Real.now() + 3_600_000
     globalThis.Date = class extends Real {
       constructor(...args) { super(...(args.length === 0 ? [now()] : args)) }
       static now() { return now() }
     }`,
  )
  return { env: { NODE_OPTIONS: `--import=${file}` } }
}

const PART = /^PUT .*partNumber=2/
const COMPLETE = /^POST .*uploadId=/
const HEAD = /^PUT .*\/heads\//
const DATA = /^GET .*\/database\/\d+\.dat/

const UNREACHABLE =
  /^http:\/\/127\.0\.0\.1:\d+ could not be reached \((ECONNREFUSED|ECONNRESET)\)\..*\n?→ Check `s3-endpoint`/
const UNAVAILABLE = /after several attempts \(HTTP 50[03], (SlowDown|InternalError)\)\.\n→ The service is in trouble/
const EXPIRED = /^The session token was refused \(ExpiredToken\)\.\n→ Log in again shortly before this step/
const SKEWED = /^The runner's clock is off: S3 refused the time\.\n→ Set the clock of the runner/

const CASES: Case[] = [
  ...(['action-dump', 'action-restore-test'] as const).flatMap((action): Case[] => {
    const midway = action === 'action-dump' ? PART : DATA
    return [
      {
        name: 'refuses for good in the middle',
        action,
        fault: once([midway, goesAway()]),
        ends: UNREACHABLE,
        strikes: 1,
        cutOff: true,
        waits: true,
      },
      {
        name: 'answers 503 for good',
        action,
        fault: from(midway, answer(503, 'SlowDown'), true),
        ends: UNAVAILABLE,
        strikes: 8,
        waits: true,
      },
      {
        name: 'refuses at first, and for 2 s in the middle',
        action,
        refusing: true,
        acceptAfter: 2,
        fault: once([midway, goesAway(2_000)]),
        strikes: 2,
      },
      { name: 'is slow', action, slow: { latency: 20, bytesPerSecond: 1e6 }, strikes: 0, waits: true },
      { name: 'answers with bursts of 500 and 503', action, fault: bursts(), strikes: 3, waits: true },
      {
        name: 'resets connections',
        action,
        cut: { way: action === 'action-dump' ? 'up' : 'down', bytes: MIB, times: 4 },
        strikes: 4,
      },
      { name: 'refuses from the beginning', action, refusing: true, ends: UNREACHABLE, strikes: 1, cutOff: true },
      {
        name: 'lets the session expire in the middle',
        action,
        fault: from(midway, answer(403, 'ExpiredToken')),
        ends: EXPIRED,
        strikes: 1,
        cutOff: true,
      },
      { name: 'refuses the time', action, fault: () => answer(403, 'RequestTimeTooSkewed'), ends: SKEWED, strikes: 1 },
      {
        name: 'meets a clock that is an hour fast',
        action,
        options: fastClock,
        tells: /RequestTimeTooSkewed; trying again/,
        strikes: 0,
      },
    ]
  }),
  {
    name: 'answers 500 to the head for good',
    action: 'action-dump',
    fault: from(HEAD, answer(500, 'InternalError'), true),
    ends: UNAVAILABLE,
    strikes: 8,
    waits: true,
  },
  {
    name: 'loses the answers to what it did: a part, the end of an upload, manifest and head',
    action: 'action-dump',
    bucket: { versioning: true },
    fault: once(
      [PART, { swallow: true }],
      [COMPLETE, { swallow: true }],
      [/^PUT .*\/manifest\.json/, { swallow: true }],
      [HEAD, { swallow: true }],
    ),
    strikes: 4,
  },
  {
    name: 'loses the answer to the evidence',
    action: 'action-restore-test',
    fault: once([/^PUT .*\/evidence\//, { swallow: true }]),
    strikes: 1,
  },
]

async function runCase(each: Case): Promise<void> {
  const s3 = await lab.s3()
  const storage = await seeded(each.bucket)
  const before = { heads: await storage.keys('app/heads/'), evidence: await storage.keys('app/evidence/') }
  const proxy = await startFaultProxy(s3.endpoint, each)
  let refused = 0
  const onLine = (line: string) => {
    if (!/ECONNREFUSED; trying again/.test(line)) return
    refused += 1
    if (refused === each.acceptAfter) void proxy.accept()
  }
  try {
    const inputs = { 's3-endpoint': proxy.endpoint, ...(each.action === 'action-dump' ? { 'database-url': url } : {}) }
    const options = await each.options?.()
    const result = await lab.run(each.action, storage, inputs, { onLine, timeoutSeconds: 90, ...options })
    const judge = each.ends ? expectClearEnd : expectSuccess
    await judge(each, result, storage, before)
    expect(proxy.strikes()).toBeGreaterThanOrEqual(each.strikes)
    if (each.tells) expect(result.log.join('\n')).toMatch(each.tells)
    if (each.slow) expect(result.seconds).toBeGreaterThan(8)
    if (each.acceptAfter) expect(refused).toBeGreaterThanOrEqual(each.acceptAfter)
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
  if (action === 'action-restore-test') {
    expect(result.outputs['rows-proven']).toBe('19500')
    expect(await storage.keys('app/evidence/')).toHaveLength(before.evidence.length + 1)
  } else {
    const { 'backup-id': id = '' } = result.outputs
    expect(await storage.keys('app/heads/')).toEqual([...before.heads, `app/heads/${id}.json`])
    const verified = await lab.run('action-verify', storage, { mode: 'integrity' })
    expectExit(verified, 0)
    expect(verified.outputs).toMatchObject({ verdict: 'passed', 'backup-id': id })
    expect(await openUploads(storage)).toEqual([])
  }
  expect(result.seconds).toBeLessThan(LONGEST_SECONDS)
}

async function expectClearEnd(
  { action, ends, cutOff }: Case,
  result: ActionResult,
  storage: TestStorage,
  before: Before,
) {
  expectRefusal(result, action === 'action-dump' ? 'failed' : 'unverified')
  const errors = result.annotations.filter(({ level }) => level === 'error').map(({ message }) => message)
  expect(errors).toEqual([expect.stringMatching(ends ?? /./)])
  expect(await storage.keys('app/heads/')).toEqual(before.heads)
  expect(await storage.keys('app/evidence/')).toEqual(before.evidence)
  if (!cutOff) expect(await openUploads(storage)).toEqual([])
  if (action === 'action-dump') await expectLatest(storage, before.heads)
  expect(result.seconds).toBeLessThan(LONGEST_SECONDS)
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
  const options = `size=14m,mode=0700,uid=${process.getuid?.() ?? 0},gid=${process.getgid?.() ?? 0}`
  await as('mount', '-t', 'tmpfs', '-o', options, 'tmpfs', directory)
  try {
    for (const [key, bytes] of seed) await storage.storage.put(key, bytes)
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
}, 60_000)

afterAll(async () => {
  await Promise.allSettled(runs?.values() ?? [])
  await lab.close()
}, 120_000)

test.each(CASES.map((each) => [label(each)]))('%s', async (name) => await runs.get(name), 150_000)

test('action-dump: the disk that holds the directory is full', fillDisk)

test('nothing is left of all these runs', async () => {
  await untilNone(() => processesOf([root]))
  const sessions = `select pid from pg_stat_activity where application_name like 'pg-lifeboat%' or application_name like 'pg\\_dump%'`
  expect(await server.psql('postgres', sessions)).toBe('')
})

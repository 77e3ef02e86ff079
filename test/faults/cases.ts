import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault, SeenRequest } from '../storage/loopback.ts'
import type { BucketOptions } from '../support/s3-service.ts'
import type { FaultProxy, Trouble } from './fault-proxy.ts'

const MIB = 2 ** 20

/** One run of a bundled action on a storage in trouble. */
export interface Case extends Trouble {
  name: string
  action: 'action-dump' | 'action-verify' | 'action-restore-test'
  /** What the run ends with; without it, it comes through. */
  ends?: RegExp
  /** At least so many strikes, or the case has tested nothing. */
  strikes: number
  /** The service cannot be told to drop what was begun. */
  cutOff?: boolean
  bucket?: BucketOptions
  /** By so many hours the clock of the process that runs the action is fast. */
  hoursFast?: number
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

const PART = /^PUT .*partNumber=2/
const COMPLETE = /^POST .*uploadId=/
const HEAD = /^PUT .*\/heads\//
const DATA = /^GET .*\/database\/\d+\.dat/

const UNREACHABLE =
  /^http:\/\/127\.0\.0\.1:\d+ could not be reached \((ECONNREFUSED|ECONNRESET)\)\..*\n?→ Check `s3-endpoint`/
const UNAVAILABLE = /after several attempts \(HTTP 50[03], (SlowDown|InternalError)\)\.\n→ The service is in trouble/
const EXPIRED = /^The session token was refused \(ExpiredToken\)\.\n→ Log in again shortly before this step/
const SKEWED = /^The runner's clock is off: S3 refused the time\.\n→ Set the clock of the runner/

export const CASES: Case[] = [
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
        name: 'resets its first connections, and refuses for 2 s in the middle',
        action,
        resetting: 2,
        fault: once([midway, goesAway(2_000)]),
        tells: /(ECONNRESET|EPIPE); trying again/,
        strikes: 3,
      },
      { name: 'is slow', action, slow: { latency: 20, bytesPerSecond: 1e6 }, strikes: 0 },
      { name: 'answers with bursts of 500 and 503', action, fault: bursts(), strikes: 3 },
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
    ]
  }),
  ...[1, -1].map((hoursFast): Case => {
    const name = `meets a clock that is an hour ${hoursFast > 0 ? 'fast' : 'slow'}`
    return { name, action: 'action-dump', hoursFast, tells: /RequestTimeTooSkewed; trying again/, strikes: 0 }
  }),
  {
    name: 'resets its first connections, and refuses for 2 s in the middle',
    action: 'action-verify',
    resetting: 2,
    fault: once([DATA, goesAway(2_000)]),
    tells: /(ECONNRESET|EPIPE); trying again/,
    strikes: 3,
  },
  { name: 'answers with bursts of 500 and 503', action: 'action-verify', fault: bursts(), strikes: 3 },
  { name: 'resets connections', action: 'action-verify', cut: { way: 'down', bytes: MIB, times: 4 }, strikes: 4 },
  {
    name: 'lets the session expire in the middle',
    action: 'action-verify',
    fault: from(DATA, answer(403, 'ExpiredToken')),
    ends: EXPIRED,
    strikes: 1,
  },
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

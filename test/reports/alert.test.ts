import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { jobOutcome, type KnownAlert, outcomesOf, planAlert } from '../../src/reports/alert.ts'
import {
  EMPTY_LEDGER,
  type FailingCheck,
  type Ledger,
  type Outcome,
  type RunFacts,
  readLedger,
  record,
  writeLedger,
} from '../../src/reports/alert-ledger.ts'
import {
  type AlertSubject,
  alertBody,
  alertMarker,
  alertTitle,
  changeComment,
  isAlertOf,
  recoveryComment,
} from '../../src/reports/alert-page.ts'
import type { DumpReport, Report } from '../../src/reports/report.ts'
import { comparedVerify, failedDump, failedVerify, passedDump, sealedVerify, slicedVerify } from './examples.ts'

const NOON = Date.UTC(2026, 10, 22, 12)
const HOUR = 3_600_000
const DAY = 24 * HOUR
const SHOP: AlertSubject = { kind: 'database', database: 'shop' }

function runAt(hours: number): RunFacts {
  const url = `https://github.com/your-org/shop/actions/runs/${1_000 + hours}`
  return { at: new Date(NOON + hours * HOUR), url, storage: 's3://my-backups/postgres' }
}

function outcome(key: string, status: Outcome['status'] = 'failed'): Outcome {
  return { key, title: `About ${key}`, status, message: status === 'passed' ? '' : `${key} is wrong` }
}

const failed = (...keys: string[]) => keys.map((key) => outcome(key))
const passed = (...keys: string[]) => keys.map((key) => outcome(key, 'passed'))

/** The issue after a plan, as the next run finds it. */
function after(known: KnownAlert | undefined, outcomes: Outcome[], hours: number) {
  const plan = planAlert(known, outcomes, runAt(hours))
  const { at } = runAt(hours)
  if (plan.step === 'nothing') return { plan, known }
  const ledger = readLedger(alertBody(SHOP, plan.ledger, runAt(hours)))
  const next: KnownAlert = plan.step === 'close' ? { state: 'closed', closedAt: at, ledger } : { state: 'open', ledger }
  return { plan, known: next }
}

test('a run that was narrowed neither clears the failure of a whole one, nor is cleared by another share', () => {
  const keys = (report: Report) => outcomesOf(report).map(({ key }) => key)
  expect(keys(slicedVerify)).toEqual(['verify/integrity-run/3of7', 'verify/parts/3of7', 'verify/digests/3of7'])
  expect(keys(comparedVerify)[0]).toBe('verify/database-run/tables')
  const known = after(undefined, failed('verify/rows', 'verify/rows/3of7'), 0).known
  const { plan } = after(known, passed('verify/rows/3of7', 'verify/rows/tables'), 1)
  expect(plan).toMatchObject({ step: 'update', ledger: { checks: [{ key: 'verify/rows' }] } })
})

test('a report is an outcome a check, and one for the run itself', () => {
  const keys = (outcomes: Outcome[]) => outcomes.map(({ key, status }) => `${key} ${status}`)
  expect(keys(outcomesOf(passedDump))).toContain('dump/run passed')
  const blocked = sealedVerify.checks.filter(({ status }) => status === 'not run').map(({ id }) => `verify/${id}`)
  expect(blocked).not.toEqual([])
  expect(outcomesOf(sealedVerify).map(({ key }) => key)).not.toEqual(expect.arrayContaining(blocked))
  expect(keys(outcomesOf(failedVerify))).toContain('verify/run passed')

  const error = { code: 'unreadable', message: 'The role cannot read 2 objects', remedy: 'Run the statements.' }
  const findings = [{ severity: 'failure' as const, message: 'table a: no', remedy: 'GRANT SELECT ON a TO b' }]
  const broken: DumpReport = { ...failedDump, checks: [], findings, error }
  expect(outcomesOf(broken)).toEqual([
    {
      key: 'dump/run',
      title: 'The dump gets through',
      status: 'failed',
      code: 'unreadable',
      message: 'The role cannot read 2 objects; first of all: table a: no',
      remedy: 'Run the statements; first of all: GRANT SELECT ON a TO b',
    },
  ])
  // What a partial dump or a quick look comes to says nothing of the others.
  expect(outcomesOf({ ...broken, partial: 'some tables' })).toMatchObject([{ key: 'dump/partial-run' }])
  expect(keys(outcomesOf({ ...failedVerify, mode: 'integrity' }))).toContain('verify/integrity-run passed')
  expect(jobOutcome({ ...broken, partial: 'some tables' })).toMatchObject({ key: 'dump/run', status: 'failed' })
  const unexplained: DumpReport = { ...broken, error: undefined, verdict: 'unverified' }
  expect(outcomesOf(unexplained)).toMatchObject([{ key: 'dump/run', status: 'unverified', message: 'table a: no' }])
})

test('opened for the first failure, changed with each, closed after the last', () => {
  expect(planAlert(undefined, passed('dump/run'), runAt(0))).toEqual({ step: 'nothing' })
  const first = after(undefined, failed('dump/run'), 0)
  expect(first.plan).toMatchObject({ step: 'open', ledger: { checks: [{ key: 'dump/run', runs: 1 }] } })
  const second = after(first.known, failed('dump/run'), 24)
  expect(second.plan).toMatchObject({
    step: 'update',
    ledger: { checks: [{ runs: 2, since: runAt(0).at.toISOString(), last: runAt(24).at.toISOString() }] },
  })
  expect(second.plan).not.toHaveProperty('comment')
  const third = after(second.known, [...passed('verify/parts'), ...failed('verify/backup-age')], 30)
  expect(third.plan).toMatchObject({ step: 'update', comment: { added: ['verify/backup-age'], recovered: [] } })
  // What did not look at it clears nothing.
  expect(planAlert(third.known, passed('verify/parts', 'restore-test/rto'), runAt(31))).toEqual({ step: 'nothing' })
  const fourth = after(third.known, passed('dump/run'), 48)
  expect(fourth.plan).toMatchObject({ step: 'update', ledger: { checks: [{ key: 'verify/backup-age' }] } })
  const fifth = after(fourth.known, passed('verify/backup-age', 'verify/parts'), 60)
  expect(fifth.plan).toMatchObject({ step: 'close', ledger: { checks: [] } })
  expect(planAlert(fifth.known, passed('dump/run'), runAt(61))).toEqual({ step: 'nothing' })
})

test('at most one comment a day, and what changed in the meantime is told by the next', () => {
  const opened = after(undefined, failed('dump/run'), 0)
  const told = after(opened.known, failed('verify/rows'), 1)
  expect(told.plan).toMatchObject({ comment: { added: ['verify/rows'], recovered: [], remaining: ['dump/run'] } })
  const silent = after(told.known, [...passed('dump/run'), ...failed('verify/parts')], 2)
  expect(silent.plan).not.toHaveProperty('comment')
  const later = after(silent.known, failed('verify/rows'), 26)
  expect(later.plan).toMatchObject({
    comment: { added: ['verify/parts'], recovered: ['dump/run'], remaining: ['verify/rows'] },
  })
  const closed = after(later.known, passed('verify/rows', 'verify/parts'), 27)
  expect(closed.plan).toMatchObject({ step: 'close' })
  expect(closed.plan).not.toHaveProperty('comment')
})

test('opened again within two weeks, anew later; by hand everything is taken off the list', () => {
  const opened = after(undefined, failed('dump/run', 'verify/rows'), 0)
  const byHand: KnownAlert = { state: 'closed', closedAt: runAt(1).at, ledger: opened.known?.ledger }
  const again = planAlert(byHand, failed('dump/run'), runAt(24))
  // What nobody checks any more does not come back; what does has been failing since then.
  expect(again).toMatchObject({ step: 'reopen', ledger: { checks: [{ key: 'dump/run', runs: 2 }] }, comment: {} })
  expect(planAlert(byHand, failed('dump/run'), runAt(13 * 24))).toMatchObject({ step: 'reopen' })
  expect(planAlert(byHand, failed('dump/run'), runAt(16 * 24))).toMatchObject({ step: 'open' })
  expect(planAlert(byHand, passed('dump/run'), runAt(2))).toEqual({ step: 'nothing' })
})

test('an issue whose state somebody has edited away is written anew, and never closed', () => {
  const edited: KnownAlert = { state: 'open', ledger: readLedger('something else') }
  expect(edited.ledger).toBeUndefined()
  expect(planAlert(edited, passed('dump/run'), runAt(0))).toEqual({ step: 'nothing' })
  expect(planAlert(edited, failed('dump/run'), runAt(0))).toMatchObject({ step: 'update', ledger: { checks: [{}] } })
  const emptied: KnownAlert = { state: 'open', ledger: EMPTY_LEDGER }
  expect(planAlert(emptied, passed('dump/run'), runAt(0))).toEqual({ step: 'nothing' })
})

const hostile = fc.string({
  unit: fc.constantFrom(
    ...'`|<>\n\r\\@#*_[]()&$~!:/.- aZ09é"\'\t\u0007\u2028💥',
    '-->',
    '<!--',
    '@octocat',
    '#12',
    'GH-7',
  ),
  maxLength: 900,
})
const time = fc.integer({ min: 0, max: 400 * DAY }).map((milliseconds) => new Date(NOON - milliseconds).toISOString())
const key = fc.stringMatching(/^(dump|verify|restore-test)\/[a-z][a-z-]{0,12}$/)
const check: fc.Arbitrary<FailingCheck> = fc.record(
  {
    key,
    title: hostile,
    status: fc.constantFrom('failed', 'unverified'),
    message: hostile,
    remedy: hostile,
    code: fc.constantFrom('stalled', 'storage-full', 'bogus'),
    since: time,
    runs: fc.integer({ min: 1, max: 500 }),
    last: time,
    run: fc.oneof(hostile, fc.constant('https://github.com/your-org/shop/actions/runs/1234/attempts/2')),
  },
  { requiredKeys: ['key', 'title', 'status', 'message', 'since', 'runs', 'last'] },
)
const outcomes: fc.Arbitrary<Outcome[]> = fc.uniqueArray(check, { maxLength: 60, selector: ({ key }) => key })
const subject: fc.Arbitrary<AlertSubject> = fc.oneof(
  fc.record({ kind: fc.constant('database' as const), database: fc.oneof(fc.constant('shop'), hostile) }),
  fc.record({ kind: fc.constant('job' as const), workflow: hostile, job: hostile }),
)

test('whatever the texts are: the body fits, calls nobody, holds its mark, and is read back', () => {
  fc.assert(
    fc.property(subject, outcomes, fc.nat(40), hostile, (about, found, copies, text) => {
      // Long lists, too.
      const many = found.flatMap((one) => [one, { ...one, key: `${one.key}-${copies}` }])
      const facts = { endpoint: text, workflow: { kind: 'dump' as const, file: text } }
      const ledger = record(EMPTY_LEDGER, many, { ...runAt(0), ...facts })
      const body = alertBody(about, ledger, runAt(0))
      expect(body.length).toBeLessThanOrEqual(65_536)
      expect(isAlertOf(about, body)).toBe(true)
      expect(isAlertOf({ kind: 'database', database: 'another' }, body)).toBe(false)
      const read = readLedger(body)
      expect(read?.checks.map(({ key }) => key)).toEqual(
        ledger.checks.map(({ key }) => key).slice(0, read?.checks.length),
      )
      if (many.length <= 8) expect(read?.checks).toHaveLength(ledger.checks.length)

      const comments = body.match(/<!--.*?-->/gs) ?? []
      expect(comments).toHaveLength(2)
      const told = [{ added: ledger.told, recovered: many.map((one) => one.key), remaining: [] }]
      const texts = [
        body,
        ...told.map((change) => changeComment(change, ledger, runAt(0))),
        recoveryComment(ledger.checks, runAt(1)),
      ]
      for (const text of texts) {
        const seen = text.replaceAll(/<!--.*?-->/gs, '').replaceAll(/`[^`]*`/g, '')
        expect(seen.replaceAll(/<\/?code>/g, '')).not.toMatch(/[<>]/)
        expect(seen.replaceAll('&#64;', '@')).not.toMatch(/(^|[^A-Za-z0-9])@[A-Za-z0-9]/)
        expect(seen.replaceAll('&#35;', '#').replaceAll('&#8203;', '\u200b')).not.toMatch(/(^|\s)#\d|\bGH-\d/)
      }
      for (const comment of comments) expect(comment).not.toMatch(/@|#|--(?!>$)(?!\s?pg)/)
      expect(alertTitle(about, ledger, runAt(24 * 400)).length).toBeLessThanOrEqual(256)
    }),
    { numRuns: 60 },
  )
})

test('the workflows of dump and restore test and the place of the backups are kept as the last run had them', () => {
  const minio = { ...runAt(0), storage: 's3://a', endpoint: 'https://s3.example.org' }
  const first = record(EMPTY_LEDGER, failed('dump/run'), { ...minio, workflow: { kind: 'dump', file: 'old.yml' } })
  expect(first).toMatchObject({ endpoint: 'https://s3.example.org', workflows: { dump: 'old.yml' } })
  const early = record(first, failed('verify/run'), { ...runAt(1), storage: '' })
  expect(early).toMatchObject({ storage: 's3://a', endpoint: 'https://s3.example.org', workflows: { dump: 'old.yml' } })
  const drill = { ...minio, workflow: { kind: 'restore-test' as const, file: 'drill.yml' } }
  const both = record(early, failed('restore-test/rpo'), drill)
  expect(both.workflows).toEqual({ dump: 'old.yml', 'restore-test': 'drill.yml' })
  const moved = record(both, failed('dump/run'), { ...runAt(2), workflow: { kind: 'dump', file: 'new.yml' } })
  expect(moved.workflows).toEqual({ dump: 'new.yml', 'restore-test': 'drill.yml' })
  expect(moved.storage).toBe('s3://my-backups/postgres')
  expect(moved.endpoint).toBeUndefined()
  const body = alertBody(SHOP, both, runAt(1))
  expect(body).toContain('`gh workflow run drill.yml`')
  expect(readLedger(body)).toEqual(both)
})

test('a ledger of before workflows and endpoints were kept is read', () => {
  const old = { checks: [], told: ['dump/run'], storage: 's3://my-backups/postgres' }
  expect(readLedger(`<!-- pg-lifeboat state: ${JSON.stringify(old)} -->`)).toEqual(old)
})

test('the ledger survives its comment, whatever is in it', () => {
  fc.assert(
    fc.property(outcomes, hostile, fc.constantFrom('dump' as const, 'restore-test' as const), (found, text, kind) => {
      const facts = { ...runAt(0), storage: text, endpoint: text, workflow: { kind, file: text } }
      const ledger = record(EMPTY_LEDGER, found, facts)
      expect(writeLedger(ledger)).not.toMatch(/@|#|--(?!>$)(?!\s?pg)/)
      expect(readLedger(`before ${writeLedger(ledger)} after`)).toEqual(JSON.parse(JSON.stringify(ledger)))
    }),
    { numRuns: 60 },
  )
  for (const text of ['', '{}', '{"checks":[],"told":["a"]}', '{"checks":[{"key":"x"}],"told":[]}', 'null', '[']) {
    expect(readLedger(`<!-- pg-lifeboat state: ${text} -->`)).toBeUndefined()
  }
})

test('the marks of different subjects differ', () => {
  fc.assert(
    fc.property(subject, subject, (one, other) => {
      const same = JSON.stringify(one) === JSON.stringify(other)
      expect(alertMarker(one) === alertMarker(other)).toBe(same)
      expect(alertMarker(one)).toMatch(/^<!-- [^\n]* -->$/)
      expect(alertMarker(one).slice(4, -3)).not.toMatch(/--|[<>]/)
    }),
  )
})

test('the issue reads as it was agreed on', () => {
  const dump: Outcome = {
    key: 'dump/run',
    title: 'The dump gets through',
    status: 'failed',
    code: 'wrong-password',
    message: 'db.example.org:5432: password authentication failed for user "backup"',
    remedy: 'Correct the password in database-url; percent-encode its special characters (@ is %40).',
  }
  const age: Outcome = {
    key: 'verify/backup-age',
    title: 'The newest backup is fresh',
    status: 'failed',
    message: 'The newest whole backup is 2 d 4 h old, more than 1 d 6 h',
    remedy: 'Look at the last runs of the dump workflow; start it by hand.',
  }
  const rows: Outcome = {
    key: 'verify/rows',
    title: 'The rows are those that were dumped',
    status: 'unverified',
    message: 'Access denied: cannot read s3://my-backups/postgres: shop/sets/a/database/3438.dat.000000.zst',
    remedy: 'Allow s3:GetObject on arn:aws:s3:::my-backups/postgres/* for these credentials.',
  }
  const workflow = { kind: 'dump' as const, file: 'nightly-dump.yml' }
  const first = record(EMPTY_LEDGER, [dump], { ...runAt(0), workflow })
  const ledger: Ledger = { ...record(first, [dump, age, rows], runAt(52)), told: ['dump/run'] }
  const text = [
    alertTitle(SHOP, ledger, runAt(52)),
    alertTitle(SHOP, ledger, runAt(52 + 14 * 24)),
    alertBody(SHOP, ledger, runAt(52)),
    changeComment({ added: ['verify/rows'], recovered: ['verify/parts'], remaining: ['dump/run'] }, ledger, runAt(52)),
    recoveryComment(ledger.checks, runAt(60)),
    alertBody({ kind: 'job', workflow: 'Nightly dump', job: 'dump' }, EMPTY_LEDGER, runAt(60)),
  ].join('\n\n=====\n\n')
  const file = new URL('golden/alert.md.golden', import.meta.url)
  if (process.env.LIFEBOAT_UPDATE_GOLDEN === '1') writeFileSync(file, text)
  expect(text).toBe(readFileSync(file, 'utf8'))
})

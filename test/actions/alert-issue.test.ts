import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { AlertIssue, type AlertOptions } from '../../src/actions/alert-issue.ts'
import { isWanted, workflowOf } from '../../src/actions/tell.ts'
import { LifeboatError } from '../../src/base/errors.ts'
import { type Outcome, readLedger } from '../../src/reports/alert-ledger.ts'
import { type AlertSubject, isAlertOf } from '../../src/reports/alert-page.ts'
import { MemoryTracker } from './memory-tracker.ts'

const NOON = Date.UTC(2026, 10, 22, 12)
const LABEL = 'pg-lifeboat'
const SUBJECTS: AlertSubject[] = [
  { kind: 'database', database: 'shop' },
  { kind: 'database', database: 'shop-2' },
  { kind: 'job', workflow: 'Nightly dump', job: 'dump' },
]
const [SHOP] = SUBJECTS as [AlertSubject]

function outcomesOf(failing: readonly string[], passing: readonly string[] = []): Outcome[] {
  const outcome = (key: string, status: Outcome['status']) => ({ key, title: key, status, message: `of ${key}` })
  return [...failing.map((key) => outcome(key, 'failed')), ...passing.map((key) => outcome(key, 'passed'))]
}

/** One run, as `tell.ts` does it. */
async function run(
  tracker: MemoryTracker,
  subject: AlertSubject,
  outcomes: Outcome[],
  more: Partial<AlertOptions> = {},
) {
  const { now } = tracker
  const facts = { at: now, url: 'https://github.com/o/r/actions/runs/7', storage: 's3://bucket/prefix' }
  const redact = <T>(value: T) => value
  const alert = new AlertIssue(subject, { tracker, run: facts, labels: [], assignees: [], redact, ...more })
  const done = await alert.bringUpToDate(outcomes, await tracker.list(LABEL, 'open'))
  return { done, warnings: alert.warnings.map(({ message }) => message) }
}

function openOf(tracker: MemoryTracker, subject: AlertSubject) {
  return tracker.open().filter(({ body, isTrusted }) => isTrusted && isAlertOf(subject, body))
}

const KEYS = ['dump/run', 'verify/backup-age', 'verify/parts', 'restore-test/tables']
const statuses = fc.array(fc.constantFrom('failed', 'passed', 'not run'), { minLength: 4, maxLength: 4 })
const outcomes = statuses.map((each) =>
  outcomesOf(
    KEYS.filter((_, index) => each[index] === 'failed'),
    KEYS.filter((_, index) => each[index] === 'passed'),
  ),
)
const event = fc.oneof(
  { weight: 6, arbitrary: fc.record({ subject: fc.nat(2), runs: fc.array(outcomes, { minLength: 1, maxLength: 3 }) }) },
  { weight: 1, arbitrary: fc.constantFrom('close', 'reopen', 'edit', 'imitate' as const) },
)
const hours = fc.integer({ min: 1, max: 24 * 20 })

/** What people do to the newest issue. */
function intervene(tracker: MemoryTracker, what: string): void {
  const issue = tracker.issues.at(-1)
  if (issue === undefined) return
  if (what === 'close') Object.assign(issue, { state: 'closed', closedAt: tracker.now })
  // Of what the machine closed as a double nobody makes a second alert.
  if (what === 'reopen' && tracker.open().length === 0 && !issue.isDuplicate) Object.assign(issue, { state: 'open' })
  if (what === 'edit') issue.body = issue.body.replace('pg-lifeboat state', 'nothing')
  if (what === 'imitate')
    tracker.issues.push({ ...issue, number: tracker.issues.length + 1, isTrusted: false, comments: [] })
}

test('whatever runs, and people, do: one open issue a subject at most, one as long as something fails', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(event, hours), { maxLength: 12 }), async (events) => {
      const tracker = new MemoryTracker()
      tracker.now = new Date(NOON)
      for (const [what, pause] of events) {
        tracker.now = new Date(tracker.now.getTime() + pause * 3_600_000)
        if (typeof what === 'string') {
          intervene(tracker, what)
          continue
        }
        const subject = SUBJECTS[what.subject] ?? SHOP
        const before = openOf(tracker, subject).length
        await Promise.all(what.runs.map((one) => run(tracker, subject, one)))
        const [open, ...doubles] = openOf(tracker, subject)
        expect(doubles).toEqual([])
        const isRed = (one: Outcome[]) => one.some(({ status }) => status === 'failed')
        if (what.runs.every((one) => !isRed(one)) && before === 0) expect(open).toBeUndefined()
        if (what.runs.length > 1 || !isRed(what.runs[0] ?? [])) continue
        const listed = readLedger(open?.body ?? '')?.checks.map(({ key }) => key)
        const failing = (what.runs[0] ?? []).filter(({ status }) => status === 'failed').map(({ key }) => key)
        expect(listed).toEqual(expect.arrayContaining(failing))
      }
      for (const { isTrusted, comments } of tracker.issues) if (!isTrusted) expect(comments).toEqual([])
    }),
    { numRuns: 80 },
  )
})

test('a month of flapping: no more than a comment a day, and few issues', async () => {
  const tracker = new MemoryTracker()
  for (let hour = 0; hour < 24 * 30; hour += 6) {
    tracker.now = new Date(NOON + hour * 3_600_000)
    await run(tracker, SHOP, hour % 12 === 0 ? outcomesOf(['dump/run']) : outcomesOf([], ['dump/run']))
  }
  expect(tracker.issues).toHaveLength(1)
  expect(tracker.issues[0]?.comments.length).toBeLessThanOrEqual(30)
  expect(tracker.issues[0]?.comments.length).toBeGreaterThan(20)
})

test('two runs that race leave one issue that tells of both; the younger points to the older', async () => {
  const tracker = new MemoryTracker()
  await Promise.all([run(tracker, SHOP, outcomesOf(['dump/run'])), run(tracker, SHOP, outcomesOf(['verify/rows']))])
  expect(tracker.issues.map(({ state, isDuplicate }) => [state, isDuplicate])).toEqual([
    ['open', false],
    ['closed', true],
  ])
  expect(tracker.issues[1]?.comments).toContain('Duplicate of #1')
  expect(readLedger(tracker.get(1).body)?.checks.map(({ key }) => key)).toEqual(['dump/run', 'verify/rows'])
  // A double that a run left behind when it died is cleared away by the next one, and never opened again.
  await tracker.create({ title: '', body: tracker.get(1).body, labels: [LABEL] })
  await run(tracker, SHOP, outcomesOf([], ['dump/run', 'verify/rows']))
  expect(tracker.open()).toEqual([])
  await run(tracker, SHOP, outcomesOf(['dump/run']))
  expect(tracker.open().map(({ number }) => number)).toEqual([1])
})

test('labels and assignees go with a new issue; what was not to be had is a warning', async () => {
  const tracker = new MemoryTracker()
  const first = await run(tracker, SHOP, outcomesOf(['dump/run']), {
    labels: ['ops'],
    assignees: ['octocat', 'outsider'],
  })
  expect(first.done).toMatchObject({ step: 'open', issue: { number: 1, labels: [LABEL, 'ops'] } })
  expect(first.warnings).toEqual(['Issue 1 could not be assigned to outsider'])

  // Labels that were changed since change the issue when it is opened again, and do not lose it.
  await run(tracker, SHOP, outcomesOf([], ['dump/run']), { labels: ['database'] })
  const again = await run(tracker, SHOP, outcomesOf(['dump/run']), { labels: ['database'] })
  expect(again.done).toMatchObject({ step: 'reopen', issue: { number: 1 } })
  expect(tracker.get(1).labels).toEqual([LABEL, 'ops', 'database'])

  tracker.get(1).body = tracker.get(1).body.replace('pg-lifeboat state', 'x')
  const unread = await run(tracker, SHOP, outcomesOf([], ['dump/run']))
  expect([unread.done, unread.warnings]).toEqual([undefined, [expect.stringMatching(/^Issue 1 .* was edited/)]])

  const refusing = new MemoryTracker()
  refusing.ensureLabel = async () => {
    throw new LifeboatError('issues-forbidden', 'Cannot make the label', 'Add the line.')
  }
  const opened = await run(refusing, SHOP, outcomesOf(['dump/run']))
  expect([opened.done?.step, opened.warnings]).toEqual(['open', ['Cannot make the label']])
})

test('secrets that came into the issue before they were known leave it with the next run', async () => {
  const tracker = new MemoryTracker()
  await run(tracker, SHOP, [{ key: 'verify/rows', title: 't', status: 'failed', message: 'hunter22 was refused' }])
  const redact = <T>(value: T): T =>
    value === undefined ? value : JSON.parse(JSON.stringify(value).replaceAll('hunter22', '***'))
  await run(tracker, SHOP, outcomesOf(['dump/run']), { redact })
  expect(tracker.get(1).body).toMatch(/\*\*\* was refused/)
  expect(tracker.get(1).body).not.toContain('hunter22')
})

test('what one workflow wrote down about itself fills in the command that another one gives', async () => {
  const tracker = new MemoryTracker()
  const facts = { at: tracker.now, storage: 's3://bucket' }
  const workflow = { kind: 'dump' as const, file: 'nightly-dump.yml' }
  await run(tracker, SHOP, outcomesOf(['verify/backup-age']), { run: facts })
  expect(tracker.get(1).body).toContain('`gh workflow run DUMP-WORKFLOW.yml`')
  await run(tracker, SHOP, outcomesOf(['dump/run']), { run: { ...facts, workflow } })
  await run(tracker, SHOP, outcomesOf(['verify/backup-age', 'verify/parts']), { run: facts })
  expect(tracker.get(1).body).toContain('`gh workflow run nightly-dump.yml`')
  expect(tracker.get(1).body).not.toContain('DUMP-WORKFLOW')
  // Closed, and opened again.
  await run(tracker, SHOP, outcomesOf([], ['dump/run', 'verify/backup-age', 'verify/parts']), { run: facts })
  await run(tracker, SHOP, outcomesOf(['verify/backup-age']), { run: facts })
  expect(tracker.issues).toHaveLength(1)
  expect(tracker.get(1).body).toContain('`gh workflow run nightly-dump.yml`')
})

test('a workflow is remembered for what all of it does, not for a part', () => {
  const runner = (tables = '', workflowFile = 'nightly.yml') => ({
    input: (name: string) => (name === 'tables' ? tables : ''),
    context: { ...(workflowFile !== '' && { workflowFile }) },
  })
  expect(workflowOf(runner(), { kind: 'dump' })).toEqual({ kind: 'dump', file: 'nightly.yml' })
  expect(workflowOf(runner(), { kind: 'restore-test' })).toEqual({ kind: 'restore-test', file: 'nightly.yml' })
  expect(workflowOf(runner(), { kind: 'verify' })).toBeUndefined()
  expect(workflowOf(runner(), { kind: 'dump', partial: 'only the schema' })).toBeUndefined()
  expect(workflowOf(runner('public.*'), { kind: 'restore-test' })).toBeUndefined()
  expect(workflowOf(runner('', ''), { kind: 'dump' })).toBeUndefined()
})

test('who is told: of unwatched runs by default, never of a stranger’s pull request', () => {
  const context = { repository: 'o/r', isFromFork: false }
  const wanted = (alert: 'auto' | 'issue' | 'off', origin: string, more = {}) =>
    isWanted(alert, { ...context, origin, ...more })
  const events = [
    'schedule',
    'workflow_dispatch',
    'repository_dispatch',
    'push',
    'pull_request',
    'merge_group',
    'workflow_run',
    'local',
  ]
  expect(events.filter((event) => wanted('auto', event))).toEqual(events.slice(0, 3))
  expect(events.filter((event) => wanted('issue', event))).toEqual(events)
  expect(events.filter((event) => wanted('off', event))).toEqual([])
  expect(wanted('issue', 'pull_request_target', { isFromFork: true })).toBe(false)
  expect(wanted('issue', 'push', { repository: '' })).toBe(false)
})

import { expect, test } from '@jest/globals'
import { LifeboatError } from '../../src/base/errors.ts'
import type { WatchedWorkflow } from '../../src/base/workflows.ts'
import { withStorage } from '../backup-set/support.ts'
import { buildSet, type Checked, check, hoursAgo } from './set.ts'

const FILE = 'nightly-dump.yml'
const URL = 'https://github.com/your-org/example/actions/runs/7'

interface Told {
  status: string | undefined
  summary: string | undefined
  /** `severity: message → remedy` */
  findings: string[]
}

function told({ results }: Checked): Told {
  const { status, summary, findings = [] } = results.find(({ id }) => id === 'workflows') ?? {}
  return {
    status,
    summary,
    findings: findings.map(({ severity, message, remedy }) => `${severity}: ${message} → ${remedy}`),
  }
}

/** What the check says of workflows, as GitHub told of them. */
async function tell(workflows?: () => Promise<WatchedWorkflow[]>, required: string[] = []): Promise<Told> {
  let result: Told | undefined
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1) })
    result = told(await check(storage, head, 'smoke', { ...(workflows && { workflows }), required: new Set(required) }))
  })
  if (result === undefined) throw new Error('nothing was checked')
  return result
}

function tellOf(workflow: Partial<WatchedWorkflow>): Promise<Told> {
  return tell(async () => [{ file: FILE, isOwn: false, ...workflow }])
}

const ended = (conclusion: string) => ({ conclusion, startedAt: hoursAgo(5), url: URL })

test('nobody named a workflow: not run, unless it is required', async () => {
  expect(await tell()).toEqual({ status: 'not run', summary: 'no watch-workflows', findings: [] })
  const required = await tell(undefined, ['workflows'])
  expect(required.status).toBe('unverified')
  expect(required.findings).toEqual([expect.stringContaining('The check workflows is required')])
})

test('every workflow is told of, the good ones too', async () => {
  const watched = await tell(async () => [
    { file: FILE, state: 'active', isOwn: false, lastRun: ended('success') },
    { file: 'verify.yml', state: 'active', isOwn: true },
    { file: 'new.yml', state: 'active', isOwn: false },
    { file: 'old.yml', state: 'disabled_manually', isOwn: false, lastRun: ended('failure') },
  ])
  expect(watched.status).toBe('failed')
  expect(watched.summary).toBe(
    'nightly-dump.yml active, passed 5 h 0 min ago; verify.yml active; new.yml active; old.yml disabled, failed 5 h 0 min ago',
  )
  expect(watched.findings).toEqual([
    'note: new.yml has not run to its end yet on the default branch, other than for a push or a pull request → undefined',
    'failure: old.yml never starts: somebody disabled it → Enable it: `gh workflow enable old.yml`.',
    expect.stringMatching(/^failure: The last run of old\.yml failed/),
  ])
})

const STATES: [state: string | undefined, message: RegExp, remedy: RegExp][] = [
  [
    'disabled_inactivity',
    /never starts: GitHub disabled it, .* 60 days without/,
    /`gh workflow enable nightly-dump.yml`/,
  ],
  ['disabled_manually', /never starts: somebody disabled it/, /`gh workflow enable nightly-dump.yml`/],
  ['disabled_fork', /never starts: GitHub disables it in a fork/, /`gh workflow enable nightly-dump.yml`/],
  ['deleted', /never starts: the workflow was deleted/, /Bring the file back/],
  ['disabled_by_moon', /never starts: GitHub calls its state disabled_by_moon/, /`gh workflow enable/],
  [undefined, /no workflow nightly-dump.yml, or the token may not see it/, /`gh workflow list .*`actions: read`/],
]

test.each(STATES)('the state %s is a failure that says what to do', async (state, message, remedy) => {
  const { status, findings } = await tellOf({ ...(state !== undefined && { state }), lastRun: ended('success') })
  expect(status).toBe('failed')
  expect(findings).toEqual([expect.stringMatching(new RegExp(`^failure: .*${message.source}.* → .*${remedy.source}`))])
})

const BAD: [conclusion: string, message: string, remedy: RegExp][] = [
  ['failure', 'failed', /runner was lost/],
  ['timed_out', 'ran out of time', /raise its `timeout-minutes`/],
  ['startup_failure', 'could not be started', /could not read the workflow/],
  ['cancelled', 'was cancelled', /`timeout-minutes`/],
]

test.each(BAD)('a last run that ended with %s is a failure with its page', async (conclusion, message, remedy) => {
  const { status, findings } = await tellOf({ state: 'active', lastRun: ended(conclusion) })
  expect(status).toBe('failed')
  const [finding = ''] = findings
  expect(findings).toHaveLength(1)
  expect(finding).toContain(
    `failure: The last run of nightly-dump.yml ${message}, started 2026-11-22 07:00 UTC, and none has passed since → Look at the run ${URL}`,
  )
  expect(finding).toMatch(remedy)
  expect(finding).toContain('`gh workflow run nightly-dump.yml`')
})

test.each(['success', 'neutral', 'stale', 'action_required'])(
  'a last run that ended with %s is fine',
  async (conclusion) => {
    expect(await tellOf({ state: 'active', lastRun: ended(conclusion) })).toMatchObject({
      status: 'passed',
      findings: [],
    })
  },
)

test('of the workflow that this run is of the state alone is judged', async () => {
  expect(await tellOf({ state: 'active', isOwn: true })).toMatchObject({ status: 'passed', findings: [] })
  expect((await tellOf({ state: 'disabled_fork', isOwn: true })).status).toBe('failed')
})

test('where GitHub cannot be asked it is unverified, and says why and what to do', async () => {
  const refused = new LifeboatError(
    'workflows-forbidden',
    'Cannot look at the workflow',
    'Add the line `actions: read`.',
  )
  expect(await tell(() => Promise.reject(refused))).toEqual({
    status: 'unverified',
    summary: 'could not be carried out',
    findings: ['failure: Cannot look at the workflow → Add the line `actions: read`.'],
  })
})

import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { LifeboatError } from '../../src/base/errors.ts'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import type { WatchedWorkflow } from '../../src/base/workflows.ts'
import { lookAtWorkflows, type WorkflowsOptions } from '../../src/github/github-workflows.ts'
import { FakeGitHub, type Fault, NOT_ACCESSIBLE } from './fake-github.ts'

const FILE = 'nightly-dump.yml'
const LIMITED: Fault = {
  status: 403,
  message: 'API rate limit exceeded',
  headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '9999999999' },
}

let github: FakeGitHub
beforeEach(async () => {
  github = await FakeGitHub.start()
})
afterEach(async () => {
  await github.close()
  expect(github.problems).toEqual([])
})

function look(files: string[], options: Partial<WorkflowsOptions> = {}): Promise<WatchedWorkflow[]> {
  const { repository, url: apiUrl, token } = github
  const patience = { total: 60_000, request: 15_000, firstDelay: 10 }
  const { signal } = new AbortController()
  const access = { token, repository, apiUrl, clock: systemClock, log: memoryLog(), signal, patience }
  return lookAtWorkflows(files, { ...access, own: {}, ...options })
}

async function refusalOf(work: Promise<unknown>): Promise<LifeboatError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof LifeboatError) return error
  throw new Error(`expected a LifeboatError, not ${String(error)}`)
}

test('tells the state, and the newest run that ended of those that nobody watches', async () => {
  github.workflows.set(FILE)
  github.workflows.addRun(FILE, { conclusion: 'cancelled', event: 'repository_dispatch' })
  const startedAt = new Date('2026-11-22T02:17:04Z')
  const last = github.workflows.addRun(FILE, { conclusion: 'failure', event: 'workflow_dispatch', startedAt })
  for (let index = 0; index < 40; index += 1) github.workflows.addRun(FILE, { event: 'pull_request' })
  github.workflows.addRun(FILE, { event: 'push' })
  github.workflows.addRun(FILE, { status: 'in_progress', conclusion: null })
  github.workflows.addRun(FILE, { status: 'queued', conclusion: null })
  github.workflows.addRun(FILE, { conclusion: 'skipped' })
  github.workflows.set('idle.yaml', 'disabled_inactivity')

  const url = github.workflows.urlOf(last)
  expect(await look([FILE, 'idle.yaml', 'none.yml'])).toEqual([
    { file: FILE, isOwn: false, state: 'active', lastRun: { conclusion: 'failure', startedAt, url } },
    { file: 'idle.yaml', isOwn: false, state: 'disabled_inactivity' },
    { file: 'none.yml', isOwn: false },
  ])
  const asked = github.asked()
  expect(asked.filter((request) => /search|issues/.test(request))).toEqual([])
  expect(asked).toHaveLength(5 + 5 + 1)
})

test('what ran on another branch is a try, and says nothing of the schedule', async () => {
  github.workflows.set(FILE)
  github.workflows.addRun(FILE, { conclusion: 'failure' })
  github.workflows.addRun(FILE, { event: 'workflow_dispatch', branch: 'feature' })
  const own = { defaultBranch: 'main' }
  expect((await look([FILE], { own }))[0]?.lastRun?.conclusion).toBe('failure')
  github.workflows.addRun(FILE, { event: 'workflow_run' })
  expect((await look([FILE], { own }))[0]?.lastRun?.conclusion).toBe('success')
})

test('a run that gave way to one that is under way is not judged; without such a one it is', async () => {
  github.workflows.set(FILE)
  github.workflows.addRun(FILE)
  github.workflows.addRun(FILE, { conclusion: 'cancelled' })
  expect((await look([FILE]))[0]?.lastRun?.conclusion).toBe('cancelled')
  const next = github.workflows.addRun(FILE, { status: 'pending', conclusion: null, event: 'workflow_dispatch' })
  expect((await look([FILE]))[0]?.lastRun?.conclusion).toBe('success')
  Object.assign(next, { status: 'completed', conclusion: 'cancelled' })
  expect((await look([FILE]))[0]?.lastRun?.conclusion).toBe('cancelled')
})

test('a run that is under way again is no newer one', async () => {
  github.workflows.set(FILE)
  github.workflows.addRun(FILE, { status: 'in_progress', conclusion: null })
  github.workflows.addRun(FILE, { conclusion: 'cancelled' })
  expect((await look([FILE]))[0]?.lastRun?.conclusion).toBe('cancelled')
})

test('many that gave way hide no failure before them', async () => {
  github.workflows.set(FILE)
  github.workflows.addRun(FILE, { conclusion: 'failure' })
  for (let index = 0; index < 45; index += 1) github.workflows.addRun(FILE, { conclusion: 'cancelled' })
  github.workflows.addRun(FILE, { status: 'queued', conclusion: null })
  expect((await look([FILE]))[0]?.lastRun?.conclusion).toBe('failure')
})

test('no more than three pages of an event are asked for', async () => {
  github.workflows.set(FILE)
  for (let index = 0; index < 200; index += 1) github.workflows.addRun(FILE, { conclusion: 'skipped' })
  expect((await look([FILE]))[0]).not.toHaveProperty('lastRun')
  expect(github.asked()).toHaveLength(1 + 3 + 3)
})

test('a month of runs that were skipped does not hide the failure before it', async () => {
  github.workflows.set(FILE)
  github.workflows.addRun(FILE, { conclusion: 'failure' })
  for (let day = 0; day < 45; day += 1) github.workflows.addRun(FILE, { conclusion: 'skipped' })
  expect((await look([FILE]))[0]?.lastRun?.conclusion).toBe('failure')
})

test('a run that was started again counts by its number and as it ended last', async () => {
  github.workflows.set(FILE)
  github.workflows.addRun(FILE, { conclusion: 'success', startedAt: new Date('2026-11-23T10:00:00Z') })
  github.workflows.addRun(FILE, { conclusion: 'timed_out', startedAt: new Date('2026-11-22T02:17:04Z') })
  expect((await look([FILE]))[0]?.lastRun?.conclusion).toBe('timed_out')
})

test('the run that asks is not its own witness, and of its own workflow only the state is asked for', async () => {
  github.workflows.set(FILE)
  github.workflows.addRun(FILE, { id: 7, conclusion: 'success' })
  const self = github.workflows.addRun(FILE, { id: 8, conclusion: 'failure' })
  const own = { runId: String(self.id) }
  expect((await look([FILE], { own }))[0]?.lastRun?.conclusion).toBe('success')
  github.asked()
  const [watched] = await look([FILE], { own: { ...own, workflowFile: FILE } })
  expect(watched).toEqual({ file: FILE, isOwn: true, state: 'active' })
  expect(github.asked()).toEqual([`GET /actions/workflows/${FILE}`])
})

test('what fails for a moment is asked for again, a limit that lasts is told at once', async () => {
  github.workflows.set(FILE)
  github.workflows.addRun(FILE)
  const passing: Fault[] = [{ status: 502 }, { reset: true }, { status: 429, headers: { 'retry-after': '0' } }]
  for (const request of [/workflows\/[^/]+$/, /runs$/]) {
    for (const fault of passing) {
      github.fail(request, fault)
      expect(await look([FILE])).toMatchObject([{ state: 'active', lastRun: { conclusion: 'success' } }])
    }
  }
  expect(github.asked()).toHaveLength(2 * passing.length * 6)

  github.fail(/./, LIMITED)
  const error = await refusalOf(look([FILE]))
  expect(error).toMatchObject({ code: 'workflows-rate-limited', message: expect.stringContaining('fewer requests') })
  expect(github.asked()).toHaveLength(1)
})

const REFUSALS: [name: string, fault: Fault, code: string, remedy: RegExp][] = [
  ['no permission', NOT_ACCESSIBLE, 'workflows-forbidden', /Add the line `actions: read` below `permissions:` of the/],
  ['trouble that lasts', { status: 503 }, 'workflows-unavailable', /githubstatus\.com/],
  ['no answer', { reset: true }, 'workflows-unreachable', /HTTPS_PROXY/],
  ['misunderstood', { status: 422, message: 'Validation Failed' }, 'workflows-refused', /report it/],
]

test.each(REFUSALS)('%s is said, and what to do', async (_, fault, code, remedy) => {
  github.fail(/./, fault, 99)
  const patience = { total: 300, request: 15_000, firstDelay: 10 }
  const error = await refusalOf(look([FILE], { patience }))
  expect(error).toMatchObject({ code, message: expect.stringContaining(`workflow ${FILE} of your-org/example`) })
  expect(error.remedy).toMatch(remedy)
})

test('runs that the token may not see are no workflow without runs', async () => {
  github.workflows.set(FILE)
  github.fail(/runs$/, { status: 404, message: 'Not Found' })
  expect(await refusalOf(look([FILE]))).toMatchObject({
    code: 'workflows-not-found',
    remedy: expect.stringContaining('`actions: read`'),
  })
})

test('a token that is refused is not shown', async () => {
  const error = await refusalOf(look([FILE], { token: 'ghp_expired0123456789' }))
  expect(error).toMatchObject({ code: 'workflows-token-refused', remedy: expect.stringContaining('`github-token`') })
  expect(`${error.message} ${error.remedy} ${error.stack}`).not.toContain('ghp_expired')
})

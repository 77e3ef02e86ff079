import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { LifeboatError } from '../../src/base/errors.ts'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import type { ApiPatience } from '../../src/github/github-api.ts'
import { openGitHubIssues } from '../../src/github/github-issues.ts'
import type { IssueTracker } from '../../src/github/issue-tracker.ts'
import { FakeGitHub, type Fault, NOT_ACCESSIBLE } from './fake-github.ts'

const PATIENCE: ApiPatience = { total: 60_000, request: 15_000, firstDelay: 10 }

let github: FakeGitHub
beforeEach(async () => {
  github = await FakeGitHub.start()
})
afterEach(async () => {
  await github.close()
  expect(github.problems).toEqual([])
})

function tracker(options: { token?: string; patience?: ApiPatience; signal?: AbortSignal } = {}): IssueTracker {
  const { token = github.token, patience = PATIENCE, signal = new AbortController().signal } = options
  const { repository, url: apiUrl } = github
  return openGitHubIssues({ token, repository, apiUrl, patience, signal, clock: systemClock, log: memoryLog() })
}

async function refusalOf(work: Promise<unknown>): Promise<LifeboatError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof LifeboatError) return error
  throw new Error(`expected a LifeboatError, not ${String(error)}`)
}

test('lists every page, the oldest first, and no pull requests; closed ones since they were closed', async () => {
  const now = Date.now()
  for (let index = 0; index < 230; index += 1)
    github.repo.add({ labels: ['pg-lifeboat'], isPullRequest: index % 23 === 0 })
  github.repo.add({ labels: ['other'] })
  const closed = (days: number) => ({
    labels: ['pg-lifeboat'],
    state: 'closed' as const,
    closedAt: new Date(now - days * 86_400_000),
  })
  const recent = github.repo.add(closed(3))
  // Commented on since, and closed long ago all the same.
  github.repo.add(closed(30))

  const open = await tracker().list('pg-lifeboat', 'open')
  expect(open).toHaveLength(220)
  expect(open.map(({ number }) => number)).toEqual(open.map(({ number }) => number).toSorted((a, b) => a - b))
  expect(github.asked()).toEqual(['GET /issues', 'GET /issues', 'GET /issues'])
  const since = await tracker().list('pg-lifeboat', { closedSince: new Date(now - 14 * 86_400_000) })
  expect(since.map(({ number }) => number)).toEqual([recent.number])
})

test('opens, changes, comments on, closes and opens again; says who may be believed', async () => {
  const issues = tracker()
  const { number } = await issues.create({ title: 'a', body: 'b', labels: ['pg-lifeboat', 'ops'] })
  await issues.update(number, { title: 'c', body: 'd' })
  await issues.comment(number, 'e')
  await issues.update(number, { state: 'closed', reason: 'completed' })
  expect(github.repo.issues).toMatchObject([
    { title: 'c', body: 'd', state: 'closed', reason: 'completed', comments: ['e'] },
  ])
  await issues.update(number, { state: 'open', reason: 'reopened' })
  const twin = await issues.create({ title: 'a', body: 'b', labels: [] })
  const [first] = await issues.list('ops', 'open')
  expect(first).toMatchObject({ number, labels: ['pg-lifeboat', 'ops'], isTrusted: true, isDuplicate: false })
  await issues.closeAsDuplicate(twin.number, first ?? twin)
  expect(github.repo.issues[1]).toMatchObject({ state: 'closed', reason: 'duplicate', comments: ['Duplicate of #1'] })
  github.repo.add({ labels: ['x'], author: { login: 'stranger', type: 'User', association: 'CONTRIBUTOR' } })
  github.repo.add({ labels: ['x'], author: { login: 'octocat', type: 'User', association: 'MEMBER' } })
  expect((await issues.list('x', 'open')).map(({ isTrusted }) => isTrusted)).toEqual([false, true])
})

test('a server that does not know duplicates closes them all the same', async () => {
  const original = await tracker().create({ title: 'a', body: '', labels: [] })
  const twin = await tracker().create({ title: 'a', body: '', labels: [] })
  github.fail(/^PATCH/, { status: 422, message: 'Validation Failed' })
  await tracker().closeAsDuplicate(twin.number, original)
  expect(github.repo.issues[1]).toMatchObject({ state: 'closed', reason: 'not_planned' })
})

test('labels are made where they are missing, also by two at once', async () => {
  await Promise.all([tracker().ensureLabel('pg-lifeboat'), tracker().ensureLabel('a b/ü')])
  github.fail(/^GET .*labels/, { status: 404, message: 'Not Found' })
  await tracker().ensureLabel('pg-lifeboat')
  expect([...github.repo.labels.keys()].sort()).toEqual(['a b/ü', 'pg-lifeboat'])
  const { number } = await tracker().create({ title: 'a', body: '', labels: [] })
  await tracker().addLabels(number, ['pg-lifeboat'])
  expect(github.repo.issues[0]?.labels).toEqual(['pg-lifeboat'])
})

test('assigns who can be assigned, and names the others: without access, or unknown', async () => {
  const { number } = await tracker().create({ title: 'a', body: '', labels: [] })
  expect(await tracker().assign(number, ['octocat', 'outsider'])).toEqual(['outsider'])
  expect(await tracker().assign(number, ['nobody1', 'hubot', 'nobody2'])).toEqual(['nobody1', 'nobody2'])
  expect(github.repo.issues[0]?.assignees).toEqual(['octocat', 'hubot'])
  expect(await tracker().assign(number, [])).toEqual([])
})

test('what fails for a moment is asked for again, a comment only if it was surely not made', async () => {
  const { number } = await tracker().create({ title: 'a', body: '', labels: [] })
  const passing: Fault[] = [
    { status: 502 },
    { reset: true },
    { status: 429, headers: { 'retry-after': '1' } },
    { status: 403, message: 'You have exceeded a secondary rate limit', headers: { 'retry-after': '0' } },
  ]
  for (const fault of passing) {
    github.fail(/^GET/, fault)
    expect(await tracker().list('none', 'open')).toEqual([])
  }
  expect(github.asked()).toHaveLength(1 + 2 * passing.length)

  github.fail(/comments$/, { status: 503 })
  await tracker().comment(number, 'one')
  github.fail(/comments$/, { reset: true })
  expect((await refusalOf(tracker().comment(number, 'two'))).code).toBe('issues-unreachable')
  expect(github.repo.issues[0]?.comments).toEqual(['one'])
})

test('all requests together take no longer than they may, and no wait goes beyond that', async () => {
  const began = performance.now()
  const short = { total: 600, request: 200, firstDelay: 10 }
  github.fail(/./, { silentMilliseconds: 60_000 }, 20)
  expect((await refusalOf(tracker({ patience: short }).list('a', 'open'))).code).toBe('issues-unreachable')
  expect(performance.now() - began).toBeLessThan(20_000)
  expect(github.asked().length).toBeGreaterThan(1)

  const limited = await FakeGitHub.start()
  limited.fail(/./, {
    status: 403,
    message: 'API rate limit exceeded',
    headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '9999999999' },
  })
  const { repository, url: apiUrl, token } = limited
  const signal = new AbortController().signal
  const issues = openGitHubIssues({ token, repository, apiUrl, signal, clock: systemClock, log: memoryLog() })
  expect((await refusalOf(issues.list('a', 'open'))).code).toBe('issues-rate-limited')
  expect(limited.asked()).toHaveLength(1)
  await limited.close()
})

test('a cancelled run stops waiting at once', async () => {
  const cancelled = new AbortController()
  github.fail(/./, { silentMilliseconds: 60_000 })
  const listed = tracker({ signal: cancelled.signal }).list('a', 'open')
  const reason = new LifeboatError('cancelled', 'The run was cancelled.', 'Start it again.')
  setTimeout(() => cancelled.abort(reason), 50)
  expect(await refusalOf(listed)).toBe(reason)
})

const REFUSALS: [name: string, fault: Fault, code: string, remedy: RegExp][] = [
  ['no permission', NOT_ACCESSIBLE, 'issues-forbidden', /Add the line `issues: write` below `permissions:` of the job/],
  ['not to be seen', { status: 404, message: 'Not Found' }, 'issues-not-found', /`issues: write` below `permissions:`/],
  [
    'issues turned off',
    { status: 410, message: 'Issues are disabled for this repo' },
    'issues-disabled',
    /Settings > General > Features/,
  ],
  ['archived', { status: 403, message: 'Repository was archived so is read-only.' }, 'issues-archived', /Unarchive/],
  ['misunderstood', { status: 422, message: 'Validation Failed' }, 'issues-refused', /report it/],
]

test.each(REFUSALS)('%s is said once, and what to do', async (_, fault, code, remedy) => {
  github.fail(/./, fault, 9)
  const error = await refusalOf(tracker().create({ title: 'a', body: '', labels: [] }))
  expect(error).toMatchObject({ code, message: expect.stringContaining('open an issue of your-org/example') })
  expect(error.remedy).toMatch(remedy)
  expect(github.asked()).toHaveLength(1)
})

test('a token that is refused is not shown', async () => {
  const error = await refusalOf(tracker({ token: 'ghp_expired0123456789' }).list('a', 'open'))
  expect(error).toMatchObject({ code: 'issues-token-refused', remedy: expect.stringContaining('`github-token`') })
  expect(`${error.message} ${error.remedy} ${error.stack}`).not.toContain('ghp_expired')
})

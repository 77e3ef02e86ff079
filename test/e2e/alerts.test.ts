import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import type { Report } from '../../src/reports/report.ts'
import { FakeGitHub, NOT_ACCESSIBLE } from '../github/fake-github.ts'
import type { FakeIssue } from '../github/fake-issues.ts'
import { availableMajors, type TestServer } from '../support/postgres.ts'
import { startHeldProxy } from './held-proxy.ts'
import { plainText } from './refusal.ts'
import { expectExit, Lab, reportOf, type TestStorage } from './support.ts'

/** Who is told of a run, from the bundled actions to GitHub's issues and a heartbeat. */
const lab = new Lab()
const MAJOR = availableMajors().at(-1) ?? 0
/** For nobody's eyes. */
const KEY = 'heartbeat-key-5521'

let server: TestServer
let right: Record<string, string>
let wrong: Record<string, string>
let github: FakeGitHub
let heart: Server
let pings: string[]
let heartbeat: Record<string, string>

beforeAll(async () => {
  server = await lab.server(MAJOR)
  await server.createDatabase('shop')
  const rows = `select i, repeat(md5(i::text), 40) from generate_series(1, 12000) i`
  await server.psql('shop', `create table orders (id int, note text); insert into orders ${rows}`)
  right = { 'database-url': server.url('shop') }
  wrong = { 'database-url': server.url('shop', 'postgres', 'not-the-password') }
  heart = createServer((request, response) => {
    pings.push(request.url ?? '')
    response.end('OK')
  })
  heart.listen(0, '127.0.0.1')
  await once(heart, 'listening')
  const address = heart.address()
  heartbeat = { 'heartbeat-url': `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/${KEY}` }
})
afterAll(async () => {
  heart.close()
  await lab.close()
})
beforeEach(async () => {
  pings = []
  github = await FakeGitHub.start()
})
afterEach(async () => {
  await github.close()
  expect(github.problems).toEqual([])
})

const warningsOf = ({ annotations }: { annotations: { level: string; message: string }[] }) =>
  annotations.filter(({ level }) => level === 'warning').map(({ message }) => message)

const readable = (issue?: FakeIssue) => plainText(issue?.body ?? '').replaceAll('**', '')

test('an issue is opened with the cause, closed when all is well, opened again; the heart beats along', async () => {
  const storage = await lab.storage('directory')
  const people = { 'alert-labels': 'ops', 'alert-assignees': 'octocat, outsider' }
  const env = { GITHUB_WORKFLOW_REF: 'your-org/example/.github/workflows/nightly.yml@refs/heads/main' }
  const dump = (inputs: Record<string, string>) =>
    lab.run('action-dump', storage, { ...inputs, ...heartbeat, ...people }, { github, env })

  const failed = await dump(wrong)
  expectExit(failed, 1)
  const [issue] = github.open()
  expect(issue).toMatchObject({
    title: 'Backup alert for shop: dump/run',
    labels: ['pg-lifeboat', 'ops'],
    assignees: ['octocat'],
  })
  const body = readable(issue)
  expect(body).toMatch(/Found: .*password authentication failed/)
  expect(body).toMatch(/Likely cause: The password was rotated/)
  expect(body).toMatch(/Next command: .*gh secret set DATABASE_URL/)
  expect(body).toContain('(https://github.com/your-org/example/actions/runs/1)')
  expect(warningsOf(failed)).toEqual([expect.stringMatching(/^Issue 1 could not be assigned to outsider\n→ /)])
  expect(plainText(failed.summary)).toMatch(/Issue 1 \(https:.*\/issues\/1\) was opened for this/)

  expectExit(await dump(right), 0)
  expect(issue).toMatchObject({ state: 'closed', reason: 'completed', comments: [expect.stringContaining('dump/run')] })
  expectExit(await dump(wrong), 1)
  expect(issue).toMatchObject({ state: 'open', reason: 'reopened' })
  expect(pings).toEqual([`/${KEY}/fail`, `/${KEY}`, `/${KEY}/fail`])

  const verify = (inputs: Record<string, string>) => lab.run('action-verify', storage, inputs, { github })
  // No `max-age` is shorter than a second.
  await sleep(1_000)
  expectExit(await verify({ 'max-age': '1s' }), 1)
  expect(issue?.title).toBe('Backup alert for shop: dump/run, verify/backup-age')
  // Which the dump wrote down: the verification does not know it.
  expect(readable(issue)).toMatch(/Next command: .*gh workflow run nightly\.yml/)
  expectExit(await verify({}), 0)
  expect(issue).toMatchObject({ state: 'open', title: 'Backup alert for shop: dump/run' })

  const until = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10)
  const quiet = await verify({ 'max-age': '1s', 'alert-silence': `verify/backup-age until ${until}: known` })
  expectExit(quiet, 1)
  expect(plainText(quiet.summary)).toContain(`The issue is not told of verify/backup-age until ${until}: known`)
  expect(issue).toMatchObject({ state: 'open', title: 'Backup alert for shop: dump/run' })
  expect(github.repo.issues).toHaveLength(1)
  expect(github.asked().filter((request) => request.includes('search'))).toEqual([])
})

test('nobody is told of pull requests, cancelled runs, sets that somebody chose, or when it is off', async () => {
  const storage = await lab.storage('directory')
  const fork = { pull_request: { head: { repo: { full_name: 'stranger/example' } } } }
  const own = { pull_request: { head: { repo: { full_name: 'your-org/example' } } } }
  const inputs = { database: 'shop', ...heartbeat }
  const verify = (more: Record<string, string>, name: string, payload = {}) =>
    lab.run('action-verify', storage, { ...inputs, ...more }, { github, event: { name, payload } })
  await Promise.all([
    verify({}, 'pull_request', own),
    verify({ alert: 'issue' }, 'pull_request_target', fork),
    verify({ backup: '20200101T000000Z-manual-abcdef' }, 'schedule'),
  ])
  const interrupt = { when: /^Client tools/, with: 'cancel' as const }
  const cancelled = await lab.run('action-dump', storage, { ...right, ...heartbeat }, { github, interrupt })
  expect(cancelled.conclusion).toBe('cancelled')
  expect([github.asked(), pings]).toEqual([[], []])

  await verify({ alert: 'off' }, 'schedule')
  expect([github.asked(), pings]).toEqual([[], [`/${KEY}/fail`]])
  // Of a branch of one's own, if that is what is wanted.
  await verify({ alert: 'issue' }, 'pull_request', own)
  expect([github.open().length, pings.length]).toEqual([1, 1])
})

test('where nobody can be told, the run stands as it is, and says what is missing', async () => {
  const storage = await lab.storage('directory')
  const permission =
    /^The alert is not up to date: Cannot list the issues of your-org\/example: Resource not accessible by integration \(HTTP 403\)\n→ Add the line `issues: write` below `permissions:`/
  const nowhere = { 'heartbeat-url': 'http://127.0.0.1:9/nowhere' }
  github.fail(/./, NOT_ACCESSIBLE, 2)
  const [green, red, tokenless] = await Promise.all([
    lab.run('action-dump', storage, { ...right, ...nowhere }, { github }),
    lab.run('action-dump', storage, wrong, { github }),
    lab.run('action-dump', await lab.storage('directory'), { ...right, 'github-token': '' }, { github }),
  ])
  expectExit(green, 0)
  expect(green.outputs.verdict).toBe('passed')
  expect(warningsOf(green).sort()).toEqual([
    expect.stringMatching(/^No heartbeat: The heartbeat at 127\.0\.0\.1:9 was not pinged: ECONNREFUSED/),
    expect.stringMatching(permission),
  ])
  expectExit(red, 1)
  expect(red.outputs.verdict).toBe('failed')
  expect(warningsOf(red)).toEqual([expect.stringMatching(permission)])
  expect(plainText(red.summary)).toMatch(/password authentication failed[\s\S]*issues: write below permissions:/)
  expectExit(tokenless, 0)
  expect(warningsOf(tokenless)).toEqual([expect.stringMatching(/`github-token` is empty/)])
})

test('a run that watches the others tells of one that is disabled, and of one that died before it could', async () => {
  const storage = await lab.storage('directory')
  expectExit(await lab.run('action-dump', storage, right, { github }), 0)
  github.workflows.set('nightly-dump.yml', 'disabled_inactivity')
  github.workflows.set('watch.yml')
  expect(github.asked().filter((request) => request.includes('/actions/'))).toEqual([])

  const env = { GITHUB_WORKFLOW_REF: 'your-org/example/.github/workflows/watch.yml@refs/heads/main' }
  const watch = (origin: string, more: Record<string, string> = {}) => {
    const payload = { workflow_run: { event: origin, head_repository: { full_name: 'your-org/example' } } }
    const inputs = { 'watch-workflows': '.github/workflows/nightly-dump.yml, watch.yml', ...more }
    return lab.run('action-verify', storage, inputs, { github, env, event: { name: 'workflow_run', payload } })
  }
  expectExit(await watch('pull_request'), 1)
  expect(github.repo.issues).toEqual([])
  expectExit(await watch('schedule'), 1)
  const [issue] = github.open()
  expect(issue?.title).toBe('Backup alert for shop: verify/workflows')
  expect(readable(issue)).toMatch(/Found: .*nightly-dump\.yml never starts: GitHub disabled it/)
  expect(readable(issue)).toMatch(/What to do: .*gh workflow enable nightly-dump\.yml/)
  expect(readable(issue)).toMatch(/Next command: .*gh workflow list --all/)

  github.workflows.set('nightly-dump.yml', 'active')
  const died = github.workflows.addRun('nightly-dump.yml', { conclusion: 'cancelled' })
  github.workflows.addRun('watch.yml', { conclusion: 'failure' })
  const found = await watch('schedule')
  expectExit(found, 1)
  expect(plainText(found.summary)).toMatch(/The last run of nightly-dump\.yml was cancelled/)
  expect(plainText(found.summary)).toContain(github.workflows.urlOf(died))
  expect(readable(issue)).toMatch(/Found: .*The last run of nightly-dump\.yml was cancelled/)

  github.workflows.addRun('nightly-dump.yml')
  expectExit(await watch('schedule'), 0)
  expect(issue?.state).toBe('closed')
  github.fail(/\/actions\//, NOT_ACCESSIBLE)
  const refused = await watch('schedule')
  expectExit(refused, 1)
  expect(refused.outputs.verdict).toBe('unverified')
  expect(plainText(refused.summary)).toMatch(
    /Resource not accessible by integration[\s\S]*actions: read below permissions:/,
  )
  expect(github.repo.issues).toHaveLength(1)
  const tokenless = await watch('schedule', { 'github-token': '' })
  expect(tokenless.outputs.verdict).toBe('unverified')
  expect(plainText(tokenless.summary)).toMatch(/github-token is empty[\s\S]*take the workflows out of watch-workflows/)
})

test('two runs that race leave one issue; inputs that are wrong are an alert of the job, until it gets through', async () => {
  const storage = await lab.storage('directory')
  github.fail(/^GET .*\/issues$/, { together: 2 }, 2)
  const racing = ['action-verify', 'action-restore-test'] as const
  await Promise.all(racing.map((action) => lab.run(action, storage, { database: 'shop' }, { github })))
  expect(github.repo.issues.map(({ state, reason }) => [state, reason]).sort()).toEqual([
    ['closed', 'duplicate'],
    ['open', null],
  ])
  expect(github.open()[0]?.title).toMatch(
    /^Backup alert for shop: (verify|restore-test)\/run, (restore-test|verify)\/run$/,
  )

  const invalid = await lab.run('action-verify', storage, { mode: 'quick' }, { github })
  expectExit(invalid, 1)
  const job = github.repo.issues.at(-1)
  expect(job).toMatchObject({
    state: 'open',
    title: 'Backup alert for the job local of the workflow local: verify/run',
    body: expect.stringMatching(/mode is none of the known values/),
  })
  await lab.run('action-verify', storage, { database: 'shop' }, { github })
  expect(job?.state).toBe('closed')
  expect(github.open()).toHaveLength(1)
})

test('a dump that hangs is ended with the reason, and leaves no process and no set behind', async () => {
  const storage: TestStorage = await lab.storage('directory')
  const proxy = await startHeldProxy(server.port, 2 ** 22)
  const url = new URL(server.url('shop'))
  url.port = String(proxy.port)
  const inputs = { 'database-url': url.href, jobs: '1', 'stall-timeout': '2s' }
  const result = await lab.run('action-dump', storage, inputs, { github })
  await proxy.stop()
  expectExit(result, 1)
  const { error, verdict } = await reportOf<Report>(result)
  expect([verdict, error?.code]).toEqual(['failed', 'stalled'])
  expect(error?.message).toMatch(/^Dump, seal and store: no byte has moved for [23]\.\d s, after [\d.]+ MiB of about/)
  expect(readable(github.open()[0])).toMatch(/Likely cause: Something that the run waited for hung/)
  expect(await storage.keys('shop/heads/')).toEqual([])
})

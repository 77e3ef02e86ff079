import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { actionsRunner } from '../../src/github/actions-runner.ts'
import { appendSummary, fitSummary } from '../../src/github/summary-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'lifeboat-summary-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('what is written never passes 1 MiB, however often', () => {
  const path = join(folder, 'large.md')
  writeFileSync(path, '')
  const large = `${'A line of a summary, with an é.\n'.repeat(30_000)}`
  appendSummary(path, large)
  appendSummary(path, large)
  const written = readFileSync(path)
  expect(written.length).toBeLessThanOrEqual(1_048_576)
  expect(written.toString()).toMatch(/with an é\.\n\n\*The summary was cut here/)
})

test('a summary is cut at a line, with a note, and what was folded is closed', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ maxLength: 20, unit: 'grapheme' })),
      fc.integer({ min: 0, max: 400 }),
      (lines, room) => {
        const markdown = lines.join('\n')
        const fitted = fitSummary(markdown, room)
        expect(Buffer.byteLength(fitted)).toBeLessThanOrEqual(room)
        if (fitted !== markdown && fitted !== '')
          expect(markdown.startsWith(fitted.split('\n\n*The summary')[0] ?? '')).toBe(true)
      },
    ),
  )
  const short = 'short\n'.repeat(100)
  for (let room = 0; room <= short.length; room += 1) {
    expect(Buffer.byteLength(fitSummary(short, room))).toBeLessThanOrEqual(room)
  }
  const cut = fitSummary(`<details>\n<summary>x</summary>\n\n${'row\n'.repeat(200)}</details>\n`, 400)
  expect(cut).toMatch(/row\n\n<\/details>\n\n\*The summary was cut here/)
})

test('without a summary file nothing is written and nothing fails', () => {
  appendSummary(undefined, 'x')
  const runner = actionsRunner({ GITHUB_STEP_SUMMARY: folder })
  runner.writeSummary('a directory is no file')
})

test('the context says where and why the step runs', () => {
  const event = join(folder, 'event.json')
  writeFileSync(event, JSON.stringify({ repository: { default_branch: 'trunk' } }))
  const { context } = actionsRunner({
    GITHUB_EVENT_NAME: 'pull_request_target',
    GITHUB_EVENT_PATH: event,
    GITHUB_REPOSITORY: 'your-org/shop',
    GITHUB_SERVER_URL: 'https://github.example.org',
    GITHUB_RUN_ID: '12',
    GITHUB_RUN_ATTEMPT: '2',
    GITHUB_REF: 'refs/heads/main',
    GITHUB_ACTOR: 'octocat',
    GITHUB_WORKFLOW: 'Backup',
    GITHUB_WORKFLOW_REF: 'your-org/shop/.github/workflows/backup.yml@refs/heads/main',
    GITHUB_JOB: 'dump',
    RUNNER_ENVIRONMENT: 'github-hosted',
  })
  expect(context).toEqual({
    event: 'pull_request_target',
    origin: 'pull_request_target',
    repository: 'your-org/shop',
    runId: '12',
    runUrl: 'https://github.example.org/your-org/shop/actions/runs/12/attempts/2',
    actor: 'octocat',
    ref: 'refs/heads/main',
    defaultBranch: 'trunk',
    isPullRequest: true,
    isFromFork: true,
    isHosted: true,
    workflow: 'Backup',
    workflowFile: 'backup.yml',
    job: 'dump',
  })
  expect(actionsRunner({}).context).toMatchObject({ event: 'local', isPullRequest: false, isHosted: false })
  const required = { GITHUB_REPOSITORY: 'o/r', GITHUB_WORKFLOW_REF: 'o/rules/.github/workflows/a.yml@refs/heads/main' }
  expect(actionsRunner(required).context).not.toHaveProperty('workflowFile')
})

test('a schedule runs on the default branch, whose name its event may leave out', () => {
  const event = join(folder, 'schedule.json')
  const branchOf = (name: string, payload: unknown) => {
    writeFileSync(event, JSON.stringify(payload))
    const env = { GITHUB_EVENT_NAME: name, GITHUB_EVENT_PATH: event, GITHUB_REF: 'refs/heads/release/1' }
    return actionsRunner(env).context.defaultBranch
  }
  expect(branchOf('schedule', { schedule: '47 6 * * *' })).toBe('release/1')
  expect(branchOf('schedule', { repository: { default_branch: 'trunk' } })).toBe('trunk')
  expect(branchOf('workflow_dispatch', {})).toBeUndefined()
})

test('a run that follows another one goes back to the event of that one', () => {
  const follow = (payload: unknown, actor = 'octocat') => {
    const file = join(folder, 'event.json')
    writeFileSync(file, JSON.stringify(payload))
    const env = { GITHUB_EVENT_NAME: 'workflow_run', GITHUB_EVENT_PATH: file, GITHUB_REPOSITORY: 'o/r' }
    const { origin, isPullRequest, isFromFork } = actionsRunner({ ...env, GITHUB_ACTOR: actor }).context
    return [origin, isPullRequest, isFromFork]
  }
  const run = (event: string, from = 'o/r') => ({ workflow_run: { event, head_repository: { full_name: from } } })
  expect(follow(run('schedule'))).toEqual(['schedule', false, false])
  expect(follow(run('push'))).toEqual(['push', false, false])
  expect(follow(run('pull_request'))).toEqual(['pull_request', true, false])
  expect(follow(run('pull_request', 'stranger/r'))).toEqual(['pull_request', true, true])
  expect(follow(run('pull_request'), 'dependabot[bot]')).toEqual(['pull_request', true, true])
  expect(follow({ workflow_run: { event: 'pull_request', head_repository: null } })).toEqual([
    'pull_request',
    true,
    true,
  ])
  for (const payload of [{}, null, { workflow_run: null }]) {
    expect(follow(payload)).toEqual(['workflow_run', false, false])
  }
})

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
  const { context } = actionsRunner({
    GITHUB_EVENT_NAME: 'pull_request_target',
    GITHUB_REPOSITORY: 'your-org/shop',
    GITHUB_SERVER_URL: 'https://github.example.org',
    GITHUB_RUN_ID: '12',
    GITHUB_RUN_ATTEMPT: '2',
    GITHUB_REF: 'refs/heads/main',
    GITHUB_ACTOR: 'octocat',
    GITHUB_WORKFLOW: 'Backup',
    GITHUB_JOB: 'dump',
    RUNNER_ENVIRONMENT: 'github-hosted',
  })
  expect(context).toEqual({
    event: 'pull_request_target',
    repository: 'your-org/shop',
    runUrl: 'https://github.example.org/your-org/shop/actions/runs/12/attempts/2',
    actor: 'octocat',
    ref: 'refs/heads/main',
    isPullRequest: true,
    isFromFork: true,
    isHosted: true,
    workflow: 'Backup',
    job: 'dump',
  })
  expect(actionsRunner({}).context).toMatchObject({ event: 'local', isPullRequest: false, isHosted: false })
})

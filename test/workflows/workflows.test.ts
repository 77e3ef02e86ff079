import { expect, test } from '@jest/globals'
import { ACTIONS } from '../../scripts/lib/actions.ts'
import { ruleViolations } from './rules.ts'
import { documentedWorkflows, parserErrors, projectWorkflows, readWorkflow, runs } from './workflow-file.ts'

const workflows = projectWorkflows()
const READMES = ['README.md', ...ACTIONS.map(({ folder }) => `${folder}/README.md`)]
const documented = READMES.flatMap(documentedWorkflows)

test.each([...workflows, ...documented])('$file is valid and keeps the rules', async (workflow) => {
  expect(await parserErrors(workflow)).toEqual([])
  expect(ruleViolations(workflow)).toEqual([])
})

test('the README and every action show a workflow', () => {
  expect(READMES.filter((file) => documentedWorkflows(file).length === 0)).toEqual([])
})

/** The jobs of a workflow that run under these circumstances, each as if those before it had gone well. */
function jobsThatRun(
  name: string,
  github: object,
  storage = 's3://bucket',
  before: 'ok' | 'failed' | 'cancelled' = 'ok',
) {
  const workflow = workflows.find(({ file }) => file.endsWith(`/${name}.yml`))
  if (workflow === undefined) throw new Error(`no workflow ${name}`)
  const contexts = { github, vars: storage === '' ? {} : { LIFEBOAT_STORAGE: storage } }
  return Object.entries(workflow.jobs)
    .filter(([, job]) => runs(job.if, contexts, job.needs === undefined ? 'ok' : before))
    .map(([id]) => id)
}

const byHand = { event_name: 'workflow_dispatch', repository: 'your-org/shop', event: {} }
const scheduled = { ...byHand, event_name: 'schedule' }
const pullRequest = (from: string, login: string) => ({
  ...byHand,
  event_name: 'pull_request',
  event: { pull_request: { head: { repo: { full_name: from } }, user: { login } } },
})

test('the nightly dump is verified whether it went well or not, and not when it was cancelled', () => {
  expect(jobsThatRun('nightly-dump', scheduled)).toEqual(['dump', 'verify'])
  expect(jobsThatRun('nightly-dump', scheduled, 's3://bucket', 'failed')).toEqual(['dump', 'verify'])
  expect(jobsThatRun('nightly-dump', scheduled, 's3://bucket', 'cancelled')).toEqual(['dump'])
})

test.each(['nightly-dump', 'restore-test', 'pre-release'])('%s only says so while it is not configured', (name) => {
  expect(jobsThatRun(name, byHand, '')).toEqual(['not-configured'])
  expect(jobsThatRun(name, byHand)).not.toContain('not-configured')
})

test('a pull request is proven where there are secrets, and is told where there are none', () => {
  const own = pullRequest('your-org/shop', 'somebody')
  expect(jobsThatRun('pre-release', own)).toEqual(['proven-backup'])
  expect(jobsThatRun('pre-release', { ...byHand, event_name: 'merge_group' })).toEqual(['proven-backup'])
  expect(jobsThatRun('pre-release', byHand)).toEqual(['proven-backup'])
  expect(jobsThatRun('pre-release', pullRequest('your-org/shop', 'dependabot[bot]'))).toEqual(['no-secrets'])
  // A fork sees no variables.
  expect(jobsThatRun('pre-release', pullRequest('somebody/shop', 'somebody'), '')).toEqual(['no-secrets'])
})

test('before a release a new backup is made only if there is no fresh one', () => {
  const steps = workflows.find(({ file }) => file.endsWith('/pre-release.yml'))?.jobs['proven-backup']?.steps ?? []
  const used = (outcome: string, age: string) =>
    steps
      .filter((step) =>
        runs(step.if, { steps: { fresh: { outcome, outputs: { 'backup-age-seconds': age } } }, vars: {} }),
      )
      .flatMap(({ uses }) => (uses?.startsWith('./') ? [uses] : []))
  const hours = (count: number) => String(count * 3_600)
  expect(used('success', hours(19.9))).toEqual(['./action-verify', './action-restore-test'])
  const all = ['./action-verify', './action-dump', './action-restore-test']
  expect(used('success', hours(20.1))).toEqual(all)
  expect(used('failure', hours(1))).toEqual(all)
  expect(used('failure', '')).toEqual(all)
})

test('the rules above can fail', async () => {
  const bad = readWorkflow(
    'bad.yml',
    `on:
  pull_request_target:
  schedule:
    - cron: '0 2 * * *'
    - cron: '*/5 * * * *'
env: { A: b }
jobs:
  one:
    runs-on: ubuntu-latest
    env: { A: b }
    steps:
      - uses: actions/checkout@v7
      - uses: ./action-dump
        with:
          storrage: x
      - uses: ./action-none
      - if: steps.missing.outcome == 'failure'
        run: echo "\${{ secrets.A }}"
  two:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions: { issues: write }
    steps:
      - uses: ./action-verify
        with: { storage: x, alert: 'off' }
  three:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions: { issues: write, actions: read }
    steps:
      - uses: ./action-verify
        with: { storage: x }
  four:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions: { issues: write, actions: write }
    steps:
      - uses: ./action-verify
        with: { storage: x, watch-workflows: a.yml }
`,
  )
  expect(ruleViolations(bad)).toEqual([
    'permissions at the top must be {}',
    'has no concurrency group',
    'env at the top reaches steps that do not need it',
    'pull_request_target runs strangers with secrets',
    '0 2 * * *: not at the full hour, nor several times an hour',
    '*/5 * * * *: not at the full hour, nor several times an hour',
    "one: needs a timeout below GitHub's own of 360 minutes",
    'one: permissions',
    'one: alerts need issues: write, or alert: off',
    'one: runs-on must name a version',
    'one: env of a job reaches steps that do not need it',
    'one: checkout leaves a token behind',
    'one: action-dump has no input storrage',
    'one: action-dump requires the input storage',
    'one: ./action-none is no action of ours',
    'one: an expression inside run: is an injection; pass it in env',
    'one: a secret for a shell',
    'one: no step has the id missing',
    'two: issues: nobody writes any',
    'three: actions: nobody watches any',
    'four: watch-workflows needs actions: read',
    'actions/checkout@v7 is not pinned by its commit SHA with its version as a comment',
  ])
  const errorsOf = (job: string, cron = '17 2 * * *') =>
    parserErrors(
      readWorkflow('invalid.yml', `on: { schedule: [{ cron: '${cron}' }] }\njobs: { a: { runs-on: x, ${job} } }\n`),
    )
  expect(await errorsOf('steps: [{ run: a }]')).toEqual([])
  expect(await errorsOf('steps: [{ run: a }]', '61 2 * * *')).not.toEqual([])
  expect(await errorsOf('steps: [{ run: a }], needs: b')).not.toEqual([])
  expect(await errorsOf('steps: [{ run: a, whith: {} }]')).not.toEqual([])
  expect(await errorsOf("steps: [{ run: a, if: 'always(' }]")).not.toEqual([])
})

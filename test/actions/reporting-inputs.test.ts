import { expect, test } from '@jest/globals'
import { reportingInputsOf } from '../../src/actions/reporting-inputs.ts'
import { readVerifyInputs } from '../../src/actions/verify-inputs.ts'
import { InputError } from '../../src/base/errors.ts'

function source(values: Record<string, string>) {
  const masked: string[] = []
  return { input: (name: string) => values[name] ?? '', mask: (secret: string) => void masked.push(secret), masked }
}

async function problemsOf(values: Record<string, string>): Promise<string[]> {
  try {
    await readVerifyInputs(source({ storage: 's3://bucket', ...values }))
    return []
  } catch (error) {
    if (!(error instanceof InputError)) throw error
    return error.problems.map(({ input, problem }) => `${input} ${problem}`)
  }
}

test('labels besides our own, names without @, secrets masked', () => {
  const given = source({
    alert: 'issue',
    'alert-labels': 'PG-Lifeboat, ops\nneeds: triage',
    'alert-assignees': '@octocat, emu_company, renovate[bot]',
    'alert-silence': '# until the move\nverify/rows until 2026-01-31: it is over\n',
    'github-token': 'ghs_token',
    'heartbeat-url': 'https://hc-ping.com/uuid?a=b',
    'stall-timeout': '0s',
  })
  expect(reportingInputsOf(given)).toEqual({
    alert: 'issue',
    alertLabels: ['ops', 'needs: triage'],
    alertAssignees: ['octocat', 'emu_company', 'renovate[bot]'],
    alertSilences: [{ key: 'verify/rows', until: '2026-01-31', reason: 'it is over' }],
    githubToken: 'ghs_token',
    heartbeatUrl: 'https://hc-ping.com/uuid?a=b',
    stallTimeout: 0,
  })
  expect(given.masked).toEqual(['ghs_token', 'https://hc-ping.com/uuid?a=b'])
})

test('what is wrong is said, and a run that ends for it is told of as if it had not been given', async () => {
  const wrong = {
    alert: 'sometimes',
    'alert-labels': 'x'.repeat(51),
    'alert-assignees': 'org/team, octocat',
    'alert-silence': 'verify/rows until 2199-12-31: for ever',
    'heartbeat-url': 'hc-ping.com/secret',
    'stall-timeout': 'soon',
  }
  expect((await problemsOf(wrong)).sort()).toEqual([
    'alert is none of the known values',
    'alert-assignees holds what is no name of a user',
    'alert-labels holds a label that is too long',
    'alert-silence has a line that is no silence',
    'heartbeat-url is no web address',
    'stall-timeout is not a duration',
  ])
  expect(await problemsOf({ 'alert-assignees': 'abcdefghijk'.split('').join(',') })).toEqual([
    'alert-assignees names too many',
  ])
  expect(reportingInputsOf(source(wrong))).toMatchObject({
    alert: 'auto',
    alertLabels: [],
    alertAssignees: ['octocat'],
  })
})

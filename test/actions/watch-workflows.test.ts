import { expect, test } from '@jest/globals'
import { watchWorkflows } from '../../src/actions/watch-workflows.ts'
import { actionsRunner } from '../../src/github/actions-runner.ts'

test('outside a workflow there is no repository whose workflows could be watched', async () => {
  await expect(
    watchWorkflows(actionsRunner({}), { watchWorkflows: ['a.yml'], githubToken: 'x' }),
  ).rejects.toMatchObject({
    code: 'workflows-nowhere',
    remedy: expect.stringContaining('`watch-workflows`'),
  })
})

import { LifeboatError } from '../base/errors.ts'
import type { WatchedWorkflow } from '../base/workflows.ts'
import type { Runner } from '../github/runner.ts'
import { gitHubAccess } from './github-access.ts'
import type { VerifyInputs } from './verify-inputs.ts'

/** Asks GitHub about the workflows of `watch-workflows`. Rejects with a LifeboatError where it cannot be asked. */
export async function watchWorkflows(
  runner: Runner,
  inputs: Pick<VerifyInputs, 'githubToken' | 'watchWorkflows'>,
): Promise<WatchedWorkflow[]> {
  const { context } = runner
  if (context.repository === '') {
    const remedy = 'Start it from a workflow, or leave `watch-workflows` out.'
    throw new LifeboatError('workflows-nowhere', 'Outside a workflow there is no repository to ask about', remedy)
  }
  const otherwise = 'take the workflows out of `watch-workflows`'
  const access = gitHubAccess(runner, inputs, { signal: runner.signal, otherwise })
  // It takes a while to load, and most runs watch nothing.
  const { lookAtWorkflows } = await import('../github/github-workflows.ts')
  return lookAtWorkflows(inputs.watchWorkflows, { ...access, own: context })
}

import { LifeboatError } from '../base/errors.ts'
import { systemClock } from '../base/ports.ts'
import type { GitHubOptions } from '../github/github-api.ts'
import type { Runner } from '../github/runner.ts'
import type { ReportingInputs } from './reporting-inputs.ts'

/** What it takes to ask GitHub about the run's own repository. `otherwise`: what to do who wants to give no token. */
export function gitHubAccess(
  { context, log }: Runner,
  { githubToken }: Pick<ReportingInputs, 'githubToken'>,
  { signal, otherwise }: { signal: AbortSignal; otherwise: string },
): GitHubOptions {
  if (githubToken === undefined) {
    const remedy = `Leave \`github-token\` out, then the job’s own token is used, or ${otherwise}.`
    throw new LifeboatError('no-github-token', '`github-token` is empty (a missing secret is)', remedy)
  }
  const apiUrl = process.env.GITHUB_API_URL || 'https://api.github.com'
  return { token: githubToken, repository: context.repository, apiUrl, clock: systemClock, log, signal }
}

import { readFileSync } from 'node:fs'
import type { RunContext } from './runner.ts'

/** Where and why the step runs, by the variables that GitHub's runner sets and the event's own words. */
export function readContext(env: NodeJS.ProcessEnv): RunContext {
  const event = env.GITHUB_EVENT_NAME || 'local'
  const repository = env.GITHUB_REPOSITORY ?? ''
  const runUrl = describeRun(env, repository)
  const isPullRequest = event.startsWith('pull_request')
  return {
    event,
    repository,
    ...(runUrl && { runUrl }),
    ...(env.GITHUB_ACTOR && { actor: env.GITHUB_ACTOR }),
    ref: env.GITHUB_REF ?? '',
    isPullRequest,
    isFromFork: isPullRequest && (headRepository(env) !== repository || env.GITHUB_ACTOR === 'dependabot[bot]'),
    isHosted: env.RUNNER_ENVIRONMENT === 'github-hosted',
    workflow: env.GITHUB_WORKFLOW ?? '',
    job: env.GITHUB_JOB ?? '',
  }
}

function describeRun(env: NodeJS.ProcessEnv, repository: string): string | undefined {
  if (!env.GITHUB_RUN_ID || repository === '') return undefined
  const run = `${env.GITHUB_SERVER_URL || 'https://github.com'}/${repository}/actions/runs/${env.GITHUB_RUN_ID}`
  return Number(env.GITHUB_RUN_ATTEMPT) > 1 ? `${run}/attempts/${env.GITHUB_RUN_ATTEMPT}` : run
}

/** Where the pull request's commits come from; undefined where that cannot be told, or was deleted. */
function headRepository(env: NodeJS.ProcessEnv): string | undefined {
  try {
    const event = JSON.parse(readFileSync(env.GITHUB_EVENT_PATH ?? '', 'utf8'))
    return event?.pull_request?.head?.repo?.full_name
  } catch {
    return undefined
  }
}

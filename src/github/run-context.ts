import { readFileSync } from 'node:fs'
import type { RunContext } from './runner.ts'

/** The event's own words, as far as we listen to them. */
interface EventPayload {
  repository?: { default_branch?: string }
  pull_request?: { head?: { repo?: Repository } }
  workflow_run?: { event?: string; head_repository?: Repository }
}

/** Null where it was deleted. */
type Repository = { full_name?: string } | null

/** Where and why the step runs, by the variables that GitHub's runner sets and the event's own words. */
export function readContext(env: NodeJS.ProcessEnv): RunContext {
  const event = env.GITHUB_EVENT_NAME || 'local'
  const repository = env.GITHUB_REPOSITORY ?? ''
  const runUrl = describeRun(env, repository)
  const workflowFile = ownFile(env, repository)
  const payload = readPayload(env)
  const defaultBranch = payload.repository?.default_branch || scheduledBranch(event, env)
  const origin = (event === 'workflow_run' && payload.workflow_run?.event) || event
  const isPullRequest = origin.startsWith('pull_request')
  const isOfOthers = headRepository(event, payload) !== repository || env.GITHUB_ACTOR === 'dependabot[bot]'
  return {
    event,
    origin,
    repository,
    ...(env.GITHUB_RUN_ID && { runId: env.GITHUB_RUN_ID }),
    ...(runUrl && { runUrl }),
    ...(env.GITHUB_ACTOR && { actor: env.GITHUB_ACTOR }),
    ref: env.GITHUB_REF ?? '',
    ...(defaultBranch && { defaultBranch }),
    isPullRequest,
    isFromFork: isPullRequest && isOfOthers,
    isHosted: env.RUNNER_ENVIRONMENT === 'github-hosted',
    workflow: env.GITHUB_WORKFLOW ?? '',
    ...(workflowFile && { workflowFile }),
    job: env.GITHUB_JOB ?? '',
  }
}

function describeRun(env: NodeJS.ProcessEnv, repository: string): string | undefined {
  if (!env.GITHUB_RUN_ID || repository === '') return undefined
  const run = `${env.GITHUB_SERVER_URL || 'https://github.com'}/${repository}/actions/runs/${env.GITHUB_RUN_ID}`
  return Number(env.GITHUB_RUN_ATTEMPT) > 1 ? `${run}/attempts/${env.GITHUB_RUN_ATTEMPT}` : run
}

/** A schedule runs on the default branch, and its event may say nothing of the repository. */
function scheduledBranch(event: string, env: NodeJS.ProcessEnv): string | undefined {
  return event === 'schedule' ? env.GITHUB_REF?.replace(/^refs\/heads\//, '') : undefined
}

/** From `owner/name/.github/workflows/file.yml@refs/heads/main`; a workflow that an organization requires lies elsewhere. */
function ownFile(env: NodeJS.ProcessEnv, repository: string): string | undefined {
  const folder = `${repository}/.github/workflows/`
  const { GITHUB_WORKFLOW_REF: reference = '' } = env
  return reference.startsWith(folder) ? reference.slice(folder.length).replace(/@.*$/, '') : undefined
}

/** Where the pull request's commits come from; undefined where that cannot be told, or was deleted. */
function headRepository(event: string, { pull_request, workflow_run }: EventPayload): string | undefined {
  return (event === 'workflow_run' ? workflow_run?.head_repository : pull_request?.head?.repo)?.full_name
}

function readPayload(env: NodeJS.ProcessEnv): EventPayload {
  try {
    return JSON.parse(readFileSync(env.GITHUB_EVENT_PATH ?? '', 'utf8')) ?? {}
  } catch {
    return {}
  }
}

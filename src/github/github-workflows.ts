import type { EndedRun, WatchedWorkflow } from '../base/workflows.ts'
import { apiError } from './api-errors.ts'
import { GitHubApi, type GitHubOptions, type Octokit, whole } from './github-api.ts'
import type { RunContext } from './runner.ts'
import { explainWorkflowRefusal } from './workflow-errors.ts'

/** A pull request's run fails for reasons of its own, and somebody looks at it. */
const EVENTS = ['schedule', 'workflow_dispatch', 'repository_dispatch']

/** Enough for those that are still under way before the one that has ended. */
const PAGE = 10

type ApiRun = Awaited<ReturnType<Octokit['rest']['actions']['listWorkflowRuns']>>['data']['workflow_runs'][number]

export interface WorkflowsOptions extends GitHubOptions {
  /** The run that asks. */
  own: Pick<RunContext, 'runId' | 'workflowFile'>
}

/**
 * Looks at workflows of a repository, named by their files: whether GitHub starts them, and how each last ended. Rejects with
 * a LifeboatError that says what to do where GitHub does not answer, or not to this token.
 */
export async function lookAtWorkflows(files: readonly string[], options: WorkflowsOptions): Promise<WatchedWorkflow[]> {
  const api = new GitHubApi(options, { kind: 'workflows', refusal: explainWorkflowRefusal })
  const watched: WatchedWorkflow[] = []
  for (const file of files) {
    const isOwn = file === options.own.workflowFile
    const state = await stateOf(api, file)
    const lastRun = state === undefined || isOwn ? undefined : await lastRunOf(api, file, options.own.runId)
    watched.push({ file, isOwn, ...(state !== undefined && { state }), ...(lastRun && { lastRun }) })
  }
  return watched
}

function stateOf(api: GitHubApi, file: string): Promise<string | undefined> {
  return api.ask(`look at the workflow ${file}`, async (request) => {
    try {
      return whole((await api.rest.actions.getWorkflow({ ...api.place, workflow_id: file, request })).data).state
    } catch (error) {
      if (apiError(error).status !== 404) throw error
      return undefined
    }
  })
}

/** Event by event: a busy workflow may have run for a thousand pull requests since it last ran on its schedule. */
async function lastRunOf(api: GitHubApi, file: string, ownId: string | undefined): Promise<EndedRun | undefined> {
  const ended: ApiRun[] = []
  for (const event of EVENTS) {
    const listed = await api.ask(`list the runs of the workflow ${file}`, async (request) => {
      const query = { ...api.place, workflow_id: file, event, per_page: PAGE, exclude_pull_requests: true, request }
      return whole((await api.rest.actions.listWorkflowRuns(query)).data).workflow_runs
    })
    ended.push(...listed.filter((run) => hasEnded(run) && String(run.id) !== ownId))
  }
  // A run that is started again keeps its number: what was mended so is mended.
  const [newest] = ended.toSorted((a, b) => b.run_number - a.run_number)
  return newest && toEndedRun(newest)
}

/** One whose jobs were all skipped has done nothing, good or bad. */
function hasEnded({ status, conclusion }: ApiRun): boolean {
  return status === 'completed' && conclusion !== 'skipped'
}

function toEndedRun({ run_started_at, created_at, conclusion, html_url }: ApiRun): EndedRun {
  return { startedAt: new Date(run_started_at ?? created_at), conclusion: conclusion ?? 'unknown', url: html_url }
}

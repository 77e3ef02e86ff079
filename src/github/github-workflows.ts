import type { EndedRun, WatchedWorkflow } from '../base/workflows.ts'
import { apiError } from './api-errors.ts'
import { GitHubApi, type GitHubOptions, type Octokit, whole } from './github-api.ts'
import type { RunContext } from './runner.ts'
import { explainWorkflowRefusal } from './workflow-errors.ts'

/** A pull request's run fails for reasons of its own, and somebody looks at it. */
const EVENTS = ['schedule', 'workflow_dispatch', 'repository_dispatch', 'workflow_run']

const PAGE = 30
const MOST_PAGES = 3

type ApiRun = Awaited<ReturnType<Octokit['rest']['actions']['listWorkflowRuns']>>['data']['workflow_runs'][number]

export interface WorkflowsOptions extends GitHubOptions {
  /** The run that asks. */
  own: Pick<RunContext, 'runId' | 'workflowFile' | 'defaultBranch'>
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
    const lastRun = state === undefined || isOwn ? undefined : await lastRunOf(api, file, options.own)
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
async function lastRunOf(api: GitHubApi, file: string, own: WorkflowsOptions['own']): Promise<EndedRun | undefined> {
  const runs: ApiRun[] = []
  for (const event of EVENTS) runs.push(...(await runsOf(api, file, event, own)))
  const newestUnderWay = Math.max(...runs.filter(({ status }) => status !== 'completed').map((run) => run.run_number))
  // GitHub cancels a run that waits where a newer one comes to wait: then the newer one is to tell.
  const gaveWay = (run: ApiRun) => run.conclusion === 'cancelled' && run.run_number < newestUnderWay
  // A run that is started again keeps its number: what was mended so is mended.
  const [newest] = runs.filter((run) => hasEnded(run) && !gaveWay(run)).toSorted((a, b) => b.run_number - a.run_number)
  return newest && toEndedRun(newest)
}

/** The newest ones, as far back as there is one that tells something. On the default branch, as schedules are: others are tries. */
async function runsOf(api: GitHubApi, file: string, event: string, own: WorkflowsOptions['own']): Promise<ApiRun[]> {
  const branch = own.defaultBranch === undefined ? {} : { branch: own.defaultBranch }
  const runs: ApiRun[] = []
  for (let page = 1; page <= MOST_PAGES; page += 1) {
    const listed = await api.ask(`list the runs of the workflow ${file}`, async (request) => {
      const which = { workflow_id: file, event, ...branch, exclude_pull_requests: true, per_page: PAGE, page }
      return whole((await api.rest.actions.listWorkflowRuns({ ...api.place, ...which, request })).data).workflow_runs
    })
    runs.push(...listed.filter(({ id }) => String(id) !== own.runId))
    if (listed.length < PAGE || runs.some((run) => hasEnded(run) && run.conclusion !== 'cancelled')) break
  }
  return runs
}

/** One whose jobs were all skipped has done nothing, good or bad. */
function hasEnded({ status, conclusion }: ApiRun): boolean {
  return status === 'completed' && conclusion !== 'skipped'
}

function toEndedRun({ run_started_at, created_at, conclusion, html_url }: ApiRun): EndedRun {
  return { startedAt: new Date(run_started_at ?? created_at), conclusion: conclusion ?? 'unknown', url: html_url }
}

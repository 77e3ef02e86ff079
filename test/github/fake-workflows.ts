import type { Call } from './api-description.ts'
import { type Answer, refusal, userOf } from './fake-issues.ts'

export interface FakeRun {
  id: number
  /** Counts up within its workflow; a run that is started again keeps it. */
  number: number
  event: string
  status: string
  conclusion: string | null
  startedAt: Date
  branch: string
}

interface FakeWorkflow {
  state: string
  runs: FakeRun[]
}

/** The workflows of one repository and their runs, and what GitHub answers to calls about them. */
export class FakeWorkflows {
  readonly #workflows = new Map<string, FakeWorkflow>()
  readonly #url: string

  /** `url` is that of the repository. */
  constructor(url: string) {
    this.#url = url
  }

  set(file: string, state = 'active'): void {
    this.#workflows.set(file, { state, runs: this.#workflows.get(file)?.runs ?? [] })
  }

  /** A run that follows those that are there: on the schedule, and passed, unless it is said otherwise. */
  addRun(file: string, run: Partial<FakeRun> = {}): FakeRun {
    const runs = this.#workflows.get(file)?.runs ?? []
    const number = runs.length + 1
    const defaults = { id: 1_000 + number, number, event: 'schedule', startedAt: new Date(), branch: 'main' }
    const added = { ...defaults, status: 'completed', conclusion: 'success', ...run }
    runs.push(added)
    return added
  }

  urlOf({ id }: FakeRun): string {
    return `${this.#url}/actions/runs/${id}`
  }

  answer({ operationId, path }: Call, query: URLSearchParams): Answer {
    const { workflow_id: file = '' } = path
    const workflow = this.#workflows.get(file)
    if (workflow === undefined) return refusal(404, 'Not Found')
    if (operationId === 'actions/get-workflow') return { status: 200, body: this.#shown(file, workflow) }
    const event = query.get('event')
    const branch = query.get('branch')
    const found = workflow.runs
      .filter((run) => (event === null || run.event === event) && (branch === null || run.branch === branch))
      .toSorted((a, b) => b.number - a.number)
    const size = Number(query.get('per_page') ?? 30)
    const start = (Number(query.get('page') ?? 1) - 1) * size
    const shown = found.slice(start, start + size).map((run) => this.#shownRun(file, run))
    return { status: 200, body: { total_count: found.length, workflow_runs: shown } }
  }

  #shown(file: string, { state }: FakeWorkflow): object {
    const url = `${this.#url}/actions/workflows/${file}`
    const times = { created_at: '2026-01-01T00:00:00.000Z', updated_at: '2026-01-01T00:00:00.000Z' }
    const place = { path: `.github/workflows/${file}`, url, html_url: url, badge_url: `${url}/badge.svg` }
    return { id: 7, node_id: 'W', name: file.replace(/\..*$/, ''), state, ...place, ...times }
  }

  #shownRun(file: string, run: FakeRun): object {
    const { id, number, event, status, conclusion, startedAt, branch } = run
    const url = this.urlOf(run)
    const at = startedAt.toISOString()
    const links = 'jobs logs check_suite cancel rerun artifacts workflow'.split(' ').map((name) => [`${name}_url`, url])
    const repository = repositoryOf(this.#url)
    return {
      ...Object.fromEntries(links),
      ...{ id, node_id: 'R', run_number: number, event, status, conclusion, workflow_id: 7, url, html_url: url },
      ...{ head_branch: branch, head_sha: '0'.repeat(40), head_commit: null, pull_requests: [] },
      ...{ path: `.github/workflows/${file}`, display_title: file, repository, head_repository: repository },
      ...{ created_at: at, updated_at: at, run_started_at: at },
    }
  }
}

const REPOSITORY_LINKS =
  'archive assignees blobs branches collaborators comments commits compare contents contributors deployments downloads events forks git_commits git_refs git_tags hooks html issue_comment issue_events issues keys labels languages merges milestones notifications pulls releases stargazers statuses subscribers subscription tags teams trees'.split(
    ' ',
  )

function repositoryOf(url: string): object {
  const full_name = new URL(url).pathname.slice(1)
  const [login = '', name] = full_name.split('/')
  const links = Object.fromEntries(REPOSITORY_LINKS.map((link) => [`${link}_url`, url]))
  const owner = userOf({ login, type: 'User' })
  return { ...links, id: 1, node_id: 'P', name, full_name, owner, url, private: false, fork: false, description: null }
}

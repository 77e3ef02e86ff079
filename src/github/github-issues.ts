import { getOctokit } from '@actions/github'
import { LifeboatError } from '../base/errors.ts'
import type { Clock, Log } from '../base/ports.ts'
import { apiError, askedDelay, explainIssueError, isPassing, isSurelyUndone } from './issue-errors.ts'
import type { Issue, IssueChange, IssueDraft, IssueTracker } from './issue-tracker.ts'

/** How long GitHub is waited for, all requests of a run together; milliseconds. */
export interface TrackerPatience {
  total: number
  /** For one answer. */
  request: number
  firstDelay: number
}

export const TRACKER_PATIENCE: TrackerPatience = { total: 60_000, request: 15_000, firstDelay: 1_000 }

export interface GitHubIssuesOptions {
  token: string
  /** `owner/name` */
  repository: string
  /** Of the REST API; on github.com https://api.github.com. */
  apiUrl: string
  clock: Clock
  log: Log
  signal: AbortSignal
  patience?: TrackerPatience
}

const PAGE = 100
const LABEL_COLOR = 'b60205'
const LABEL_DESCRIPTION = 'Alerts of pg-lifeboat about backups'
const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

type Octokit = ReturnType<typeof getOctokit>
type ApiIssue = Awaited<ReturnType<Octokit['rest']['issues']['create']>>['data']

/**
 * The issues of a repository on GitHub, or on a server of one's own, through @actions/github, which honours the proxy
 * variables. Asks again, with growing delays, what failed for a moment; gives up once a minute is spent over all. Never
 * the search API: it lags behind, and what it does not find yet would be opened twice.
 */
export function openGitHubIssues(options: GitHubIssuesOptions): IssueTracker {
  const { token, apiUrl, clock } = options
  const octokit = getOctokit(token, { baseUrl: apiUrl, log: SILENT })
  return new GitHubIssues(options, octokit, clock.now().getTime())
}

class GitHubIssues implements IssueTracker {
  readonly #options: GitHubIssuesOptions
  readonly #octokit: Octokit
  readonly #patience: TrackerPatience
  readonly #deadline: number
  readonly #place: { owner: string; repo: string }

  constructor(options: GitHubIssuesOptions, octokit: Octokit, began: number) {
    const [owner = '', repo = ''] = options.repository.split('/')
    this.#options = options
    this.#octokit = octokit
    this.#patience = options.patience ?? TRACKER_PATIENCE
    this.#deadline = began + this.#patience.total
    this.#place = { owner, repo }
  }

  async list(label: string, which: 'open' | { closedSince: Date }): Promise<Issue[]> {
    const filter =
      which === 'open'
        ? { state: 'open' as const }
        : { state: 'closed' as const, since: which.closedSince.toISOString() }
    const issues: Issue[] = []
    for (let page = 1; ; page += 1) {
      const found = await this.#ask('list the issues', async (request) => {
        const order = { sort: 'created', direction: 'asc' } as const
        const { issues: api } = this.#octokit.rest
        const query = { ...this.#place, ...filter, ...order, labels: label, per_page: PAGE, page, request }
        return whole((await api.listForRepo(query)).data)
      })
      issues.push(
        ...found.filter((issue) => issue.pull_request === undefined).map((issue) => toIssue(issue as ApiIssue)),
      )
      if (found.length < PAGE) break
    }
    // `since` is the time of the last change, and a comment is one.
    return which === 'open' ? issues : issues.filter(({ closedAt }) => closedAt && closedAt >= which.closedSince)
  }

  async create({ title, body, labels }: IssueDraft): Promise<Issue> {
    const created = await this.#ask('open an issue', async (request) => {
      const draft = { ...this.#place, title, body, labels: [...labels], request }
      return whole((await this.#octokit.rest.issues.create(draft)).data)
    })
    return toIssue(created)
  }

  async update(number: number, { title, body, state, reason }: IssueChange): Promise<void> {
    await this.#ask(`update issue ${number}`, (request) =>
      this.#octokit.rest.issues.update({
        ...this.#place,
        issue_number: number,
        ...(title !== undefined && { title }),
        ...(body !== undefined && { body }),
        ...(state !== undefined && { state }),
        ...(reason !== undefined && { state_reason: reason }),
        request,
      }),
    )
  }

  async closeAsDuplicate(number: number, original: Issue): Promise<void> {
    await this.comment(number, `Duplicate of #${original.number}`)
    const close = (state_reason: 'duplicate' | 'not_planned') =>
      this.#ask(`close issue ${number}`, (request) =>
        this.#octokit.rest.issues.update({
          ...this.#place,
          issue_number: number,
          state: 'closed',
          state_reason: state_reason as 'not_planned',
          request,
        }),
      )
    try {
      await close('duplicate')
    } catch (error) {
      // Servers of one's own may not know that reason yet.
      if (!(error instanceof LifeboatError) || apiError(error.cause).status !== 422) throw error
      await close('not_planned')
    }
  }

  async comment(number: number, body: string): Promise<void> {
    await this.#ask(
      `comment on issue ${number}`,
      (request) => this.#octokit.rest.issues.createComment({ ...this.#place, issue_number: number, body, request }),
      // Of two equal comments one is noise.
      { repeatable: false },
    )
  }

  async ensureLabel(name: string): Promise<void> {
    const { issues } = this.#octokit.rest
    await this.#ask(`make the label ${name}`, async (request) => {
      try {
        await issues.getLabel({ ...this.#place, name, request })
      } catch (error) {
        if (apiError(error).status !== 404) throw error
        await issues
          .createLabel({ ...this.#place, name, color: LABEL_COLOR, description: LABEL_DESCRIPTION, request })
          .catch((refused: unknown) => {
            // Another run made it a moment ago.
            if (apiError(refused).status !== 422) throw refused
          })
      }
    })
  }

  async addLabels(number: number, labels: readonly string[]): Promise<void> {
    await this.#ask(`label issue ${number}`, (request) =>
      this.#octokit.rest.issues.addLabels({ ...this.#place, issue_number: number, labels: [...labels], request }),
    )
  }

  async assign(number: number, users: readonly string[]): Promise<string[]> {
    const add = (assignees: readonly string[]) =>
      this.#ask(`assign issue ${number}`, async (request) => {
        const { issues } = this.#octokit.rest
        const asked = { ...this.#place, issue_number: number, assignees: [...assignees], request }
        const { data } = await issues.addAssignees(asked)
        return toIssue(data as ApiIssue).assignees.map((name) => name.toLowerCase())
      })
    const refused = async (assignees: readonly string[]): Promise<string[]> => {
      try {
        const assigned = await add(assignees)
        return assignees.filter((name) => !assigned.includes(name.toLowerCase()))
      } catch (error) {
        const { status } = apiError((error as LifeboatError).cause)
        if (status !== 404 && status !== 422) throw error
        // One that does not exist spoils it for all.
        if (assignees.length === 1) return [...assignees]
        const each: string[] = []
        for (const name of assignees) each.push(...(await refused([name])))
        return each
      }
    }
    return users.length === 0 ? [] : refused(users)
  }

  /** One request, and those that follow it while it fails for a moment and there is time. */
  async #ask<T>(
    what: string,
    send: (request: { signal: AbortSignal }) => Promise<T>,
    { repeatable = true }: { repeatable?: boolean } = {},
  ): Promise<T> {
    const { clock, log, signal, repository } = this.#options
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted()
      const left = this.#deadline - clock.now().getTime()
      try {
        return await send({ signal: AbortSignal.any([signal, AbortSignal.timeout(this.#limit(left))]) })
      } catch (error) {
        signal.throwIfAborted()
        const answer = apiError(error)
        const delay = askedDelay(answer, clock.now()) ?? this.#patience.firstDelay * 2 ** (attempt - 1)
        const again = repeatable ? isPassing(answer) : isSurelyUndone(answer)
        if (!again || clock.now().getTime() + delay >= this.#deadline) throw explainIssueError(error, repository, what)
        log.debug(`cannot ${what}: ${answer.status} ${answer.message}; trying again in ${(delay / 1_000).toFixed(1)} s`)
        await clock.sleep(delay, signal)
      }
    }
  }

  #limit(left: number): number {
    return Math.max(1, Math.min(left, this.#patience.request))
  }
}

/** Of an answer that was cut off @octokit makes a text. */
function whole<T>(data: T): T {
  if (typeof data !== 'object' || data === null) throw new Error('the answer is cut off')
  return data
}

function toIssue(issue: ApiIssue): Issue {
  const association = issue.author_association
  return {
    number: issue.number,
    title: issue.title,
    body: issue.body ?? '',
    state: issue.state === 'closed' ? 'closed' : 'open',
    ...(issue.closed_at && { closedAt: new Date(issue.closed_at) }),
    isDuplicate: issue.state_reason === 'duplicate',
    labels: issue.labels.map((label) => (typeof label === 'string' ? label : (label.name ?? ''))),
    assignees: (issue.assignees ?? []).map(({ login }) => login),
    isTrusted: issue.user?.type === 'Bot' || ['OWNER', 'MEMBER', 'COLLABORATOR'].includes(association ?? ''),
    url: issue.html_url,
  }
}

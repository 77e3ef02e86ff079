import { LifeboatError } from '../base/errors.ts'
import { apiError } from './api-errors.ts'
import { GitHubApi, type GitHubOptions, type Octokit, whole } from './github-api.ts'
import { explainIssueRefusal } from './issue-errors.ts'
import type { Issue, IssueChange, IssueDraft, IssueTracker } from './issue-tracker.ts'

const PAGE = 100
const LABEL_COLOR = 'b60205'
const LABEL_DESCRIPTION = 'Alerts of pg-lifeboat about backups'

type ApiIssue = Awaited<ReturnType<Octokit['rest']['issues']['create']>>['data']

/**
 * The issues of a repository on GitHub, or on a server of one's own. Never the search API: it lags behind, and what it does
 * not find yet would be opened twice.
 */
export function openGitHubIssues(options: GitHubOptions): IssueTracker {
  return new GitHubIssues(new GitHubApi(options, { kind: 'issues', refusal: explainIssueRefusal }))
}

class GitHubIssues implements IssueTracker {
  readonly #api: GitHubApi

  constructor(api: GitHubApi) {
    this.#api = api
  }

  async list(label: string, which: 'open' | { closedSince: Date }): Promise<Issue[]> {
    const filter =
      which === 'open'
        ? { state: 'open' as const }
        : { state: 'closed' as const, since: which.closedSince.toISOString() }
    const issues: Issue[] = []
    for (let page = 1; ; page += 1) {
      const found = await this.#api.ask('list the issues', async (request) => {
        const order = { sort: 'created', direction: 'asc' } as const
        const { issues: api } = this.#api.rest
        const query = { ...this.#api.place, ...filter, ...order, labels: label, per_page: PAGE, page, request }
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
    const created = await this.#api.ask('open an issue', async (request) => {
      const draft = { ...this.#api.place, title, body, labels: [...labels], request }
      return whole((await this.#api.rest.issues.create(draft)).data)
    })
    return toIssue(created)
  }

  async update(number: number, { title, body, state, reason }: IssueChange): Promise<void> {
    await this.#api.ask(`update issue ${number}`, (request) =>
      this.#api.rest.issues.update({
        ...this.#api.place,
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
      this.#api.ask(`close issue ${number}`, (request) =>
        this.#api.rest.issues.update({
          ...this.#api.place,
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
    await this.#api.ask(
      `comment on issue ${number}`,
      (request) => this.#api.rest.issues.createComment({ ...this.#api.place, issue_number: number, body, request }),
      // Of two equal comments one is noise.
      { repeatable: false },
    )
  }

  async ensureLabel(name: string): Promise<void> {
    const { issues } = this.#api.rest
    await this.#api.ask(`make the label ${name}`, async (request) => {
      try {
        await issues.getLabel({ ...this.#api.place, name, request })
      } catch (error) {
        if (apiError(error).status !== 404) throw error
        await issues
          .createLabel({ ...this.#api.place, name, color: LABEL_COLOR, description: LABEL_DESCRIPTION, request })
          .catch((refused: unknown) => {
            // Another run made it a moment ago.
            if (apiError(refused).status !== 422) throw refused
          })
      }
    })
  }

  async addLabels(number: number, labels: readonly string[]): Promise<void> {
    await this.#api.ask(`label issue ${number}`, (request) =>
      this.#api.rest.issues.addLabels({ ...this.#api.place, issue_number: number, labels: [...labels], request }),
    )
  }

  async assign(number: number, users: readonly string[]): Promise<string[]> {
    const add = (assignees: readonly string[]) =>
      this.#api.ask(`assign issue ${number}`, async (request) => {
        const { issues } = this.#api.rest
        const asked = { ...this.#api.place, issue_number: number, assignees: [...assignees], request }
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

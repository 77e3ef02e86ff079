import type { Call } from './api-description.ts'

export interface FakeIssue {
  number: number
  title: string
  body: string
  state: 'open' | 'closed'
  reason: string | null
  labels: string[]
  assignees: string[]
  author: { login: string; type: string; association: string }
  isPullRequest: boolean
  createdAt: Date
  updatedAt: Date
  closedAt: Date | null
  comments: string[]
}

export interface Answer {
  status: number
  body: unknown
  headers?: Record<string, string>
}

/** All that a request of ours can hold. */
export interface RequestBody {
  title?: string
  body?: string
  state?: FakeIssue['state']
  state_reason?: string | null
  labels?: string[]
  assignees?: string[]
  name?: string
  color?: string
  description?: string | null
}

const BOT = { login: 'github-actions[bot]', type: 'Bot', association: 'NONE' }
const DOCUMENTATION = 'https://docs.github.com/rest'

export function refusal(status: number, message = 'No', headers: Record<string, string> = {}): Answer {
  const errors = status === 422 ? { errors: [{ resource: 'Issue', field: 'assignees', code: 'invalid' }] } : {}
  return { status, headers, body: { message, documentation_url: DOCUMENTATION, status: String(status), ...errors } }
}

/** The issues and labels of one repository, and what GitHub answers to calls about them. */
export class FakeIssues {
  readonly issues: FakeIssue[] = []
  readonly labels = new Map<string, { color: string; description: string | null }>()
  /** Those who can be assigned. */
  readonly collaborators = ['octocat', 'hubot']
  readonly #url: string

  /** `url` is that of the repository. */
  constructor(url: string) {
    this.#url = url
  }

  add(issue: Partial<FakeIssue> = {}): FakeIssue {
    const now = new Date()
    const added: FakeIssue = {
      number: this.issues.length + 1,
      title: 'An issue',
      body: '',
      state: 'open',
      reason: null,
      labels: [],
      assignees: [],
      author: BOT,
      isPullRequest: false,
      createdAt: now,
      updatedAt: now,
      closedAt: null,
      comments: [],
      ...issue,
    }
    this.issues.push(added)
    return added
  }

  answer(call: Call, query: URLSearchParams, body: RequestBody): Answer {
    if (call.operationId === 'issues/list-for-repo') return this.#list(query)
    if (call.operationId === 'issues/get-label') {
      const { name = '' } = call.path
      return this.labels.has(name) ? { status: 200, body: this.#label(name) } : refusal(404, 'Not Found')
    }
    if (call.operationId === 'issues/create-label') return this.#createLabel(body)
    if (call.operationId === 'issues/create') {
      const { title = '', body: text = '', labels = [] } = body
      return { status: 201, body: this.#shown(this.add({ title, body: text, labels })) }
    }
    const issue = this.issues.find(({ number }) => String(number) === call.path.issue_number)
    return issue === undefined ? refusal(404, 'Not Found') : this.#answerOf(issue, call.operationId, body)
  }

  #answerOf(issue: FakeIssue, operation: string, body: RequestBody): Answer {
    switch (operation) {
      case 'issues/update':
        return this.#update(issue, body)
      case 'issues/create-comment':
        return this.#comment(issue, body)
      case 'issues/add-labels':
        issue.labels = [...new Set([...issue.labels, ...(body.labels ?? [])])]
        return { status: 200, body: issue.labels.map((name) => this.#label(name)) }
      case 'issues/add-assignees':
        return this.#assign(issue, body.assignees ?? [])
      default:
        throw new Error(`the fake cannot ${operation}`)
    }
  }

  #list(query: URLSearchParams): Answer {
    const [label, wanted, since] = [query.get('labels'), query.get('state') ?? 'open', query.get('since')]
    const found = this.issues
      .filter(({ labels }) => label === null || label.split(',').every((name) => labels.includes(name)))
      .filter(({ state }) => wanted === 'all' || state === wanted)
      .filter(({ updatedAt }) => since === null || updatedAt >= new Date(since))
      .sort((a, b) => (a.number - b.number) * (query.get('direction') === 'asc' ? 1 : -1))
    const size = Number(query.get('per_page') ?? 30)
    const page = Number(query.get('page') ?? 1)
    const next = new URLSearchParams({ ...Object.fromEntries(query), page: String(page + 1) })
    return {
      status: 200,
      body: found.slice((page - 1) * size, page * size).map((issue) => this.#shown(issue)),
      headers: found.length > page * size ? { link: `<${this.#url}/issues?${next}>; rel="next"` } : {},
    }
  }

  #update(issue: FakeIssue, { title, body, state, state_reason: reason = null }: RequestBody): Answer {
    const now = new Date()
    if ((body ?? '').length > 65_536) return refusal(422, 'body is too long (maximum is 65536 characters)')
    if (state !== undefined && state !== issue.state) issue.closedAt = state === 'closed' ? now : null
    Object.assign(issue, {
      updatedAt: now,
      ...(title !== undefined && { title }),
      ...(body !== undefined && { body }),
      ...(state !== undefined && { state, reason }),
    })
    return { status: 200, body: this.#shown(issue) }
  }

  #comment(issue: FakeIssue, { body = '' }: RequestBody): Answer {
    issue.comments.push(body)
    issue.updatedAt = new Date()
    const id = issue.comments.length
    const url = `${this.#url}/issues/${issue.number}#${id}`
    const times = { created_at: issue.updatedAt.toISOString(), updated_at: issue.updatedAt.toISOString() }
    const links = { url, html_url: url, issue_url: url }
    return { status: 201, body: { id, node_id: 'C', body, user: userOf(BOT), ...links, ...times } }
  }

  /** Those who do not exist spoil it for all; those without access are passed over in silence. */
  #assign(issue: FakeIssue, names: readonly string[]): Answer {
    if (names.some((name) => name.startsWith('nobody'))) return refusal(404, 'Not Found')
    issue.assignees = [...new Set([...issue.assignees, ...names.filter((name) => this.collaborators.includes(name))])]
    return { status: 201, body: this.#shown(issue) }
  }

  #createLabel({ name = '', color = '', description = null }: RequestBody): Answer {
    if (this.labels.has(name)) return refusal(422, 'Validation Failed')
    this.labels.set(name, { color, description })
    return { status: 201, body: this.#label(name) }
  }

  #label(name: string): object {
    const known = this.labels.get(name) ?? { color: 'ededed', description: null }
    return {
      id: 1,
      node_id: 'L',
      url: `${this.#url}/labels/${encodeURIComponent(name)}`,
      name,
      default: false,
      ...known,
    }
  }

  #shown(issue: FakeIssue): object {
    const { number, title, body, state, reason, assignees, author, createdAt, updatedAt, closedAt } = issue
    const url = `${this.#url}/issues/${number}`
    const urls = ['url', 'html_url', 'comments_url', 'events_url', 'labels_url', 'repository_url'].map((name) => [
      name,
      url,
    ])
    const pull = { url, html_url: url, diff_url: url, patch_url: url }
    return {
      ...Object.fromEntries(urls),
      id: 1_000 + number,
      node_id: 'I',
      ...{ number, title, body, state, state_reason: reason, locked: false },
      labels: issue.labels.map((name) => this.#label(name)),
      user: userOf(author),
      author_association: author.association,
      assignee: assignees[0] === undefined ? null : userOf({ login: assignees[0], type: 'User' }),
      assignees: assignees.map((login) => userOf({ login, type: 'User' })),
      milestone: null,
      comments: issue.comments.length,
      created_at: createdAt.toISOString(),
      updated_at: updatedAt.toISOString(),
      closed_at: closedAt?.toISOString() ?? null,
      ...(issue.isPullRequest && { pull_request: pull }),
    }
  }
}

const USER_LINKS =
  'avatar followers following gists organizations received_events repos starred subscriptions events html'.split(' ')

export function userOf({ login, type }: { login: string; type: string }): object {
  const url = `https://api.github.com/users/${encodeURIComponent(login)}`
  const links = Object.fromEntries(USER_LINKS.map((name) => [`${name}_url`, url]))
  return { ...links, login, id: 1, node_id: 'U', gravatar_id: null, site_admin: false, type, url }
}

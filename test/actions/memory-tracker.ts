import type { Issue, IssueChange, IssueDraft, IssueTracker } from '../../src/github/issue-tracker.ts'

/** Issues in memory. Whoever asks waits a moment, so that others come in between. */
export class MemoryTracker implements IssueTracker {
  readonly issues: (Issue & { comments: string[] })[] = []
  now = new Date(0)

  async list(label: string, which: 'open' | { closedSince: Date }): Promise<Issue[]> {
    await this.#pause()
    return this.issues
      .filter(({ labels }) => labels.includes(label))
      .filter(({ state, closedAt }) =>
        which === 'open' ? state === 'open' : closedAt && closedAt >= which.closedSince,
      )
      .map((issue) => ({ ...issue }))
  }

  async create({ title, body, labels }: IssueDraft): Promise<Issue> {
    await this.#pause()
    const number = this.issues.length + 1
    const common = { state: 'open' as const, isDuplicate: false, isTrusted: true, assignees: [], comments: [] }
    const issue = {
      ...common,
      number,
      title,
      body,
      labels: [...labels],
      url: `https://github.com/o/r/issues/${number}`,
    }
    this.issues.push(issue)
    return { ...issue }
  }

  async update(number: number, { title, body, state }: IssueChange): Promise<void> {
    await this.#pause()
    const issue = this.get(number)
    if (title !== undefined) issue.title = title
    if (body !== undefined) issue.body = body
    if (state === 'closed') issue.closedAt = this.now
    else if (state === 'open') delete issue.closedAt
    if (state !== undefined) issue.state = state
  }

  async closeAsDuplicate(number: number, original: Issue): Promise<void> {
    await this.comment(number, `Duplicate of #${original.number}`)
    await this.update(number, { state: 'closed' })
    this.get(number).isDuplicate = true
  }

  async comment(number: number, body: string): Promise<void> {
    await this.#pause()
    this.get(number).comments.push(body)
  }

  async ensureLabel(): Promise<void> {}

  async addLabels(number: number, labels: readonly string[]): Promise<void> {
    const issue = this.get(number)
    issue.labels = [...new Set([...issue.labels, ...labels])]
  }

  async assign(_: number, users: readonly string[]): Promise<string[]> {
    return users.filter((name) => name.startsWith('outsider'))
  }

  get(number: number): Issue & { comments: string[] } {
    const issue = this.issues[number - 1]
    if (issue === undefined) throw new Error(`no issue ${number}`)
    return issue
  }

  open(): (Issue & { comments: string[] })[] {
    return this.issues.filter(({ state }) => state === 'open')
  }

  async #pause(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** An issue, as far as alerts look at it. */
export interface Issue {
  number: number
  title: string
  body: string
  state: 'open' | 'closed'
  closedAt?: Date
  /** Whether it was closed as the double of another one. */
  isDuplicate: boolean
  labels: string[]
  assignees: string[]
  /** Whether an app or somebody with a say in the repository opened it. Anybody may open an issue that looks like ours. */
  isTrusted: boolean
  url: string
}

export interface IssueDraft {
  title: string
  body: string
  labels: readonly string[]
}

/** What to change; the rest stays. */
export interface IssueChange {
  title?: string
  body?: string
  state?: 'open' | 'closed'
  /** Why it is closed, or that it is opened again. */
  reason?: 'completed' | 'reopened'
}

/** Where alerts are kept: the issues of one repository. Every method rejects with a LifeboatError that says what to do. */
export interface IssueTracker {
  /** Open issues with that label, or those closed since then: all of them, the oldest first; pull requests are none. */
  list(label: string, which: 'open' | { closedSince: Date }): Promise<Issue[]>
  create(draft: IssueDraft): Promise<Issue>
  update(number: number, change: IssueChange): Promise<void>
  /** Closes an issue as the double of an older one. */
  closeAsDuplicate(number: number, original: Issue): Promise<void>
  comment(number: number, body: string): Promise<void>
  /** Makes a label unless it is there. */
  ensureLabel(name: string): Promise<void>
  addLabels(number: number, labels: readonly string[]): Promise<void>
  /** Assigns those who can be assigned; resolves with the others. */
  assign(number: number, users: readonly string[]): Promise<string[]>
}

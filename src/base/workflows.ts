/** A run of a workflow that has ended. */
export interface EndedRun {
  startedAt: Date
  /** `success`, `failure`, `cancelled`, `timed_out`, …, as GitHub says it. */
  conclusion: string
  /** Its page. */
  url: string
}

/** A workflow that somebody relies on, as GitHub knows it. */
export interface WatchedWorkflow {
  /** The name of its file: `nightly-dump.yml`. */
  file: string
  /** `active`, or why GitHub does not start it (`disabled_inactivity`, …); undefined: it knows none, or the token may not see it. */
  state?: string
  /** Whether this very run is one of it: then its last run says nothing yet, and is not asked for. */
  isOwn: boolean
  /** The newest one that ended, of those on the default branch that no push and no pull request has started. */
  lastRun?: EndedRun
}

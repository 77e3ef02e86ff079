import type { ExplainRefusal } from './api-errors.ts'

const PERMISSION =
  'Add the line `issues: write` below `permissions:` of the job (what else it needs stays there; pull requests from forks and from Dependabot never get it), or set `alert: off`.'

/** What it means that GitHub refuses what was asked about issues. */
export const explainIssueRefusal: ExplainRefusal = ({ status, message }) => {
  const said = `${message} (HTTP ${status})`
  if (status === 410 || /issues (are|has been) disabled/i.test(message)) {
    const remedy = 'Turn them on (Settings > General > Features > Issues), or set `alert: off` and use `heartbeat-url`.'
    return ['issues-disabled', 'issues are turned off in this repository', remedy]
  }
  if (status === 401) {
    const remedy = 'Leave `github-token` out, then the job’s own token is used, or give one that is valid.'
    return ['issues-token-refused', `the token was refused: ${said}`, remedy]
  }
  if (status === 403 && /archived/i.test(message)) {
    return ['issues-archived', said, 'Unarchive the repository, or let the workflow run in another one.']
  }
  if (status === 403) return ['issues-forbidden', said, PERMISSION]
  if (status === 404) {
    return ['issues-not-found', `the token may not see them: ${said}`, PERMISSION]
  }
  return ['issues-refused', said, 'Please report it, with the log: GitHub understood the request otherwise.']
}

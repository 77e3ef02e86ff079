import type { ExplainRefusal } from './api-errors.ts'

const PERMISSION =
  'Add the line `actions: read` below `permissions:` of the job (what else it needs stays there), or take the workflows out of `watch-workflows`.'

/** What it means that GitHub refuses what was asked about workflows. */
export const explainWorkflowRefusal: ExplainRefusal = ({ status, message }) => {
  const said = `${message} (HTTP ${status})`
  if (status === 401) {
    const remedy = 'Leave `github-token` out, then the job’s own token is used, or give one that is valid.'
    return ['workflows-token-refused', `the token was refused: ${said}`, remedy]
  }
  if (status === 403) return ['workflows-forbidden', said, PERMISSION]
  if (status === 404) return ['workflows-not-found', `the token may not see it: ${said}`, PERMISSION]
  return ['workflows-refused', said, 'Please report it, with the log: GitHub understood the request otherwise.']
}

import type { Finding } from '../base/findings.ts'
import { formatDuration, formatInstant } from '../base/units.ts'
import type { EndedRun, WatchedWorkflow } from '../base/workflows.ts'
import type { Check } from './check.ts'

/** Why GitHub does not start a workflow, by its state. */
const DISABLED: Record<string, string> = {
  disabled_inactivity: 'GitHub disabled it, as it does after 60 days without activity in the repository',
  disabled_manually: 'somebody disabled it',
  disabled_fork: 'GitHub disables it in a fork until somebody enables it there',
}

/** How a run ended that has not done its work; a cancelled one tells nobody else. */
const ENDED_BADLY: Record<string, string> = {
  failure: 'failed',
  timed_out: 'ran out of time',
  startup_failure: 'could not be started',
  cancelled: 'was cancelled',
}

export const workflowsCheck: Check = {
  id: 'workflows',
  title: 'The watched workflows run',
  modes: ['smoke'],
  async run({ workflows, clock }) {
    const watched = await workflows()
    if (watched === undefined) return { status: 'not run', summary: 'no watch-workflows', findings: [] }
    return {
      summary: watched.map((workflow) => standing(workflow, clock.now())).join('; '),
      findings: watched.flatMap((workflow) => [...stateFindings(workflow), ...runFindings(workflow)]),
    }
  },
}

function standing({ file, state, lastRun }: WatchedWorkflow, now: Date): string {
  if (state === undefined) return `${file} not found`
  const is = state === 'active' ? 'active' : state === 'deleted' ? 'deleted' : 'disabled'
  if (lastRun === undefined) return `${file} ${is}`
  const { conclusion, startedAt } = lastRun
  const ended = ENDED_BADLY[conclusion] ?? (conclusion === 'success' ? 'passed' : `ended as ${conclusion}`)
  const ago = formatDuration(Math.max(0, (now.getTime() - startedAt.getTime()) / 1_000))
  return `${file} ${is}, ${ended} ${ago} ago`
}

function stateFindings({ file, state }: WatchedWorkflow): Finding[] {
  if (state === 'active') return []
  const failure = (message: string, remedy: string): Finding[] => [{ severity: 'failure', message, remedy }]
  if (state === undefined) {
    return failure(
      `There is no workflow ${file}, or the token may not see it`,
      'Correct `watch-workflows`: `gh workflow list --all --json path,state` lists what there is. If it is there, add the line `actions: read` below `permissions:` of the job.',
    )
  }
  if (state === 'deleted') {
    const remedy = 'Bring the file back on the default branch, or take its name out of `watch-workflows`.'
    return failure(`${file} never starts: the workflow was deleted`, remedy)
  }
  const why = DISABLED[state] ?? `GitHub calls its state ${state}`
  return failure(`${file} never starts: ${why}`, `Enable it: \`gh workflow enable ${file}\`.`)
}

function runFindings({ file, state, isOwn, lastRun }: WatchedWorkflow): Finding[] {
  if (isOwn || state === undefined || state === 'deleted') return []
  if (lastRun === undefined) {
    const message = `${file} has not run to its end yet on the default branch, other than for a push or a pull request`
    return [{ severity: 'note', message }]
  }
  const ended = ENDED_BADLY[lastRun.conclusion]
  if (ended === undefined) return []
  const message = `The last run of ${file} ${ended}, started ${formatInstant(lastRun.startedAt)}, and none has passed since`
  return [{ severity: 'failure', message, remedy: remedyFor(file, lastRun) }]
}

function remedyFor(file: string, { conclusion, url }: EndedRun): string {
  const look = `Look at the run ${url}`
  const again = `\`gh workflow run ${file}\``
  switch (conclusion) {
    case 'cancelled':
      return `${look}: unless somebody cancelled it, it ran into its \`timeout-minutes\` or gave way to a newer one; then ${again}.`
    case 'timed_out':
      return `${look}, and raise its \`timeout-minutes\`; then ${again}.`
    case 'startup_failure':
      return `${look}: GitHub could not read the workflow, or not start its jobs; then ${again}.`
    default:
      return `${look}: what it said last, or that its runner was lost (out of memory, shut down); then ${again}.`
  }
}

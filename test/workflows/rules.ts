import { describeAction } from '../../scripts/lib/action-docs.ts'
import { type Job, ownAction, type Step, type Workflow } from './workflow-file.ts'

const PINNED = /^[\w.-]+\/[\w./-]+@[0-9a-f]{40}$/
const READ_ONLY = { contents: 'read' }
const OIDC = { contents: 'read', 'id-token': 'write' }
/** What jobs get, besides `issues: write` if they tell of what fails, and `actions: read` if they watch workflows. */
const PERMISSIONS: readonly Record<string, string>[] = [{}, READ_ONLY, OIDC]
/** Where `alert: auto` writes to an issue. */
const ALERTING = ['schedule', 'workflow_dispatch', 'repository_dispatch', 'workflow_run']

/** What our own rules have against a workflow, one line each. */
export function ruleViolations(workflow: Workflow): string[] {
  const problems: string[] = []
  if (JSON.stringify(workflow.permissions) !== '{}') problems.push('permissions at the top must be {}')
  if (workflow.concurrency === undefined) problems.push('has no concurrency group')
  if (workflow.env !== undefined) problems.push('env at the top reaches steps that do not need it')
  if ('pull_request_target' in workflow.on) problems.push('pull_request_target runs strangers with secrets')
  for (const { cron } of workflow.on.schedule ?? []) {
    if (!/^[1-9]\d? /.test(cron)) problems.push(`${cron}: not at the full hour, nor several times an hour`)
  }
  for (const [id, job] of Object.entries(workflow.jobs)) {
    const minutes = job['timeout-minutes']
    if (typeof minutes !== 'number' || minutes > 355)
      problems.push(`${id}: needs a timeout below GitHub's own of 360 minutes`)
    problems.push(...permissionViolations(workflow, job).map((problem) => `${id}: ${problem}`))
    if (!/^ubuntu-\d\d\.\d\d$/.test(job['runs-on'] ?? '')) problems.push(`${id}: runs-on must name a version`)
    if (job.env !== undefined) problems.push(`${id}: env of a job reaches steps that do not need it`)
    const known = job.steps.map((step) => step.id)
    problems.push(...job.steps.flatMap((step) => stepViolations(step, known).map((problem) => `${id}: ${problem}`)))
  }
  return [...problems, ...unpinnedLines(workflow.text)]
}

/** As few as possible: `issues: write` exactly where an alert may have to be written, `actions: read` where workflows are watched. */
function permissionViolations({ on }: Workflow, { permissions, steps }: Job): string[] {
  const { issues, actions, ...others } = permissions ?? {}
  const isKnown = permissions !== undefined && PERMISSIONS.some((allowed) => sameKeys(others, allowed))
  const alerts = steps.filter(({ uses, with: inputs }) => ownAction(uses) !== undefined && inputs?.alert !== 'off')
  const watches = steps.some(({ uses, with: inputs }) => ownAction(uses) && inputs?.['watch-workflows'] !== undefined)
  const tells = alerts.length > 0 && ALERTING.some((event) => event in on)
  return [
    ...(isKnown ? [] : ['permissions']),
    ...(tells && issues !== 'write' ? ['alerts need issues: write, or alert: off'] : []),
    ...(!tells && issues !== undefined ? ['issues: nobody writes any'] : []),
    ...(watches && actions !== 'read' ? ['watch-workflows needs actions: read'] : []),
    ...(!watches && actions !== undefined ? ['actions: nobody watches any'] : []),
  ]
}

/** What is wrong with one step. `known` are the ids of the job's steps. */
function stepViolations(step: Step, known: readonly unknown[]): string[] {
  const problems: string[] = []
  const { uses, run } = step
  const text = JSON.stringify(step)
  if (run?.includes('${{')) problems.push('an expression inside run: is an injection; pass it in env')
  if (run !== undefined && /\$\{\{[^}]*\bsecrets\b/.test(text)) problems.push('a secret for a shell')
  if (uses?.startsWith('actions/checkout@') && step.with?.['persist-credentials'] !== false) {
    problems.push('checkout leaves a token behind')
  }
  for (const [, id = ''] of text.matchAll(/\bsteps\.([\w-]+)\./g)) {
    if (!known.includes(id)) problems.push(`no step has the id ${id}`)
  }
  const folder = ownAction(uses)
  if (folder !== undefined) problems.push(...inputViolations(folder, step.with ?? {}))
  else if (uses?.startsWith('./') || uses?.startsWith('your-org/')) problems.push(`${uses} is no action of ours`)
  return problems
}

function inputViolations(folder: string, given: Record<string, unknown>): string[] {
  const { inputs } = describeAction(folder)
  const unknown = Object.keys(given).filter((name) => !(name in inputs))
  const missing = Object.entries(inputs).filter(([name, { required }]) => required === true && !(name in given))
  return [
    ...unknown.map((name) => `${folder} has no input ${name}`),
    ...missing.map(([name]) => `${folder} requires the input ${name}`),
  ]
}

/** Lines that use somebody else's action without its full commit SHA and the version as a comment. */
function unpinnedLines(text: string): string[] {
  return [...text.matchAll(/^\s*-?\s*uses:\s*(\S+)(?:\s+#\s*(.*))?$/gm)]
    .filter(([, uses = '']) => !uses.startsWith('./'))
    .filter(([, uses = '', comment = '']) => !PINNED.test(uses) || comment === '')
    .map(([, uses]) => `${uses} is not pinned by its commit SHA with its version as a comment`)
}

function sameKeys(one: Record<string, string>, other: Record<string, string>): boolean {
  return JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort())
}

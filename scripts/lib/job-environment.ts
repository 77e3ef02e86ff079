import { randomUUID } from 'node:crypto'
import path from 'node:path'

/** Variables of this machine that steps may see; everything else is the job's own. */
const INHERITED = ['PATH', 'HOME', 'LANG', 'TZ', 'LIFEBOAT_POSTGRES_DIRS']

/**
 * What GitHub's runner sets for every step, below one directory. Nothing points outside this machine: the API address is
 * a closed port until a test gives another.
 */
export function jobEnvironment(directory: string, workspace: string, eventName: string): Record<string, string> {
  const inherited = INHERITED.flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return {
    ...Object.fromEntries(inherited),
    CI: 'true',
    GITHUB_ACTION: 'local',
    GITHUB_ACTIONS: 'true',
    GITHUB_ACTOR: 'your-org',
    GITHUB_API_URL: 'http://127.0.0.1:9',
    GITHUB_EVENT_NAME: eventName,
    GITHUB_EVENT_PATH: path.join(directory, 'event.json'),
    GITHUB_JOB: 'local',
    GITHUB_REF: 'refs/heads/main',
    GITHUB_REF_NAME: 'main',
    GITHUB_REF_TYPE: 'branch',
    GITHUB_REPOSITORY: 'your-org/example',
    GITHUB_REPOSITORY_OWNER: 'your-org',
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_RUN_ID: '1',
    GITHUB_RUN_NUMBER: '1',
    GITHUB_SERVER_URL: 'https://github.com',
    GITHUB_SHA: '0'.repeat(40),
    GITHUB_WORKFLOW: 'local',
    GITHUB_WORKSPACE: workspace,
    RUNNER_ARCH: process.arch === 'arm64' ? 'ARM64' : 'X64',
    RUNNER_ENVIRONMENT: 'self-hosted',
    RUNNER_NAME: 'local',
    RUNNER_OS: 'Linux',
    RUNNER_TEMP: path.join(directory, 'temp'),
    RUNNER_TOOL_CACHE: path.join(directory, 'tools'),
    RUNNER_TRACKING_ID: `github_${randomUUID()}`,
  }
}

/** The program that runs an action which says `using: node24`. */
export function nodeFor(using: string): string {
  const wanted = Number(/^node(\d+)$/.exec(using)?.[1])
  if (Number.isNaN(wanted)) throw new Error(`this runner knows JavaScript actions only, not "using: ${using}"`)
  const running = Number(process.versions.node.split('.')[0])
  if (running < wanted) throw new Error(`"using: ${using}" needs Node ${wanted}; this is Node ${process.versions.node}`)
  return process.execPath
}

/** Whether a post step runs, by its `post-if`, in which status functions see the status of the job. */
export function postApplies(condition: string, status: 'success' | 'failure' | 'cancelled'): boolean {
  const expression = condition.replace(/^\$\{\{\s*(.*?)\s*\}\}$/, '$1')
  const answers: Record<string, boolean> = {
    'always()': true,
    'success()': status === 'success',
    'failure()': status === 'failure',
    'cancelled()': status === 'cancelled',
    '!cancelled()': status !== 'cancelled',
  }
  const answer = answers[expression]
  if (answer === undefined) throw new Error(`this runner cannot evaluate post-if: ${condition}`)
  return answer
}

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface StepResult {
  code: number | null
  /** Everything that was printed, in lines: stdout, then stderr. */
  lines: string[]
  outputs: Record<string, string>
  state: Record<string, string>
  summary: string
  seconds: number
}

const folders: string[] = []

/** Removes what the steps left behind. */
export function removeStepFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
}

/** Runs a scenario of step.ts in a process of its own, with the files and the variables of a runner and no others. */
export async function runStep(
  scenario: string,
  { env = {}, signalOn }: { env?: NodeJS.ProcessEnv; signalOn?: string } = {},
): Promise<StepResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lifeboat-step-'))
  folders.push(folder)
  const file = (name: string) => {
    writeFileSync(join(folder, name), '')
    return join(folder, name)
  }
  const files = { GITHUB_OUTPUT: file('output'), GITHUB_STATE: file('state'), GITHUB_STEP_SUMMARY: file('summary') }
  const begun = performance.now()
  const child = spawn(process.execPath, [fileURLToPath(new URL('step.ts', import.meta.url)), scenario], {
    env: { GITHUB_ACTIONS: 'true', RUNNER_TEMP: folder, PATH: process.env.PATH, ...files, ...env },
  })
  // Each whole by itself: where one is cut in the middle of a line the other shall not go on.
  const printed = { stdout: '', stderr: '' }
  let isSignalled = false
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text
      if (isSignalled || signalOn === undefined || !printed[name].includes(signalOn)) return
      isSignalled = true
      child.kill('SIGINT')
    })
  }
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return {
    code,
    lines: `${printed.stdout}${printed.stderr}`.split('\n'),
    outputs: parseFileCommands(readFileSync(files.GITHUB_OUTPUT, 'utf8')),
    state: parseFileCommands(readFileSync(files.GITHUB_STATE, 'utf8')),
    summary: readFileSync(files.GITHUB_STEP_SUMMARY, 'utf8'),
    seconds: (performance.now() - begun) / 1_000,
  }
}

/** `name<<delimiter`, the value, the delimiter: as @actions/core writes them. */
function parseFileCommands(text: string): Record<string, string> {
  const blocks = text.matchAll(/^(.+?)<<(ghadelimiter_\S+)\n([\s\S]*?)\n\2$/gm)
  return Object.fromEntries([...blocks].map(([, name, , value]) => [name, value]))
}

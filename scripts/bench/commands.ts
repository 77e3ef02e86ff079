import { spawn } from 'node:child_process'

export interface Command {
  /** A bash script; a failure anywhere in it, pipes included, ends it. */
  script: string
  args?: readonly string[]
  env: Record<string, string>
  cwd: string
  signal: AbortSignal
}

/**
 * Runs a script in a process group of its own, which is killed on abort. Rejects with the end of its stderr if it fails.
 * `seconds`: from its start until it and all that holds its output have ended.
 */
export async function runScript(command: Command): Promise<{ seconds: number; stdout: string }> {
  const { script, args = [], env, cwd, signal } = command
  signal.throwIfAborted()
  const began = performance.now()
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script, 'bench', ...args], {
    cwd,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const stop = () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
  }
  signal.addEventListener('abort', stop)
  try {
    const output = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output.stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output.stderr = (output.stderr + text).slice(-4_000)
    })
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    signal.throwIfAborted()
    if (code !== 0) throw new Error(`exit code ${code} of: ${script}\n${output.stderr}`)
    return { seconds: (performance.now() - began) / 1_000, stdout: output.stdout }
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

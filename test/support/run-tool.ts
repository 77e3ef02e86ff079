import { execFile } from 'node:child_process'

export interface ToolResult {
  code: number
  stdout: string
  stderr: string
}

/** Runs a program in exactly this environment, to its end. */
export function runTool(
  program: string,
  args: readonly string[],
  env: Record<string, string>,
  cwd?: string,
): Promise<ToolResult> {
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      { env, ...(cwd === undefined ? {} : { cwd }), maxBuffer: 64 << 20 },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr })
      },
    )
    child.stdin?.end()
  })
}

import { execFile } from 'node:child_process'
import { getExecOutput } from '@actions/exec'
import { messageOf } from '../base/errors.ts'

export interface CommandResult {
  /** 127 if the command does not exist or could not be started. */
  exitCode: number
  stdout: string
  stderr: string
}

export interface CommandOptions {
  /** The whole environment of the command; default: none but PATH. */
  env?: Record<string, string>
  /** Written to its standard input; only for commands that read it all. */
  input?: string
  cwd?: string
}

/** Runs a short command to its end, silently. Never rejects: what went wrong is in the exit code. */
export type RunCommand = (command: string, args: readonly string[], options?: CommandOptions) => Promise<CommandResult>

export const runCommand: RunCommand = async (command, args, { env, input, cwd } = {}) => {
  try {
    return await getExecOutput(quoteCommand(command), [...args], {
      silent: true,
      ignoreReturnCode: true,
      env: env ?? { PATH: process.env.PATH ?? '/usr/bin:/bin' },
      // Not an empty one: a command that has ended before it is written to would end this process (EPIPE).
      ...(input === undefined ? {} : { input: Buffer.from(input) }),
      ...(cwd === undefined ? {} : { cwd }),
    })
  } catch (error) {
    return { exitCode: 127, stdout: '', stderr: messageOf(error) }
  }
}

/** `@actions/exec` splits its command line at spaces. */
function quoteCommand(command: string): string {
  return `"${command.replaceAll('"', '\\"')}"`
}

/** Who a child process runs as; without ids as whoever this process is. */
export interface ProcessOwner {
  uid?: number
  gid?: number
}

/**
 * PostgreSQL refuses to run as root. As root this finds the user `postgres`, else `nobody`, by the `id` command;
 * otherwise no other user is needed. Undefined: neither user exists.
 */
export async function findServerOwner(run: RunCommand = runCommand): Promise<ProcessOwner | undefined> {
  if (process.getuid?.() !== 0) return {}
  for (const user of ['postgres', 'nobody']) {
    const [uid, gid] = await Promise.all([run('id', ['-u', user]), run('id', ['-g', user])])
    if (uid.exitCode === 0 && gid.exitCode === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  }
  return undefined
}

/** Runs a command as `owner`, without root's supplementary groups. */
export async function runAs(
  owner: ProcessOwner,
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { uid, gid } = owner
  if (uid === undefined || gid === undefined) return runCommand(command, args, options)
  const { env = { PATH: process.env.PATH ?? '/usr/bin:/bin' }, cwd } = options
  // `@actions/exec` cannot change the user, and setpriv is not on every machine (or is BusyBox's, which cannot either).
  return new Promise((resolve) => {
    const child = execFile(command, [...args], { uid, gid, env, cwd, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      if (error === null) return resolve({ exitCode: 0, stdout, stderr })
      const exitCode = typeof error.code === 'number' ? error.code : 127
      resolve({ exitCode, stdout, stderr: stderr === '' ? messageOf(error) : stderr })
    })
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input)
  })
}

import { appendFile, chown, mkdtemp, readFile, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { LifeboatError } from '../base/errors.ts'
import { type ProcessOwner, runAs } from './commands.ts'
import { ProcessGroup } from './process-group.ts'
import { readMachine, scratchSettings, settingLines } from './scratch-settings.ts'
import { scrub } from './scrub.ts'
import type { PostgresTools } from './tools.ts'

export const SCRATCH_PREFIX = 'pg-lifeboat-scratch-'
const LOG_TAIL_LINES = 8

/**
 * A directory that `owner` can reach and write to: below `parent`, else beside it (root's own directories are closed to
 * the user that the server runs as; the runner's, which they are in, need not be), else below the roomier of the temporary
 * directories.
 */
export async function makeDirectory(parent: string, owner: ProcessOwner, env: Record<string, string>): Promise<string> {
  for (const candidate of [parent, dirname(parent), ...(await temporaryDirectories())]) {
    const directory = await mkdtemp(join(candidate, SCRATCH_PREFIX)).catch(() => undefined)
    if (directory === undefined) continue
    if (owner.uid !== undefined && owner.gid !== undefined) await chown(directory, owner.uid, owner.gid)
    const probe = await runAs(owner, 'sh', ['-c', 'cd "$1" && : >probe && rm probe', 'probe', directory], {
      env,
      cwd: '/',
    })
    if (probe.exitCode === 0) return directory
    await rm(directory, { recursive: true, force: true })
  }
  throw new LifeboatError(
    'scratch-cluster-failed',
    `the user that the scratch server would run as can write neither to ${parent} nor to ${tmpdir()} or /var/tmp`,
    'Make one of these directories writable for everybody (chmod 1777 /tmp), or run the job as a user other than root.',
  )
}

async function temporaryDirectories(): Promise<string[]> {
  const measured = await Promise.all(
    [...new Set([tmpdir(), '/var/tmp'])].map(async (path) => {
      const space = await statfs(path).catch(() => undefined)
      return { path, free: space === undefined ? -1 : space.bavail * space.bsize }
    }),
  )
  return measured
    .filter(({ free }) => free >= 0)
    .sort((a, b) => b.free - a.free)
    .map(({ path }) => path)
}

export interface Initialization {
  tools: PostgresTools
  directory: string
  owner: ProcessOwner
  env: Record<string, string>
  password: string
  cores: number
  signal?: AbortSignal | undefined
}

/**
 * initdb, the throw-away settings, and a pg_hba.conf that lets in nobody but passwords over 127.0.0.1. The directory is
 * removed if this process dies meanwhile.
 */
export async function initializeCluster(options: Initialization): Promise<void> {
  const { tools, directory, owner, env, password, cores, signal } = options
  const data = join(directory, 'data')
  const passwordFile = join(directory, 'password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (owner.uid !== undefined && owner.gid !== undefined) await chown(passwordFile, owner.uid, owner.gid)
  const args = ['-D', data, '--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  args.push('--encoding=UTF8', '--locale=C', '--no-sync')
  if (tools.major >= 18) args.push('--no-data-checksums')
  const initdb = await ProcessGroup.start(tools.path('initdb'), args, {
    env,
    owner,
    cwd: directory,
    signal,
    removeOnDeath: directory,
  })
  const { code, stderr } = await initdb.ended
  await rm(passwordFile, { force: true })
  signal?.throwIfAborted()
  if (code !== 0) throw clusterFailure('initdb failed', stderr, dirname(directory))
  const settings = scratchSettings(await readMachine(directory, cores))
  await appendFile(join(data, 'postgresql.conf'), settingLines(settings))
  await writeFile(join(data, 'pg_hba.conf'), 'host all all 127.0.0.1/32 scram-sha-256\n')
}

/** The last lines of the server's log, as they are; '' if there is none. */
export async function readLogTail(directory: string): Promise<string> {
  const text = await readFile(join(directory, 'log'), 'utf8').catch(() => '')
  return text.trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n')
}

const CAUSES: readonly { pattern: RegExp; cause: string; remedy: (parent: string) => string }[] = [
  {
    pattern: /No space left on device|Disk quota exceeded|Check free disk space/i,
    cause: 'no space left',
    remedy: (parent) => `Free space in ${parent}, or run on a runner with a larger disk; then run the job again.`,
  },
  {
    pattern: /shared memory|shmget|semget|Cannot allocate memory|could not map anonymous/i,
    cause: 'not enough memory or shared memory',
    remedy: () => 'Give the job more memory (for a container: --shm-size=1g and a higher --memory), then run it again.',
  },
  {
    pattern: /invalid locale/i,
    cause: 'a locale is missing',
    remedy: () => 'Install the locales in a step before this one: sudo apt-get install -y locales-all',
  },
  {
    pattern: /Permission denied/i,
    cause: 'permission denied',
    remedy: (parent) => `Let the user that the server runs as read its programs and write to ${parent}.`,
  },
  {
    pattern: /error while loading shared libraries|GLIBC_/i,
    cause: 'its programs do not run on this machine',
    remedy: () => 'Reinstall the PostgreSQL server package: a library that it needs is missing.',
  },
]

/** `scratch-cluster-failed`, with the cause in words where the output names a known one, and its last lines, scrubbed. */
export function clusterFailure(what: string, output: string, parent: string): LifeboatError {
  const known = CAUSES.find(({ pattern }) => pattern.test(output))
  const lines = scrub(output, []).trim().split('\n').slice(-LOG_TAIL_LINES)
  const tail = lines.filter((line) => line.trim() !== '').join(' | ')
  return new LifeboatError(
    'scratch-cluster-failed',
    `${what}${known === undefined ? '' : `, ${known.cause}`}: ${tail === '' ? 'it said nothing' : tail}`,
    known?.remedy(parent) ?? 'Look at the last lines of its log above; free memory and disk, and run the job again.',
  )
}

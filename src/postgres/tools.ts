import { access, constants, realpath } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { LifeboatError } from '../base/errors.ts'
import type { Log } from '../base/ports.ts'
import { type RunCommand, runCommand } from './commands.ts'
import { installPackages, packageNames } from './install.ts'

/** `client`: what dumps and restores. `server`: also what runs a scratch cluster. */
export type ToolNeed = 'client' | 'server'

const CLIENT_TOOLS = ['pg_dump', 'pg_dumpall', 'pg_restore']
const SERVER_TOOLS = ['initdb', 'postgres', 'pg_ctl']

/**
 * The first minor of each major whose pg_restore does not run code that a crafted archive holds (CVE-2026-116314,
 * published 12 November 2026). Majors before 14 were not mended.
 */
const SAFE_MINORS: Readonly<Record<number, number>> = { 14: 25, 15: 20, 16: 16, 17: 12, 18: 7 }

/** The programs of one PostgreSQL major, all from one directory, each of which has said its version. */
export interface PostgresTools {
  major: number
  /** Of pg_dump: `17.12`. */
  version: string
  /** The directory that they are in. */
  bin: string
  /** How they were found, for reports: `LIFEBOAT_POSTGRES_DIRS`, `distribution`, `PATH`, `Homebrew`, `installed`. */
  origin: string
  /** The path of one of them. */
  path(tool: string): string
}

export interface FindToolsOptions {
  /** Exactly this major: the server's own, or the scratch server's. */
  major: number
  need: ToolNeed
  /** LIFEBOAT_POSTGRES_DIRS, PATH and RUNNER_TEMP are read. */
  env: NodeJS.ProcessEnv
  log: Log
  signal?: AbortSignal | undefined
  /** Whether packages may be installed (Debian, Ubuntu; as root or with sudo that asks no password). */
  install: boolean
  /**
   * Whether downloaded packages may be kept in the GitHub Actions cache. Not in action-verify, and never on pull
   * requests, whose caches others can write: the caller decides. Default false.
   */
  packageCache?: boolean
  /** For tests. */
  run?: RunCommand
  /** For tests: what stands for `/` where distributions put their programs. */
  root?: string
}

interface Candidate {
  bin: string
  origin: string
}

/**
 * Finds the tools of exactly one major, or installs them. Searched: LIFEBOAT_POSTGRES_DIRS, the distribution's directory
 * for that major, PATH (never Debian's pg_wrapper, which runs the highest major there is), Homebrew.
 * Errors: `no-tools`, with the package to install.
 */
export async function findTools(options: FindToolsOptions): Promise<PostgresTools> {
  const { major, need, log, signal } = options
  if (!Number.isInteger(major) || major < 10) throw new Error(`${major} is not a PostgreSQL major version`)
  const passedOver: string[] = []
  const found = await search(options, passedOver)
  if (found !== undefined) return withAdvice(found, log)
  signal?.throwIfAborted()
  const problem = options.install ? await installPackages(options) : 'installing packages is not allowed here'
  if (problem === undefined) {
    const installed = await search(options)
    if (installed !== undefined) return withAdvice({ ...installed, origin: 'installed' }, log)
  }
  const packages = packageNames(major, need).join(' ')
  const reasons = [problem ?? 'not even after their packages were installed', ...passedOver.slice(0, 2)].join('; ')
  throw new LifeboatError(
    'no-tools',
    `the ${need} programs of PostgreSQL ${major} are not on this machine (${reasons})`,
    `Install them in a step before this one: sudo apt-get install -y ${packages} (where the package is unknown, first: sudo apt-get install -y postgresql-common && sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y), or set LIFEBOAT_POSTGRES_DIRS to a directory that holds ${major}/bin.`,
  )
}

/** `passedOver` takes a clause for each directory that the user named and that holds something else. */
async function search(options: FindToolsOptions, passedOver: string[] = []): Promise<PostgresTools | undefined> {
  for (const candidate of await listCandidates(options)) {
    const tools = await prove(candidate, options, passedOver)
    if (tools !== undefined) return tools
  }
  return undefined
}

async function listCandidates({ major, env, root = '' }: FindToolsOptions): Promise<Candidate[]> {
  const listed = split(env.LIFEBOAT_POSTGRES_DIRS).map((directory) => join(directory, String(major), 'bin'))
  const distribution = [
    `/usr/lib/postgresql/${major}/bin`,
    `/usr/pgsql-${major}/bin`,
    `/usr/libexec/postgresql${major}`,
    `/usr/lib/postgresql${major}/bin`,
  ]
  const homebrew = ['/opt/homebrew/opt', '/usr/local/opt'].map((place) => `${place}/postgresql@${major}/bin`)
  return [
    ...listed.map((bin) => ({ bin, origin: 'LIFEBOAT_POSTGRES_DIRS' })),
    ...distribution.map((bin) => ({ bin: root + bin, origin: 'distribution' })),
    ...(await pathDirectories(env)).map((bin) => ({ bin, origin: 'PATH' })),
    ...homebrew.map((bin) => ({ bin: root + bin, origin: 'Homebrew' })),
  ]
}

/** Directories of PATH with a pg_dump of its own, and those that its symbolic links lead to. */
async function pathDirectories(env: NodeJS.ProcessEnv): Promise<string[]> {
  const directories: string[] = []
  for (const directory of split(env.PATH)) {
    const program = await realpath(join(directory, 'pg_dump')).catch(() => undefined)
    if (program === undefined || isWrapper(program)) continue
    directories.push(directory, dirname(program))
  }
  return [...new Set(directories)]
}

function isWrapper(program: string): boolean {
  return program.includes('postgresql-common') || program.endsWith('/pg_wrapper')
}

function split(list: string | undefined): string[] {
  return (list ?? '').split(':').filter((directory) => directory !== '')
}

/** The candidate as tools, if every program is there, runs, and says that it is of the major asked for. */
async function prove(
  candidate: Candidate,
  options: FindToolsOptions,
  passedOver: string[],
): Promise<PostgresTools | undefined> {
  const { major, need, env, log, run = runCommand } = options
  const names = need === 'server' ? [...CLIENT_TOOLS, ...SERVER_TOOLS] : CLIENT_TOOLS
  const paths = names.map((name) => join(candidate.bin, name))
  if ((await Promise.all(paths.map(isProgram))).includes(false)) return undefined
  const environment = { PATH: env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', ...defined('LD_LIBRARY_PATH', env) }
  const answers = await Promise.all(paths.map((path) => run(path, ['--version'], { env: environment })))
  const versions = answers.map(({ exitCode, stdout }) => (exitCode === 0 ? readVersion(stdout) : undefined))
  const wrong = versions.findIndex((version) => version?.major !== major)
  if (wrong >= 0) {
    const said = versions[wrong]?.text ?? `no version (exit code ${answers[wrong]?.exitCode})`
    const clause = `${paths[wrong]} is no ${names[wrong]} of PostgreSQL ${major}: it says ${said}`
    if (candidate.origin === 'LIFEBOAT_POSTGRES_DIRS') passedOver.push(clause)
    log.debug(clause)
    return undefined
  }
  const path = (tool: string) => join(candidate.bin, tool)
  return { major, version: versions[0]?.text ?? String(major), bin: candidate.bin, origin: candidate.origin, path }
}

async function isProgram(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

function defined(name: string, env: NodeJS.ProcessEnv): Record<string, string> {
  const value = env[name]
  return value === undefined ? {} : { [name]: value }
}

/** `pg_dump (PostgreSQL) 17.12 (Debian 17.12-0+deb13u1)`, `postgres (PostgreSQL) 19beta2`. */
function readVersion(output: string): { text: string; major: number } | undefined {
  const match = /\) (\d+)((?:\.\d+)*|(?:devel|beta\d+|rc\d+))(?=\s|$)/.exec(output)
  return match ? { text: `${match[1]}${match[2]}`, major: Number(match[1]) } : undefined
}

/** Whether this pg_restore is known to run code from a crafted archive. */
export function isUnsafeVersion(version: string): boolean {
  const [major = 0, minor] = version.split('.').map(Number)
  if (major < 14) return true
  const safe = SAFE_MINORS[major]
  return safe !== undefined && minor !== undefined && minor < safe
}

function withAdvice(tools: PostgresTools, log: Log): PostgresTools {
  if (!isUnsafeVersion(tools.version)) return tools
  const safe = SAFE_MINORS[tools.major]
  const advice =
    safe === undefined
      ? 'No corrected release of this major exists: upgrade PostgreSQL.'
      : `Update to ${tools.major}.${safe}: sudo apt-get update && sudo apt-get install -y --only-upgrade postgresql-client-${tools.major}`
  log.warning(
    `pg_restore ${tools.version} can be made to run code by a crafted archive (CVE-2026-116314): restore only sets whose signature was checked. ${advice}`,
  )
  return tools
}

import { access, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { messageOf } from '../base/errors.ts'
import type { Log } from '../base/ports.ts'
import { type CommandResult, type RunCommand, runCommand } from './commands.ts'
import { scrub } from './scrub.ts'

const PGDG_SCRIPT = '/usr/share/postgresql-common/pgdg/apt.postgresql.org.sh'
const CREATE_CLUSTER_FILE = '/etc/postgresql-common/createcluster.conf'
const SHOWN_LINES = 5

/** Nothing asks a question, nothing waits for ever on another apt, and what the administrator wrote stays. */
const APT_OPTIONS = [
  '-y',
  '--no-install-recommends',
  '-o',
  'DPkg::Lock::Timeout=120',
  '-o',
  'Dpkg::Options::=--force-confdef',
  '-o',
  'Dpkg::Options::=--force-confold',
]
const QUIET = ['DEBIAN_FRONTEND=noninteractive', 'NEEDRESTART_SUSPEND=1', 'UCF_FORCE_CONFFOLD=1', 'LC_ALL=C']

export interface AptOptions {
  env: NodeJS.ProcessEnv
  log: Log
  signal?: AbortSignal | undefined
  packageCache?: boolean
  /** For tests. */
  run?: RunCommand
  /** For tests: what stands for `/` where files of the system are read. */
  root?: string
}

/**
 * apt of Debian and Ubuntu, as root or with sudo that asks no password. Nothing that it says is shown as it is: the runner
 * would obey workflow commands in it.
 */
export class Apt {
  readonly #options: AptOptions
  readonly #run: RunCommand
  readonly #root: string
  /** What makes a command a privileged one. */
  #prefix: string[] = []

  constructor(options: AptOptions) {
    this.#options = options
    this.#run = options.run ?? runCommand
    this.#root = options.root ?? ''
  }

  /** Why nothing can be installed here; undefined if it can. */
  async findObstacle(): Promise<string | undefined> {
    const release = await readFile(`${this.#root}/etc/os-release`, 'utf8').catch(() => '')
    const ids = /^ID(?:_LIKE)?=.*$/gm
    if (!(release.match(ids) ?? []).some((line) => /\b(debian|ubuntu)\b/.test(line))) {
      return 'packages are installed on Debian and Ubuntu only'
    }
    if ((await this.#plain('id', ['-u'])).stdout.trim() === '0') return undefined
    this.#prefix = ['sudo', '-n']
    const sudo = await this.#plain('sudo', ['-n', 'true'])
    return sudo.exitCode === 0 ? undefined : 'installing them needs root, or sudo that asks no password'
  }

  /**
   * Adds PGDG, which has every major and each minor on the day of its release, where its script is there; a machine
   * without it keeps to its own sources. Refreshes the package lists where the packages are not known yet.
   */
  async makeAvailable(packages: string[], { pgdg = true } = {}): Promise<boolean> {
    const script = this.#root + PGDG_SCRIPT
    if (pgdg && (await exists(script)) && !(await this.#areOffered(packages, 'pgdg'))) {
      const added = await this.privileged([script, '-y'])
      // apt-get update, with which it ends, is content with lists that it could not fetch.
      const failed = added.exitCode !== 0 || /^W: Failed to fetch/m.test(added.stderr)
      if (failed) this.#warn('the PostgreSQL project’s package source (PGDG) could not be added, or not read', added)
    }
    if (await this.#areOffered(packages)) return true
    const updated = await this.privileged(['apt-get', 'update', ...lockTimeout()])
    if (updated.exitCode !== 0) this.#warn('apt-get update failed', updated)
    return this.#areOffered(packages)
  }

  /** Debian's postgresql-common would start a server of its own; returns what puts the file back as it was. */
  async preventMainCluster(): Promise<() => Promise<void>> {
    const file = this.#root + CREATE_CLUSTER_FILE
    const before = await readFile(file, 'utf8').catch(() => undefined)
    if (before !== undefined && /^\s*create_main_cluster\s*=\s*(false|off|no|0)\b/m.test(before)) return async () => {}
    const others = (before ?? '').replaceAll(/^\s*create_main_cluster\s*=.*\n?/gm, '')
    await this.privileged(['mkdir', '-p', dirname(file)])
    await this.#writeFile(
      file,
      `${others}${others === '' || others.endsWith('\n') ? '' : '\n'}create_main_cluster = false\n`,
    )
    return async () => {
      if (before === undefined) await this.privileged(['rm', '-f', file])
      else await this.#writeFile(file, before)
    }
  }

  /** Undefined, or the reason why the packages could not be installed. */
  async install(packages: string[]): Promise<string | undefined> {
    const cache = await this.#openCache(packages)
    const command = ['apt-get', 'install', ...APT_OPTIONS, ...(cache?.aptOptions ?? []), ...packages]
    let result = await this.privileged(command)
    if (result.exitCode !== 0) {
      // Lists older than the archive name files that are gone from it.
      this.#warn('apt-get install failed; trying again with fresh package lists', result)
      await this.privileged(['apt-get', 'update', ...lockTimeout()])
      result = await this.privileged(command)
    }
    await cache?.finish(result.exitCode === 0)
    return result.exitCode === 0 ? undefined : `apt-get install failed: ${this.#lastLines(result).join(' | ')}`
  }

  async #openCache(packages: string[]) {
    const { packageCache, env, log } = this.#options
    if (packageCache !== true) return undefined
    try {
      // Half a megabyte of code that most runs have no use for.
      const { openPackageCache } = await import('./package-cache.ts')
      const list = (args: string[]) => this.#plain('apt-get', ['install', ...APT_OPTIONS, ...args, ...packages])
      const remove = (path: string) => this.privileged(['rm', '-rf', '--', path])
      return await openPackageCache({ list, remove, packages, env, log, root: this.#root })
    } catch (error) {
      log.warning(`The package cache is not used: ${messageOf(error)}`)
      return undefined
    }
  }

  /** `build`: what their versions hold, as in `17.12-1.pgdg24.04+1`. */
  async #areOffered(packages: string[], build = ''): Promise<boolean> {
    const { stdout } = await this.#plain('apt-cache', ['policy', ...packages])
    const versions = [...stdout.matchAll(/^\s+Candidate: (.+)$/gm)].map(([, version = '']) => version)
    const offered = versions.filter((version) => version !== '(none)' && version.includes(build))
    return offered.length === packages.length
  }

  async #writeFile(file: string, content: string): Promise<void> {
    await this.privileged(['tee', file], content)
  }

  #plain(command: string, args: string[]): Promise<CommandResult> {
    return this.#run(command, args, { env: this.#environment() })
  }

  /** As root. sudo clears the environment: what apt is to know goes through `env`. */
  privileged(command: string[], input?: string): Promise<CommandResult> {
    const [program = 'env', ...args] = [...this.#prefix, 'env', ...QUIET, ...command]
    const env = this.#environment()
    return this.#run(program, args, input === undefined ? { env } : { env, input })
  }

  #environment(): Record<string, string> {
    const { env } = this.#options
    const kept: Record<string, string> = { PATH: env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
    for (const name of ['http_proxy', 'https_proxy', 'no_proxy']) {
      const value = env[name] ?? env[name.toUpperCase()]
      if (value !== undefined) kept[name] = value
    }
    return kept
  }

  #lastLines({ stdout, stderr }: CommandResult): string[] {
    const lines = scrub(stderr.trim() === '' ? stdout : stderr, []).split('\n')
    return lines.filter((line) => line.trim() !== '').slice(-SHOWN_LINES)
  }

  #warn(what: string, result: CommandResult): void {
    this.#options.log.warning(`apt: ${what} (exit code ${result.exitCode})`)
    for (const line of this.#lastLines(result)) this.#options.log.info(`apt: ${line}`)
  }
}

function lockTimeout(): string[] {
  return ['-o', 'DPkg::Lock::Timeout=120']
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

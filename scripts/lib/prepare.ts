import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { messageOf } from '../../src/base/errors.ts'
import { memoryLog } from '../../src/base/ports.ts'
import { findTools } from '../../src/postgres/tools.ts'
import { availableMajors, binDirectory, cacheDirectory } from '../../test/support/postgres.ts'
import { ROOT } from './run.ts'

export interface Needs {
  /** Whether a PostgreSQL server must be there; with `CI=true` 15, 17 and 18, else those that LIFEBOAT_TEST_MAJORS names, or any. */
  postgres: boolean
  s3: boolean
  /** Programs that must be on PATH, and the Debian packages that hold them. */
  programs: Record<string, string>
}

const CI_MAJORS = [15, 17, 18]
const CEPH = { 'ceph-mon': 'ceph-mon', 'ceph-osd': 'ceph-osd', radosgw: 'radosgw', ceph: 'ceph-common', curl: 'curl' }

/** Whether what is missing may be installed: as root, on a machine that calls itself CI, or when told to. */
export function mayInstall(args: readonly string[], env: NodeJS.ProcessEnv = process.env): boolean {
  return process.getuid?.() === 0 || env.CI === 'true' || args.includes('--install')
}

/**
 * Sees to it that what is needed is on this machine. What is missing is installed and named if that is allowed, else
 * the error holds the commands that install it.
 */
export async function prepare(needs: Needs, install: boolean): Promise<void> {
  const packages = missingPackages({ ...needs.programs, ...(needs.s3 && !process.env.LIFEBOAT_TEST_S3 ? CEPH : {}) })
  const majors = needs.postgres ? missingMajors() : []
  if (packages.length === 0 && majors.length === 0) return
  if (!install) {
    const commands = [
      ...(packages.length > 0 ? [`sudo apt-get install -y --no-install-recommends ${packages.join(' ')}`] : []),
      ...majors.map((major) => `scripts/unpack-postgres.sh ${major} ${cacheDirectory()}`),
    ]
    throw new Error(`Missing on this machine; install it with (or let --install do it):\n  ${commands.join('\n  ')}`)
  }
  if (packages.length > 0) installPackages(packages)
  for (const major of majors) await installPostgres(major)
}

function missingPackages(programs: Record<string, string>): string[] {
  const directories = (process.env.PATH ?? '').split(delimiter).concat('/usr/sbin', '/sbin')
  const missing = Object.keys(programs).filter(
    (name) => !directories.some((directory) => isProgram(join(directory, name))),
  )
  return [...new Set(missing.map((name) => programs[name] as string))]
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The majors that have to be there and are not. */
function missingMajors(): number[] {
  const { CI, LIFEBOAT_TEST_MAJORS } = process.env
  const required = LIFEBOAT_TEST_MAJORS?.split(',').map(Number) ?? (CI === 'true' ? CI_MAJORS : [])
  if (required.length > 0) return required.filter((major) => !succeeds(() => binDirectory(major)))
  return succeeds(() => availableMajors()) ? [] : [17]
}

function succeeds(attempt: () => unknown): boolean {
  try {
    attempt()
    return true
  } catch {
    return false
  }
}

function installPackages(packages: string[]): void {
  console.log(`Installing ${packages.join(' ')}`)
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const apt = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', '-o', 'DPkg::Lock::Timeout=120']
  const run = (...args: string[]) =>
    spawnSync('env', [...apt, ...args], { stdio: ['ignore', 'ignore', 'inherit'] }).status
  const wanted = ['install', '-y', '--no-install-recommends', ...packages]
  // Package lists are often older than the archive, or not there at all.
  if (run(...wanted) !== 0 && (run('update') !== 0 || run(...wanted) !== 0)) {
    throw new Error(`apt-get could not install ${packages.join(' ')}`)
  }
}

/** From a package if there is one (Debian's own, or the PostgreSQL project's), else unpacked from Debian's archive. */
async function installPostgres(major: number): Promise<void> {
  console.log(`Installing PostgreSQL ${major}`)
  const log = memoryLog()
  try {
    await findTools({ major, need: 'server', env: process.env, log, install: true })
  } catch (error) {
    const { status } = spawnSync(join(ROOT, 'scripts/unpack-postgres.sh'), [String(major), cacheDirectory()], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    if (status !== 0) throw new Error([messageOf(error), ...log.lines].join('\n'))
  }
}

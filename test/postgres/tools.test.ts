import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { memoryLog } from '../../src/base/ports.ts'
import { type RunCommand, runCommand } from '../../src/postgres/commands.ts'
import { findTools, isUnsafeVersion } from '../../src/postgres/tools.ts'
import { availableMajors, binDirectory } from '../support/postgres.ts'

const CLIENT = ['pg_dump', 'pg_dumpall', 'pg_restore']
const SERVER = [...CLIENT, 'initdb', 'postgres', 'pg_ctl']

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'lifeboat tools-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function makeTools(directory: string, version: string, names = SERVER): Promise<string> {
  await mkdir(directory, { recursive: true })
  for (const name of names) {
    const script = `#!/bin/sh\necho '${name} (PostgreSQL) ${version} (Debian ${version}-1)'\n`
    await writeFile(join(directory, name), script, { mode: 0o755 })
  }
  return directory
}

const options = (env: NodeJS.ProcessEnv, major = 17) => ({
  major,
  need: 'client' as const,
  env,
  log: memoryLog(),
  install: false,
  root,
})

test.each(availableMajors())('the real tools of major %d are found and say their version', async (major) => {
  const bin = binDirectory(major)
  const env = { PATH: '/usr/bin:/bin', LIFEBOAT_POSTGRES_DIRS: join(bin, '..', '..') }
  const tools = await findTools({ ...options(env, major), need: 'server' })
  expect(tools).toMatchObject({ major, origin: 'LIFEBOAT_POSTGRES_DIRS' })
  expect(tools.version).toMatch(new RegExp(`^${major}\\.\\d+$`))
  expect((await runCommand(tools.path('initdb'), ['--version'])).stdout).toContain(tools.version)
})

test('places are searched in order: the given directories, the distribution, PATH, Homebrew', async () => {
  const bin = join(root, 'somewhere')
  const env = { PATH: `/nonexistent:${bin}:/usr/bin:/bin` }
  const origin = async () =>
    (await findTools(options({ ...env, LIFEBOAT_POSTGRES_DIRS: `${root}/a:${root}/b` }))).origin
  await makeTools(`${root}/usr/local/opt/postgresql@17/bin`, '17.12')
  expect(await origin()).toBe('Homebrew')
  await makeTools(bin, '17.12')
  expect(await origin()).toBe('PATH')
  await makeTools(`${root}/usr/pgsql-17/bin`, '17.12')
  expect(await origin()).toBe('distribution')
  await makeTools(`${root}/b/17/bin`, '17.12')
  expect(await origin()).toBe('LIFEBOAT_POSTGRES_DIRS')
})

test('what says another major, lacks a program, or is Debian’s wrapper is passed over', async () => {
  await makeTools(`${root}/a/17/bin`, '18.7')
  await makeTools(`${root}/b/17/bin`, '17.12', ['pg_dump', 'pg_restore'])
  await makeTools(`${root}/usr/share/postgresql-common`, '17.12')
  await mkdir(`${root}/bin`)
  for (const name of CLIENT) await symlink(`${root}/usr/share/postgresql-common/${name}`, `${root}/bin/${name}`)
  const env = { PATH: `${root}/bin:/usr/bin:/bin`, LIFEBOAT_POSTGRES_DIRS: `${root}/a:${root}/b` }
  await expect(findTools(options(env))).rejects.toMatchObject({
    code: 'no-tools',
    remedy: expect.stringMatching(/apt-get install -y postgresql-client-17 .*LIFEBOAT_POSTGRES_DIRS/),
  })
})

test('symbolic links in PATH lead to the directory that has the server too', async () => {
  const bin = await makeTools(`${root}/opt/pg`, '17.12')
  await mkdir(`${root}/bin`)
  await symlink(`${bin}/pg_dump`, `${root}/bin/pg_dump`)
  const tools = await findTools({ ...options({ PATH: `${root}/bin:/usr/bin:/bin` }), need: 'server' })
  expect(tools.path('pg_ctl')).toBe(`${bin}/pg_ctl`)
})

test('a pg_restore that crafted archives can take over is warned about', async () => {
  const env = { PATH: '/usr/bin:/bin', LIFEBOAT_POSTGRES_DIRS: root }
  await makeTools(`${root}/17/bin`, '17.11')
  const log = memoryLog()
  await findTools({ ...options(env), log })
  expect(log.lines.join('\n')).toMatch(/warning: pg_restore 17\.11 .*Update to 17\.12/)
  expect(['18.7', '17.12', '16.16', '15.20', '14.25', '19beta1', '19.0'].filter(isUnsafeVersion)).toEqual([])
  expect(['18.6', '17.1', '14.24', '13.23'].filter(isUnsafeVersion)).toHaveLength(4)
})

interface FakeMachine {
  offered: keyof typeof CANDIDATES
  offersAfter: 'pgdg' | 'update' | 'never'
  installs: boolean
  sudo: number
  commands: string[]
}

const CANDIDATES = { nowhere: '(none)', distribution: '17.12-1', pgdg: '17.12-1.pgdg24.04+1' }

/** Stands for id, sudo, apt-cache and apt-get; everything else is run for real (without sudo and env). */
function fakeApt(machine: FakeMachine): RunCommand {
  const ok = { exitCode: 0, stdout: '', stderr: '' }
  return async (command, args, runOptions) => {
    const line = [command, ...args].join(' ')
    if (command.startsWith('/') || command.startsWith(root)) return runCommand(command, args, runOptions)
    machine.commands.push(line.replaceAll(/\S+=\S+ /g, '').replaceAll(root, ''))
    if (command === 'id') return { ...ok, stdout: '1001\n' }
    if (line === 'sudo -n true') return { ...ok, exitCode: machine.sudo }
    if (line.includes('apt.postgresql.org.sh') && machine.offersAfter === 'pgdg') machine.offered = 'pgdg'
    if (line.includes('apt-get update') && machine.offersAfter === 'update') machine.offered = 'distribution'
    if (command === 'apt-cache') {
      const policy = args.slice(1).map((name) => `${name}:\n  Candidate: ${CANDIDATES[machine.offered]}\n`)
      return { ...ok, stdout: policy.join('') }
    }
    if (line.includes(' mkdir ')) await mkdir(args.at(-1) ?? '', { recursive: true })
    if (line.includes(' tee ')) await writeFile(args.at(-1) ?? '', runOptions?.input ?? '')
    if (line.includes('apt-get install')) {
      const cluster = await readFile(`${root}/etc/postgresql-common/createcluster.conf`, 'utf8').catch(() => 'no file')
      machine.commands.push(`createcluster.conf: ${cluster.trim()}`)
      if (!machine.installs) return { exitCode: 100, stdout: '', stderr: '::error::no such file\n' }
      await makeTools(`${root}/usr/lib/postgresql/17/bin`, '17.12')
    }
    return ok
  }
}

async function debian(): Promise<void> {
  await mkdir(`${root}/etc`, { recursive: true })
  await writeFile(`${root}/etc/os-release`, 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n')
}

async function addPgdgScript(): Promise<void> {
  await mkdir(`${root}/usr/share/postgresql-common/pgdg`, { recursive: true })
  await writeFile(`${root}/usr/share/postgresql-common/pgdg/apt.postgresql.org.sh`, '')
}

const machine = (changes: Partial<FakeMachine>): FakeMachine => ({
  offered: 'nowhere',
  offersAfter: 'never',
  installs: true,
  sudo: 0,
  commands: [],
  ...changes,
})
const installing = (fake: FakeMachine, need: 'client' | 'server' = 'client') => ({
  ...options({ PATH: '/usr/bin:/bin' }),
  need,
  install: true,
  run: fakeApt(fake),
})

test('a server package is installed with sudo, from PGDG, without a cluster of its own', async () => {
  await debian()
  await addPgdgScript()
  await mkdir(`${root}/etc/postgresql-common`)
  await writeFile(`${root}/etc/postgresql-common/createcluster.conf`, 'ssl = on\ncreate_main_cluster = true\n')
  const fake = machine({ offersAfter: 'pgdg' })
  const tools = await findTools(installing(fake, 'server'))
  expect(tools).toMatchObject({ major: 17, version: '17.12', origin: 'installed' })
  expect(fake.commands).toEqual([
    'id -u',
    'sudo -n true',
    'apt-cache policy postgresql-client-17 postgresql-17',
    'sudo -n env /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y',
    'apt-cache policy postgresql-client-17 postgresql-17',
    'sudo -n env mkdir -p /etc/postgresql-common',
    'sudo -n env tee /etc/postgresql-common/createcluster.conf',
    expect.stringMatching(
      /^sudo -n env apt-get install -y --no-install-recommends .*postgresql-client-17 postgresql-17$/,
    ),
    'createcluster.conf: ssl = on\ncreate_main_cluster = false',
    'sudo -n env tee /etc/postgresql-common/createcluster.conf',
  ])
  expect(await readFile(`${root}/etc/postgresql-common/createcluster.conf`, 'utf8')).toContain('= true')
})

test.each([
  ['nowhere', 1, 'pgdg'],
  ['distribution', 1, 'pgdg'],
  ['pgdg', 0, 'pgdg'],
  // The script fails, as on a release that PGDG has given up.
  ['distribution', 1, 'never'],
] as const)(
  'PGDG’s script is run for packages that are not PGDG’s yet: offered %s, %d times',
  async (offered, times, offersAfter) => {
    await debian()
    await addPgdgScript()
    const fake = machine({ offered, offersAfter })
    expect(await findTools(installing(fake))).toMatchObject({ origin: 'installed' })
    expect(fake.commands.filter((line) => line.includes('apt.postgresql.org.sh'))).toHaveLength(times)
    expect(fake.commands.filter((line) => line.includes('update'))).toEqual([])
  },
)

test('package lists are refreshed only where the package is not known', async () => {
  await debian()
  const known = machine({ offered: 'distribution' })
  await findTools(installing(known))
  expect(known.commands.filter((line) => line.includes('update'))).toEqual([])
  await rm(`${root}/usr`, { recursive: true })
  const unknown = machine({ offersAfter: 'update' })
  await findTools(installing(unknown))
  expect(unknown.commands.filter((line) => line.includes('update'))).toHaveLength(1)
})

test.each([
  ['no sudo', { sudo: 1 }, /sudo that asks no password/],
  ['no such package', {}, /no package source of this machine offers postgresql-client-17/],
  ['apt fails', { offered: 'distribution', installs: false }, /apt-get install failed: (?!::error)/],
] as const)('where installing is impossible the reason is said: %s', async (_, changes, reason) => {
  await debian()
  const failure = await findTools(installing(machine(changes))).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'no-tools', message: expect.stringMatching(reason) })
  expect((failure as Error).message).not.toMatch(/(^|\n)::/)
})

test('nothing is installed on other systems, or when it is not allowed', async () => {
  const fake = machine({ offered: 'distribution' })
  await expect(findTools(installing(fake))).rejects.toThrow(/Debian and Ubuntu only/)
  await debian()
  await expect(findTools({ ...installing(fake), install: false })).rejects.toThrow(/not allowed/)
  expect(fake.commands).toEqual([])
})

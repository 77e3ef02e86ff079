import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { appendFile, chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findServerOwner, type ProcessOwner, runAs } from '../../src/postgres/commands.ts'
import { settingLines } from '../../src/postgres/scratch-settings.ts'
import {
  findFreePort,
  type ServerProcess,
  spawnServer,
  stopServer,
  waitForServer,
} from '../../src/postgres/server-process.ts'

const run = promisify(execFile)

/** The majors that a machine that calls itself CI must have: a ring that cannot run is a failure, not a skip. */
const CI_MAJORS = [15, 17, 18]
const START_SECONDS = 120

export interface TestServer {
  readonly major: number
  /** The directory of this major's tools. */
  readonly bin: string
  readonly port: number
  /** The superuser `postgres`'s password; letters and digits only. */
  readonly password: string
  readonly dataDirectory: string
  /** A URL on 127.0.0.1. Another user's password defaults to the superuser's: create test roles with it. */
  url(database: string, user?: string, password?: string): string
  /** Runs SQL as the superuser (one simple query string, errors reject) and returns unaligned rows, without headers. */
  psql(database: string, sql: string): Promise<string>
  /** Creates a database from template0 (or `template`) and returns its URL. */
  createDatabase(name: string, options?: TestDatabaseOptions): Promise<string>
  /** The server's log so far. */
  log(): Promise<string>
  stop(): Promise<void>
}

export interface TestDatabaseOptions {
  template?: string
  encoding?: string
  collate?: string
  ctype?: string
  provider?: 'libc' | 'icu' | 'builtin'
  /** The locale of an ICU or builtin database. */
  locale?: string
  owner?: string
}

export interface TestServerOptions {
  /** Lines for postgresql.conf; values are quoted here. */
  settings?: Record<string, string>
  /** Further initdb arguments; later ones win over the default UTF8, C.UTF-8. */
  initdb?: string[]
  /** Replaces pg_hba.conf. */
  hba?: string
  /** Files (a server certificate and its key) to be put into the data directory, 0600 and owned by the server's user. */
  files?: Record<string, string>
}

/**
 * The majors whose server and tools are on this machine, ascending. With `LIFEBOAT_TEST_MAJORS=15,17` exactly those;
 * with `CI=true` at least 15, 17 and 18. What is required and missing throws with the command that installs it.
 */
export function availableMajors(env: NodeJS.ProcessEnv = process.env): number[] {
  const listed = env.LIFEBOAT_TEST_MAJORS?.split(',').map(Number)
  const required = listed ?? (env.CI === 'true' ? CI_MAJORS : [])
  const found = [...new Set(majorDirectories(env).flatMap(majorsIn))].sort((a, b) => a - b)
  const missing = required.filter((major) => !found.includes(major))
  if (missing.length > 0) throw new Error(missing.map(describeMissing).join('\n'))
  if (found.length === 0) throw new Error(`no PostgreSQL server found: ${describeMissing(17)}`)
  return listed ?? found
}

/** The `bin` directory of a major; throws with the command that installs it. */
export function binDirectory(major: number, env: NodeJS.ProcessEnv = process.env): string {
  const directory = majorDirectories(env).find((candidate) => majorsIn(candidate).includes(major))
  if (directory === undefined) throw new Error(describeMissing(major))
  return join(directory, String(major), 'bin')
}

/** Where `scripts/unpack-postgres.sh` is told to unpack to by default. */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  if (process.getuid?.() === 0) return '/var/cache/pg-lifeboat/postgres'
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'pg-lifeboat', 'postgres')
}

/** Starts an empty server of that major on a free port of 127.0.0.1. It ends with `stop()` or with this process. */
export async function startServer(major: number, options: TestServerOptions = {}): Promise<TestServer> {
  const bin = binDirectory(major)
  const owner = await findServerOwner()
  if (owner === undefined) throw new Error('PostgreSQL does not run as root: create its user with useradd postgres')
  const directory = await mkdtemp(join(tmpdir(), `lifeboat-test-${major}-`))
  const password = randomBytes(12).toString('hex')
  try {
    await initialize({ bin, owner, directory, password, options })
    for (let attempt = 1; ; attempt += 1) {
      const port = await findFreePort()
      const spec = { program: join(bin, 'postgres'), directory, port, owner, env: serverEnvironment() }
      const server = await spawnServer(spec)
      const state = await waitForServer(server, directory, { seconds: START_SECONDS })
      if (state === 'ready') return describeServer({ major, bin, port, password, directory, server })
      await stopServer(server.pid)
      server.release()
      const log = await readFile(join(directory, 'log'), 'utf8')
      // Another process may have taken the port between our look and the server's bind.
      if (!log.includes('Address already in use') || attempt === 5) throw new Error(`test server: ${state}: ${log}`)
    }
  } catch (error) {
    await rm(directory, { recursive: true, force: true })
    throw error
  }
}

interface Initialization {
  bin: string
  owner: ProcessOwner
  directory: string
  password: string
  options: TestServerOptions
}

async function initialize({ bin, owner, directory, password, options }: Initialization): Promise<void> {
  await own(directory, owner)
  const passwordFile = join(directory, 'password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  await own(passwordFile, owner)
  const data = join(directory, 'data')
  const base = ['--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--no-sync', '-D', data]
  const args = [...base, '--encoding=UTF8', '--locale=C.UTF-8', ...(options.initdb ?? [])]
  const initdb = await runAs(owner, join(bin, 'initdb'), args, { cwd: directory, env: serverEnvironment() })
  if (initdb.exitCode !== 0) throw new Error(`initdb: ${initdb.stderr}`)
  await rm(passwordFile)
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    shared_buffers: '32MB',
    max_connections: '60',
    ...options.settings,
  }
  await appendFile(join(data, 'postgresql.conf'), settingLines(settings))
  const hba = 'host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n'
  await writeFile(join(data, 'pg_hba.conf'), options.hba ?? hba)
  for (const [name, content] of Object.entries(options.files ?? {})) {
    await writeFile(join(data, name), content, { mode: 0o600 })
    await own(join(data, name), owner)
  }
}

async function own(path: string, { uid, gid }: ProcessOwner): Promise<void> {
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid)
}

/** Nothing of the tests' own environment may steer the server or its tools. */
function serverEnvironment(): Record<string, string> {
  return { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
}

interface Running {
  major: number
  bin: string
  port: number
  password: string
  directory: string
  server: ServerProcess
}

function describeServer({ major, bin, port, password, directory, server }: Running): TestServer {
  const psql = async (database: string, sql: string): Promise<string> => {
    // By the environment: as an argument, a name with = in it would be a connection string.
    const env = { ...serverEnvironment(), PGPASSWORD: password, PGCLIENTENCODING: 'UTF8', PGDATABASE: database }
    const connection = ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres']
    const format = ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1']
    const finished = run(join(bin, 'psql'), [...connection, ...format, '-f', '-'], { env, maxBuffer: 64 * 2 ** 20 })
    // A psql that cannot connect ends without reading: its own words say why, not the broken pipe.
    finished.child.stdin?.on('error', () => undefined)
    finished.child.stdin?.end(sql)
    return (await finished).stdout.trimEnd()
  }
  const url = (database: string, user = 'postgres', secret = password) =>
    `postgresql://${encodeURIComponent(user)}:${encodeURIComponent(secret)}@127.0.0.1:${port}/${encodeURIComponent(database)}`
  let stopping: Promise<void> | undefined
  return {
    major,
    bin,
    port,
    password,
    dataDirectory: join(directory, 'data'),
    url,
    psql,
    createDatabase: async (name, options = {}) => {
      await psql('postgres', createDatabaseStatement(name, options))
      return url(name)
    },
    log: () => readFile(join(directory, 'log'), 'utf8'),
    stop: () => {
      stopping ??= stopServer(server.pid)
        .then(() => rm(directory, { recursive: true, force: true, maxRetries: 20 }))
        .then(() => server.release())
      return stopping
    },
  }
}

function createDatabaseStatement(name: string, options: TestDatabaseOptions): string {
  const literal = (text: string) => `'${text.replaceAll("'", "''")}'`
  const identifier = (text: string) => `"${text.replaceAll('"', '""')}"`
  const clauses = [`template ${identifier(options.template ?? 'template0')}`]
  if (options.owner !== undefined) clauses.push(`owner ${identifier(options.owner)}`)
  if (options.encoding !== undefined) clauses.push(`encoding ${literal(options.encoding)}`)
  if (options.collate !== undefined) clauses.push(`lc_collate ${literal(options.collate)}`)
  if (options.ctype !== undefined) clauses.push(`lc_ctype ${literal(options.ctype)}`)
  if (options.provider !== undefined) clauses.push(`locale_provider ${options.provider}`)
  const localeClause = options.provider === 'icu' ? 'icu_locale' : 'builtin_locale'
  if (options.locale !== undefined) clauses.push(`${localeClause} ${literal(options.locale)}`)
  return `create database ${identifier(name)} ${clauses.join(' ')}`
}

/** Directories that may hold `<major>/bin`. */
function majorDirectories(env: NodeJS.ProcessEnv): string[] {
  const listed = (env.LIFEBOAT_POSTGRES_DIRS ?? '').split(':').filter((directory) => directory !== '')
  return [...listed, '/usr/lib/postgresql', cacheDirectory(env)]
}

function majorsIn(directory: string): number[] {
  if (!existsSync(directory)) return []
  const names = readdirSync(directory).filter((name) => /^\d+$/.test(name))
  return names.filter((name) => existsSync(join(directory, name, 'bin', 'postgres'))).map(Number)
}

function describeMissing(major: number): string {
  const unpack = `scripts/unpack-postgres.sh ${major} ${cacheDirectory()}`
  return `PostgreSQL ${major} is missing: run  sudo apt-get install -y postgresql-${major}  (or, without root: ${unpack})`
}

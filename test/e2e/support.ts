import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import { loadExample } from '../../examples/brisa/load.ts'
import {
  type ActionResult,
  type Job,
  runAction,
  type StepOptions,
  type StepResult,
  startJob,
} from '../../scripts/lib/local-runner.ts'
import type { Orphan } from '../../scripts/lib/orphans.ts'
import { postgresDirectories } from '../../scripts/lib/postgres-dirs.ts'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import { openStorage } from '../../src/storage/open.ts'
import type { Storage } from '../../src/storage/storage.ts'
import type { FakeGitHub } from '../github/fake-github.ts'
import { startServer, type TestServer } from '../support/postgres.ts'
import { type BucketOptions, type S3Service, startS3 } from '../support/s3-service.ts'
import { scanForSecrets, secretsOf } from './secrets.ts'

const run = promisify(execFile)

/** The folder that holds the actions' folders; by default the bundled ones of this repository. */
const ACTIONS = process.env.LIFEBOAT_TEST_ACTIONS ?? ''

/** The name of the database that `Lab.example` loads. */
export const EXAMPLE_DATABASE = 'brisa'

/** A place for backup sets, as a job sees it and as a test does. */
export interface TestStorage {
  readonly url: string
  /** `storage` and, for S3, `s3-endpoint`: to be spread into an action's inputs. */
  readonly inputs: Record<string, string>
  /** Credentials: to be spread into a step's environment. */
  readonly env: Record<string, string>
  /** For a test's own eyes; closed by the lab. */
  readonly storage: Storage
  /** Of S3 only. */
  readonly bucket?: string
  /** All keys that begin with `prefix`, in order. */
  keys(prefix?: string): Promise<string[]>
  /** The JSON document at `key`. */
  json<T = Record<string, unknown>>(key: string): Promise<T>
}

export interface AgeKeys {
  recipient: string
  /** The text of the identity file. */
  identity: string
  identityFile: string
}

export interface SigningKeys {
  privateKey: string
  publicKey: string
}

export interface RunOptions extends Omit<StepOptions, 'action' | 'inputs'> {
  event?: { name: string; payload?: unknown }
  /** The job's directory; by default one of its own. */
  temp?: string
  /** Where the folder of the action is, if not with the others. */
  actions?: string
  /** Where alerts go; the event is then `schedule` unless it is given. */
  github?: FakeGitHub
}

/**
 * What the tests of one file share: servers, storages, keys, a directory. `const lab = new Lab()` and
 * `afterAll(() => lab.close())`; everything is made when it is first asked for.
 */
export class Lab {
  /** What no run may show besides its own secrets: pieces of row content, passwords. Tests add to it. */
  readonly secrets = new Set<string>()
  readonly #servers = new Map<string, Promise<TestServer>>()
  readonly #storages: Storage[] = []
  #directory: Promise<string> | undefined
  #s3: Promise<S3Service> | undefined
  #count = 0

  /** A new directory below the lab's own. */
  async directory(name: string): Promise<string> {
    this.#directory ??= mkdtemp(join(tmpdir(), 'lifeboat-e2e-'))
    this.#count += 1
    const number = this.#count
    const directory = join(await this.#directory, `${number}-${name}`)
    await mkdir(directory, { mode: 0o700 })
    return directory
  }

  /** A server of that major, the same for each `name`. */
  server(major: number, name = 'default'): Promise<TestServer> {
    const key = `${major} ${name}`
    const known = this.#servers.get(key)
    if (known) return known
    const server = startServer(major)
    this.#servers.set(key, server)
    return server
  }

  /** The server of that major that holds the example database: loaded once, and not to be written to. */
  example(major: number): Promise<TestServer> {
    const key = `${major} example`
    const known = this.#servers.get(key)
    if (known) return known
    const server = startServer(major).then(async (started) => {
      await started.createDatabase(EXAMPLE_DATABASE)
      await loadExample({ psql: join(started.bin, 'psql'), env: connectionOf(started, EXAMPLE_DATABASE) })
      return started
    })
    this.#servers.set(key, server)
    return server
  }

  async s3(): Promise<S3Service> {
    this.#s3 ??= startS3()
    return this.#s3
  }

  /** An empty storage of its own. */
  async storage(kind: 'directory' | 's3', options: BucketOptions = {}): Promise<TestStorage> {
    if (kind === 'directory') return this.#open(`file://${await this.directory('storage')}`, {}, {})
    const s3 = await this.s3()
    const bucket = await s3.bucket('lifeboat-e2e', options)
    const opened = await this.#open(`s3://${bucket}/backups`, { 's3-endpoint': s3.endpoint }, s3.env)
    return { ...opened, bucket }
  }

  async #open(url: string, more: Record<string, string>, env: Record<string, string>): Promise<TestStorage> {
    const endpoint = more['s3-endpoint']
    const options = { env: { ...process.env, ...env }, log: memoryLog(), clock: systemClock }
    const storage = await openStorage(url, { ...options, ...(endpoint === undefined ? {} : { endpoint }) })
    this.#storages.push(storage)
    return {
      url,
      inputs: { storage: url, ...more },
      env,
      storage,
      keys: async (prefix = '') => {
        const keys: string[] = []
        for await (const { key } of storage.list(prefix)) keys.push(key)
        return keys
      },
      json: async (key) => JSON.parse((await storage.read(key)).toString('utf8')),
    }
  }

  /**
   * Runs one bundled action on that storage, as a job of its own; fails if anything that it let out, wrote where anybody
   * can read it, or told GitHub, holds a secret of its inputs or of `this.secrets`.
   */
  async run(
    action: 'action-dump' | 'action-verify' | 'action-restore-test',
    storage: TestStorage,
    inputs: Record<string, string> = {},
    options: RunOptions = {},
  ): Promise<ActionResult> {
    const { actions = ACTIONS, github, ...rest } = options
    const api = github && { GITHUB_API_URL: github.url }
    const env = { ...actionEnvironment(), ...storage.env, ...api, ...options.env }
    const temp = options.temp ?? (await this.directory(action))
    const all = { ...storage.inputs, ...inputs }
    const job = github ? { event: { name: 'schedule' }, github: { token: github.token } } : {}
    const result = await runAction({ ...job, ...rest, action: join(actions, action), inputs: all, temp, env })
    const secrets = [...this.secrets, ...secretsOf(inputs, env), ...(github ? [github.token] : [])]
    await scanForSecrets(result, secrets, { storage: storage.storage, ...(github && { github }) })
    return result
  }

  /**
   * A job of several steps; `finish()` it. Everything that it writes is below `directory`. Each step, main and post, is
   * looked through as `run` does, for the secrets of all steps so far.
   */
  async job(storage: TestStorage): Promise<Job & { directory: string }> {
    const directory = await this.directory('job')
    const env = { ...actionEnvironment(), ...storage.env }
    const job = await startJob({ temp: directory, env })
    const secrets: string[] = []
    const scan = (step: StepResult) =>
      scanForSecrets({ ...step, orphans: [] }, [...this.secrets, ...secrets], { storage: storage.storage })
    const run = async (step: StepOptions) => {
      secrets.push(...secretsOf(step.inputs ?? {}, { ...env, ...step.env }))
      const action = isAbsolute(step.action) ? step.action : join(ACTIONS, step.action)
      const result = await job.run({ ...step, action })
      await scan(result)
      return result
    }
    const finish = async () => {
      const finished = await job.finish()
      for (const post of finished.posts) await scan(post)
      return finished
    }
    return { ...job, directory, run, finish }
  }

  /** A new key pair, made by age itself. */
  async ageKeys(): Promise<AgeKeys> {
    const identityFile = join(await this.directory('age'), 'identity.txt')
    await run('age-keygen', ['-o', identityFile])
    const { stdout } = await run('age-keygen', ['-y', identityFile])
    return { recipient: stdout.trim(), identity: await readFile(identityFile, 'utf8'), identityFile }
  }

  /** A new Ed25519 key pair in PEM form, made by openssl. */
  async signingKeys(): Promise<SigningKeys> {
    const file = join(await this.directory('signing'), 'signing.pem')
    await run('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', file])
    const { stdout } = await run('openssl', ['pkey', '-in', file, '-pubout'])
    return { privateKey: await readFile(file, 'utf8'), publicKey: stdout }
  }

  /** Stops what was started and removes what was written. */
  async close(): Promise<void> {
    for (const storage of this.#storages) storage.close()
    const servers = await Promise.allSettled(this.#servers.values())
    await Promise.all(servers.map((server) => (server.status === 'fulfilled' ? server.value.stop() : undefined)))
    await (await this.#s3)?.stop()
    if (this.#directory) await rm(await this.#directory, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Where the actions find PostgreSQL's programs. */
export function actionEnvironment(): Record<string, string> {
  return { LIFEBOAT_POSTGRES_DIRS: postgresDirectories(process.env).join(':') }
}

/** The variables that lead libpq to a test server's database, as its superuser. */
export function connectionOf(server: TestServer, database: string): Record<string, string> {
  const { port, password } = server
  return {
    PGHOST: '127.0.0.1',
    PGPORT: String(port),
    PGUSER: 'postgres',
    PGPASSWORD: password,
    PGDATABASE: database,
  }
}

/** Fails with the step's own log if it did not end as expected. */
export function expectExit(result: StepResult & { orphans?: Orphan[] }, code: number): void {
  const { orphans: left = [] } = result
  if (result.exitCode === code && left.length === 0) return
  const orphans = left.map(({ pid, command }) => `left running: ${pid} ${command}`)
  const text = [...result.log, ...orphans].join('\n')
  throw new Error(`exit code ${result.exitCode}, expected ${code}\n${text}\n${result.stderr}`)
}

/** The JSON report that the step's `report` output names. It is gone once the job's directory is. */
export async function reportOf<T = Record<string, unknown>>(result: StepResult): Promise<T> {
  return JSON.parse(await readFile(result.outputs.report ?? '', 'utf8'))
}

/** Downloads everything below `prefix` into `folder`, with the storage's own reads. */
export async function download(storage: Storage, prefix: string, folder: string): Promise<void> {
  for await (const { key } of storage.list(prefix)) {
    const file = join(folder, key.slice(prefix.length))
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, await storage.read(key, { limit: 1 << 30 }))
  }
}

/** What RESTORE.md in a set's folder tells to run: the command that makes the database, if it does, and its one `sh` block. */
export async function readGuide(folder: string): Promise<{ createDatabase: string; script: string }> {
  const text = await readFile(join(folder, 'RESTORE.md'), 'utf8')
  const blocks = [...text.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)]
  const commands = [...text.matchAll(/`(createdb .*)`/g)]
  if (blocks.length !== 1 || blocks[0]?.[1] !== 'sh') throw new Error('RESTORE.md does not hold exactly one sh block')
  if (commands.length > 1) throw new Error('RESTORE.md names more than one createdb command')
  return { createDatabase: commands[0]?.[1] ?? '', script: blocks[0][2] ?? '' }
}

import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { LifeboatError } from '../base/errors.ts'
import type { Log } from '../base/ports.ts'
import { findServerOwner } from './commands.ts'
import { parseConnection } from './connection.ts'
import { type Database, openDatabase } from './database.ts'
import { createScratchDatabase, type DatabaseSpec } from './scratch-database.ts'
import { clusterFailure, initializeCluster, makeDirectory, readLogTail, SCRATCH_PREFIX } from './scratch-directory.ts'
import {
  findFreePort,
  findServer,
  type ServerProcess,
  type ServerSpec,
  spawnServer,
  stopServer,
  waitForServer,
} from './server-process.ts'
import type { PostgresTools } from './tools.ts'

export type { DatabaseSpec } from './scratch-database.ts'

const START_SECONDS = 60
const PORT_ATTEMPTS = 5

export interface ScratchOptions {
  /** Of a major that can take the dump; found with `need: 'server'`. */
  tools: PostgresTools
  /** Where the cluster's directory is made. If the server's user cannot get there: beside it, else in /tmp or /var/tmp. */
  parent: string
  log: Log
  /** PATH, and what the runner uses to find left-over processes; nothing that steers PostgreSQL is passed on. */
  env: NodeJS.ProcessEnv
  signal?: AbortSignal | undefined
  /** Default: what the machine has. */
  cores?: number | undefined
  /** Told the directory as soon as it exists, before a server runs in it: to be saved for a later clean-up. */
  onDirectory?: ((directory: string) => void) | undefined
}

/** A throw-away server on a random port of 127.0.0.1, with a superuser `postgres` and a random password. */
export interface ScratchCluster {
  readonly directory: string
  readonly pid: number
  readonly port: number
  /** To be masked; letters and digits only. */
  readonly password: string
  /** As superuser `postgres` in database `postgres`. */
  readonly admin: Database
  /** Creates and opens a database like the source's. Errors: `missing-locale`, `scratch-database-failed`. */
  createDatabase(spec: DatabaseSpec): Promise<Database>
  /** Holds the password. */
  url(database: string): string
  /** Lets the server outlive this process; `stopScratchCluster` ends it. Handles opened here are closed. */
  detach(): Promise<void>
  /** Ends the server and removes its directory; a second call waits for the first. */
  stop(): Promise<void>
}

/**
 * Makes and starts a throw-away cluster. Until `stop()` or `detach()` a guard process ends it if this process dies.
 * Errors: `scratch-cluster-failed`, or the signal's reason.
 */
export async function startScratchCluster(options: ScratchOptions): Promise<ScratchCluster> {
  const { tools, log, signal } = options
  signal?.throwIfAborted()
  const owner = await findServerOwner()
  if (owner === undefined) {
    throw new LifeboatError(
      'scratch-cluster-failed',
      'PostgreSQL refuses to run as root, and neither the user postgres nor nobody exists',
      'Create a user for it in a step before this one: useradd --system postgres',
    )
  }
  const env = childEnvironment(options.env)
  const directory = await makeDirectory(options.parent, owner, env)
  let server: ServerProcess | undefined
  try {
    options.onDirectory?.(directory)
    const password = randomBytes(18).toString('hex')
    const cores = options.cores ?? availableParallelism()
    await initializeCluster({ tools, directory, owner, env, password, cores, signal })
    const started = await startOnFreePort({ program: tools.path('postgres'), directory, owner, env }, signal)
    server = started.server
    const cluster = new RunningCluster(options, { directory, password, ...started })
    await cluster.open()
    log.info(`Scratch server: PostgreSQL ${tools.version} in ${directory}, port ${started.port}, process ${server.pid}`)
    return cluster
  } catch (error) {
    if (server !== undefined) await stopServer(server.pid)
    await removeDirectory(directory)
    server?.release()
    throw error
  }
}

/**
 * Ends a cluster that `detach()` left running, or that a killed run left behind. Nothing is touched unless `directory`
 * was made by this project; a process is only ended if it is the server of that directory, by pid file and command line.
 */
export async function stopScratchCluster(place: {
  directory: string
  pid?: number | undefined
}): Promise<'stopped' | 'not running' | 'refused'> {
  if (!basename(place.directory).startsWith(SCRATCH_PREFIX)) return 'refused'
  const pid = await findServer(place.directory)
  if (pid !== undefined && place.pid !== undefined && pid !== place.pid) return 'refused'
  if (pid !== undefined) await stopServer(pid)
  await removeDirectory(place.directory)
  return pid === undefined ? 'not running' : 'stopped'
}

class RunningCluster implements ScratchCluster {
  readonly directory: string
  readonly pid: number
  readonly port: number
  readonly password: string
  readonly #options: ScratchOptions
  readonly #server: ServerProcess
  readonly #databases: Database[] = []
  #stopping: Promise<void> | undefined

  constructor(
    options: ScratchOptions,
    facts: { directory: string; password: string; server: ServerProcess; port: number },
  ) {
    this.#options = options
    this.#server = facts.server
    this.directory = facts.directory
    this.password = facts.password
    this.port = facts.port
    this.pid = facts.server.pid
  }

  get admin(): Database {
    const [admin] = this.#databases
    if (admin === undefined) throw new Error('the scratch cluster was not opened')
    return admin
  }

  async open(): Promise<void> {
    await mkdir(this.#clientDirectory, { recursive: true, mode: 0o700 })
    await this.#openDatabase('postgres')
  }

  async createDatabase(spec: DatabaseSpec): Promise<Database> {
    const client = await this.admin.connect('scratch database')
    try {
      await createScratchDatabase(client, spec, this.#options.tools.major)
    } finally {
      await client.end()
    }
    return this.#openDatabase(spec.name)
  }

  url(database: string): string {
    const place = `127.0.0.1:${this.port}/${encodeURIComponent(database)}`
    return `postgresql://postgres:${this.password}@${place}?sslmode=disable`
  }

  async detach(): Promise<void> {
    await this.#close()
    this.#server.release()
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    await this.#close()
    if ((await findServer(this.directory)) === this.pid) await stopServer(this.pid)
    await removeDirectory(this.directory)
    // Only now: until the directory is gone the guard still has something to do if this process dies.
    this.#server.release()
  }

  get #clientDirectory(): string {
    return join(this.directory, 'client')
  }

  async #openDatabase(name: string): Promise<Database> {
    const { log, signal, env } = this.#options
    const url = parseConnection(this.url(name), {}, { input: 'the scratch cluster' })
    const settings = { ...url, options: sessionOptions(this.#options.tools.major) }
    const shared = { temp: this.#clientDirectory, log, env: childEnvironment(env) }
    const database = await openDatabase(settings, signal === undefined ? shared : { ...shared, signal })
    this.#databases.push(database)
    return database
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#databases.splice(0).map((database) => database.close()))
  }
}

/** A database may have settings that change who its sessions are, and (since 17) triggers that run when one begins. */
function sessionOptions(major: number): string {
  return ['-c role=none', ...(major >= 17 ? ['-c event_triggers=off'] : [])].join(' ')
}

async function startOnFreePort(
  spec: Omit<ServerSpec, 'port'>,
  signal: AbortSignal | undefined,
): Promise<{ server: ServerProcess; port: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await findFreePort()
    const server = await spawnServer({ ...spec, port })
    try {
      const state = await waitForServer(server, spec.directory, { seconds: START_SECONDS, signal })
      if (state === 'ready') return { server, port }
      const tail = await readLogTail(spec.directory)
      // Another process may have taken the port between our look and the server's bind.
      if (state === 'ended' && /Address already in use/i.test(tail) && attempt < PORT_ATTEMPTS) {
        server.release()
        continue
      }
      const what = state === 'late' ? `is not ready after ${START_SECONDS} s` : 'did not start'
      throw clusterFailure(`the scratch server ${what}`, tail, dirname(spec.directory))
    } catch (error) {
      await stopServer(server.pid)
      server.release()
      throw error
    }
  }
}

/** RUNNER_TRACKING_ID: by it the runner finds and ends what is left of a job, whatever became of the steps. */
function childEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const kept: Record<string, string> = { PATH: env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
  for (const name of ['RUNNER_TRACKING_ID', 'LD_LIBRARY_PATH']) {
    const value = env[name]
    if (value !== undefined) kept[name] = value
  }
  return kept
}

async function removeDirectory(directory: string): Promise<void> {
  // Backends that are still on their way out may write a last file.
  await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
}

import { randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg, { type Client } from 'pg'
import { LifeboatError } from '../base/errors.ts'
import type { Log } from '../base/ports.ts'
import { connectOnce, destroyClient, type Target } from './attempt.ts'
import { type ConnectionSettings, describeConnection } from './connection.ts'
import { explain, serverCode } from './connection-errors.ts'
import { passfileLine } from './passfile.ts'
import { pinStatement } from './pins.ts'
import { isKnownPooler, poolerError } from './pooler.ts'
import { probeServer, type ServerFacts } from './probe.ts'
import { type Network, reach } from './reach.ts'
import { encryptionOrder, rootFile } from './tls.ts'
import { buildToolEnvironment } from './tool-environment.ts'

const MAX_APPLICATION_NAME = 63
const END_TIMEOUT_MS = 2_000
const CHECK_INTERVAL = '5s'

export interface ConnectOptions {
  /** Another database of the same server. */
  database?: string
  /**
   * What the server sends text in. `utf8` (the default) for queries, since `pg` reads nothing else; `server` for COPY
   * streams, whose bytes must be what pg_dump gets.
   */
  encoding?: 'utf8' | 'server'
  /** False: the session that an application gets, by the settings of the server, the database and the role. Default true. */
  pinned?: boolean
}

export interface ToolOptions {
  /** Another database of the same server. */
  database?: string
  /** `own`: what the role and the database say, for pg_dump to look up names in. Default `pinned`. */
  searchPath?: 'pinned' | 'own'
}

/** One reachable server and database: its clients and its tools go the same way, with the same pins. */
export interface Database {
  readonly settings: ConnectionSettings
  /** `user@host:port/database` of the server that answered. */
  readonly label: string
  /** `server_version_num`: 150020. */
  readonly serverVersion: number
  /** 15 */
  readonly serverMajor: number
  /** `server_version`, without the packager's remark: 15.20. */
  readonly serverVersionText: string
  /** The encoding of the settings' database: UTF8. */
  readonly serverEncoding: string
  readonly encrypted: boolean
  /** A connected client, with the pins. Whoever asked for it ends it; `close()` ends what is left. */
  connect(purpose: string, options?: ConnectOptions): Promise<Client>
  /** The complete environment for a PostgreSQL tool; see also TOOL_CONNINFO. */
  toolEnvironment(options?: ToolOptions): Promise<Record<string, string>>
  close(): Promise<void>
}

/** A connection for this work alone. */
export async function withClient<T>(
  database: Database,
  purpose: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await database.connect(purpose)
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}

export interface OpenOptions extends Network {
  /** A directory of the caller's for the password file. */
  temp: string
  log: Log
  env: NodeJS.ProcessEnv
  signal?: AbortSignal
}

/**
 * Tries the hosts, finds the one that answers, and makes sure that a dump can work there: version 13 or newer, real
 * sessions, pins that hold for tools too. Throws LifeboatError: `unknown-host`, `ipv6-only`, `unreachable`, `starting-up`,
 * `wrong-password`, `unknown-user`, `no-pg-hba-entry`, `unknown-database`, `no-connect-privilege`,
 * `too-many-connections`, `refused`, `wrong-server`, `tls-…`, `pooler`, `pooler-settings`, `server-too-old`.
 */
export async function openDatabase(settings: ConnectionSettings, options: OpenOptions): Promise<Database> {
  const known = settings.hosts.find(({ host, port }) => isKnownPooler(host, port))
  if (known !== undefined) throw poolerError(settings, known.host, known.port, 'by its address')
  if (settings.ignored.length > 0) options.log.info(`Of no effect in ${settings.input}: ${settings.ignored.join(', ')}`)
  const encrypts = settings.hosts.some((host) => encryptionOrder(settings.sslmode, host).includes('tls'))
  const root = encrypts ? rootFile(settings, options.env) : undefined
  const startup: Record<string, string> = settings.options === undefined ? {} : { options: settings.options }
  const session = { applicationName: 'pg-lifeboat probe', database: settings.database, startup }
  const { client, target } = await reach({ settings, session, root, network: options, ...signalOf(options) })
  try {
    const facts = await probeServer({ settings, target, client, root, ...signalOf(options) })
    if (!facts.acceptsOptions) options.log.info(`${target.host.host} takes no session options; its own values fit.`)
    return new PostgresDatabase({ settings, target, root, facts, options })
  } catch (error) {
    options.signal?.throwIfAborted()
    throw explain(error, {
      ...target.host,
      settings,
      database: settings.database,
      encrypted: target.encryption === 'tls',
    })
  } finally {
    await endClient(client)
  }
}

function signalOf({ signal }: OpenOptions): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}

interface Opened {
  settings: ConnectionSettings
  target: Target
  root: string | undefined
  facts: ServerFacts
  options: OpenOptions
}

class PostgresDatabase implements Database {
  readonly settings: ConnectionSettings
  readonly label: string
  readonly serverVersion: number
  readonly serverMajor: number
  readonly serverVersionText: string
  readonly serverEncoding: string
  readonly encrypted: boolean
  readonly #opened: Opened
  readonly #clients = new Set<Client>()
  readonly #encodings = new Map<string, string>()
  #passfile: Promise<string> | undefined

  constructor(opened: Opened) {
    const { settings, target, facts } = opened
    this.#opened = opened
    this.settings = settings
    this.label = describeConnection({ ...settings, hosts: [target.host] })
    this.serverVersion = facts.version
    this.serverMajor = Math.floor(facts.version / 10_000)
    this.serverVersionText = facts.versionText
    this.serverEncoding = facts.encoding
    this.encrypted = target.encryption === 'tls'
    this.#encodings.set(settings.database, facts.encoding)
  }

  async connect(purpose: string, { database, encoding, pinned = true }: ConnectOptions = {}): Promise<Client> {
    const { settings, target, root, options } = this.#opened
    const name = database ?? settings.database
    const session = {
      applicationName: `pg-lifeboat ${purpose}`.slice(0, MAX_APPLICATION_NAME),
      database: name,
      ...(settings.options === undefined ? {} : { startup: { options: settings.options } }),
    }
    try {
      const client = await connectOnce(settings, target, session, root, options.signal)
      this.#keep(client, purpose)
      if (pinned) await client.query(pinStatement(this.serverVersion))
      await this.#askToBeMissed(client)
      if (encoding === 'server') {
        await client.query(`SET client_encoding TO ${pg.escapeLiteral(await this.#encodingOf(name, client))}`)
      }
      return client
    } catch (error) {
      options.signal?.throwIfAborted()
      throw explain(error, { ...target.host, settings, database: name, encrypted: this.encrypted })
    }
  }

  /**
   * A session that waits for a lock does not notice that its client is gone: it would queue, and let others queue behind
   * it, for a process that was killed. Since 14 a server looks, on systems where it can (not on Windows).
   */
  async #askToBeMissed(client: Client): Promise<void> {
    if (this.serverVersion < 140_000) return
    await client.query(`SET client_connection_check_interval TO '${CHECK_INTERVAL}'`).catch((error: unknown) => {
      if (serverCode(error) === undefined) throw error
    })
  }

  async toolEnvironment({ database, searchPath = 'pinned' }: ToolOptions = {}): Promise<Record<string, string>> {
    const { settings, target, root, facts, options } = this.#opened
    const name = database ?? settings.database
    this.#passfile ??= this.#writePassfile()
    return buildToolEnvironment({
      settings,
      target,
      database: name,
      serverVersion: this.serverVersion,
      serverEncoding: await this.#encodingOf(name),
      rootFile: root,
      passfile: await this.#passfile,
      acceptsOptions: facts.acceptsOptions,
      searchPath,
      env: options.env,
      temp: options.temp,
    })
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients].map(endClient))
    const passfile = await this.#passfile?.catch(() => undefined)
    this.#passfile = undefined
    if (passfile !== undefined) await rm(passfile, { force: true })
  }

  #keep(client: Client, purpose: string): void {
    this.#clients.add(client)
    client.on('error', () => this.#opened.options.log.debug(`The connection for ${purpose} broke.`))
    const { signal } = this.#opened.options
    // A query has no signal of its own, and may wait long for a lock or a full scan.
    const abort = () => destroyClient(client)
    signal?.addEventListener('abort', abort, { once: true })
    client.once('end', () => {
      signal?.removeEventListener('abort', abort)
      this.#clients.delete(client)
    })
  }

  async #encodingOf(database: string, connected?: Client): Promise<string> {
    const known = this.#encodings.get(database)
    if (known !== undefined) return known
    const client = connected ?? (await this.connect('encoding', { database }))
    try {
      const { rows } = await client.query<{ server_encoding: string }>('SHOW server_encoding')
      const encoding = rows[0]?.server_encoding ?? this.serverEncoding
      this.#encodings.set(database, encoding)
      return encoding
    } finally {
      if (client !== connected) await endClient(client)
    }
  }

  async #writePassfile(): Promise<string> {
    const { settings, target, options } = this.#opened
    const path = join(options.temp, `pgpass-${randomBytes(6).toString('hex')}`)
    const password = settings.password ?? target.host.password ?? ''
    if (/[\r\n]/.test(password)) {
      throw new LifeboatError(
        'bad-password',
        'the password holds a line break, which a password file cannot',
        `Check how the password in ${settings.input} was pasted, or change it.`,
      )
    }
    // Empty rather than absent: a tool must not look for another password in the home directory.
    await writeFile(path, password === '' ? '' : passfileLine(password), { mode: 0o600, flag: 'wx' })
    return path
  }
}

/** Says goodbye, but does not wait long for an answer. */
async function endClient(client: Client): Promise<void> {
  const timer = setTimeout(() => destroyClient(client), END_TIMEOUT_MS)
  await client.end().catch(() => {})
  clearTimeout(timer)
}

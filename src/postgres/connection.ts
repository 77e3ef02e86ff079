import { existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { LifeboatError } from '../base/errors.ts'
import { LIBPQ_PARAMETERS } from './connection-parameters.ts'
import { type ConnectionText, parseConnectionText } from './connection-text.ts'
import { type Passfile, readPassfile } from './passfile.ts'

export const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
export type SslMode = (typeof SSL_MODES)[number]
const SESSION_ATTRIBUTES = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const
export type SessionAttributes = (typeof SESSION_ATTRIBUTES)[number]
const CHANNEL_BINDINGS = ['disable', 'prefer', 'require'] as const
const NEGOTIATIONS = ['postgres', 'direct'] as const
const PROTOCOL_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const
const SOCKET_DIRECTORY = '/var/run/postgresql'
const DEFAULT_PORT = 5432
/** libpq waits for ever; a job that nobody watches must not. */
const DEFAULT_TIMEOUT_SECONDS = 15
const MIN_TIMEOUT_SECONDS = 2

export interface HostSettings {
  /** A name, an address, or the directory of a Unix socket (begins with `/`). Certificates are checked against it. */
  host: string
  /** The address to connect to instead of looking `host` up. */
  hostaddr?: string
  port: number
  /** From the password file, where neither URL nor environment gives one. */
  password?: string
}

/** Where and how to connect, with every default filled in: `pg` and the tools are told the same. */
export interface ConnectionSettings {
  /** The input that these came from, for error texts. */
  input: string
  hosts: HostSettings[]
  user: string
  password?: string
  database: string
  sslmode: SslMode
  /** Path of a PEM file, or `system`. */
  sslrootcert?: string
  sslcert?: string
  sslkey?: string
  sslcrl?: string
  sslnegotiation: (typeof NEGOTIATIONS)[number]
  sslMinVersion?: (typeof PROTOCOL_VERSIONS)[number]
  sslMaxVersion?: (typeof PROTOCOL_VERSIONS)[number]
  channelBinding: (typeof CHANNEL_BINDINGS)[number]
  /** Per address; 0 waits for ever. */
  connectTimeoutSeconds: number
  /** Server options of the user's own, in libpq's `options` syntax. */
  options?: string
  targetSessionAttrs: SessionAttributes
  /** What was given and has no bearing here, for a note. No values. */
  ignored: string[]
}

export interface ParseOptions {
  /**
   * The file of the certificates given by `database-ca`. It stands for sslrootcert, and where no sslmode is said it means
   * verify-full: libpq's default (prefer) would go on without TLS if the check fails, and nobody gives a CA to have it
   * passed over.
   */
  caFile?: string
  /** The input's name in error texts. */
  input?: string
}

/**
 * The connection that a URL (or `key=value` string) and the PG* variables describe, with libpq's meaning. Throws
 * LifeboatError `no-database-url` and `bad-database-url`; neither repeats any part of the URL that may be secret.
 */
export function parseConnection(
  url: string | undefined,
  env: NodeJS.ProcessEnv,
  options: ParseOptions = {},
): ConnectionSettings {
  const input = options.input ?? 'database-url'
  const text = (url ?? '').trim()
  if (env.PGSERVICE) throw serviceError(input)
  if (text === '') requireEnvironment(env, input)
  const parsed: ConnectionText = text === '' ? { values: new Map(), ignored: [] } : parseConnectionText(text, input)
  const reader = new Reader(parsed.values, env, input)
  const user = reader.text('user') ?? userInfo().username
  const database = reader.text('dbname') ?? user
  const password = reader.text('password')
  const passfile = password === undefined ? openPassfile(reader, env) : undefined
  const hosts = readHosts(reader).map((host) => withPassword(host, passfile, database, user))
  const settings: ConnectionSettings = {
    input,
    hosts,
    user,
    database,
    ...defined({ password, options: reader.text('options') }),
    ...readTls(reader, env, options.caFile),
    channelBinding: reader.word('channel_binding', CHANNEL_BINDINGS) ?? 'prefer',
    connectTimeoutSeconds: readTimeout(reader),
    targetSessionAttrs: reader.word('target_session_attrs', SESSION_ATTRIBUTES) ?? 'any',
    ignored: [...parsed.ignored, ...(passfile?.refused === undefined ? [] : [passfile.refused])],
  }
  if (reader.word('gssencmode', ['disable', 'prefer', 'require'] as const) === 'require') {
    throw reader.bad('asks for GSSAPI encryption', 'Remove gssencmode=require and use TLS: sslmode=verify-full.')
  }
  return settings
}

/** `user@host:port/database`, for logs and reports. */
export function describeConnection(settings: Pick<ConnectionSettings, 'hosts' | 'user' | 'database'>): string {
  const places = settings.hosts.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`)
  return `${settings.user}@${places.join(',')}/${settings.database}`
}

/** Everything to mask: the URL, and each password as it is, percent-encoded, and as the URL writes it. */
export function connectionSecrets(settings: ConnectionSettings, url?: string): string[] {
  const passwords = [settings.password, ...settings.hosts.map((host) => host.password)]
  const secrets = passwords.flatMap((password) =>
    password === undefined ? [] : [password, encodeURIComponent(password), encodeFully(password)],
  )
  const text = url?.trim() ?? ''
  // `.*` and not `[^@]*`: of a malformed URL rather too much than too little is masked.
  const written = /^[a-z]+:\/\/[^:@/]*:(.*)@/s.exec(text)?.[1]
  if (url !== undefined) secrets.push(url, text)
  if (written !== undefined) secrets.push(written)
  return [...new Set(secrets)].filter((secret) => secret.trim() !== '').sort((a, b) => b.length - a.length)
}

function encodeFully(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*~.-]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** An empty URL is what a missing secret resolves to; a host, user or database in the environment may replace it. */
function requireEnvironment(env: NodeJS.ProcessEnv, input: string): void {
  if (['PGHOST', 'PGHOSTADDR', 'PGPORT', 'PGUSER', 'PGDATABASE'].some((name) => env[name])) return
  throw new LifeboatError(
    'no-database-url',
    `${input} is empty, and no PGHOST, PGUSER or PGDATABASE is set`,
    `Set ${input} to a secret that exists in this repository (or environment), e.g. \${{ secrets.DATABASE_URL }}: a missing secret is empty.`,
  )
}

/** It would fill in what the URL leaves open, such as the sslmode. */
function serviceError(input: string): LifeboatError {
  return new LifeboatError(
    'bad-database-url',
    'PGSERVICE names a connection service',
    `Unset it for this step, and write host, user and database into ${input}: service files are not read.`,
  )
}

/** Values of the URL first, then of the environment; an empty value is none. */
class Reader {
  readonly #values: Map<string, string>
  readonly #env: NodeJS.ProcessEnv
  readonly #input: string

  constructor(values: Map<string, string>, env: NodeJS.ProcessEnv, input: string) {
    this.#values = values
    this.#env = env
    this.#input = input
  }

  inUrl(name: string): boolean {
    return this.#values.has(name)
  }

  text(name: string): string | undefined {
    const variable = LIBPQ_PARAMETERS.get(name)
    const value = this.#values.get(name) || (variable === undefined ? undefined : this.#env[variable])
    return value === '' ? undefined : value
  }

  word<T extends string>(name: string, accepted: readonly T[]): T | undefined {
    const value = this.text(name)
    const found = accepted.find((candidate) => candidate === value)
    if (value !== undefined && found === undefined) {
      const extra = name === 'sslmode' && value === 'no-verify' ? " (libpq's word for no-verify is require)" : ''
      throw this.bad(`has a ${name} that does not exist`, `Accepted: ${accepted.join(', ')}${extra}.`, name)
    }
    return found
  }

  bad(problem: string, remedy: string, name?: string): LifeboatError {
    const variable = name === undefined || this.inUrl(name) ? undefined : LIBPQ_PARAMETERS.get(name)
    return new LifeboatError('bad-database-url', `${variable ?? this.#input} ${problem}`, remedy)
  }
}

function readHosts(reader: Reader): HostSettings[] {
  const split = (text: string | undefined) => (text === undefined ? [] : text.split(','))
  const names = split(reader.text('host'))
  // Unlike libpq: a PGHOSTADDR that is set for something else must not redirect the host of the URL.
  const addresses = reader.inUrl('host') && !reader.inUrl('hostaddr') ? [] : split(reader.text('hostaddr'))
  const ports = split(reader.text('port')).map((port) => readPort(reader, port))
  const count = Math.max(names.length, addresses.length, 1)
  if (names.length > 0 && addresses.length > 0 && names.length !== addresses.length) {
    throw reader.bad('has not as many hostaddr as host entries', 'Give every host one hostaddr, or none at all.')
  }
  if (ports.length > 1 && ports.length !== count) {
    throw reader.bad('has not as many ports as hosts', 'Give one port for all hosts, or one for each.')
  }
  return Array.from({ length: count }, (_, index) => {
    const port = (ports.length > 1 ? ports[index] : ports[0]) ?? DEFAULT_PORT
    const hostaddr = addresses[index] || undefined
    const host = names[index] || hostaddr || defaultHost(port)
    return { host, port, ...defined({ hostaddr }) }
  })
}

function readPort(reader: Reader, text: string): number {
  if (text === '') return DEFAULT_PORT
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port >= 1 && port <= 65_535) return port
  throw reader.bad(
    'has a port that is not a number from 1 to 65535',
    'Write it as postgresql://user:password@host:5432/database; if the password holds a / or @, write %2F or %40.',
    'port',
  )
}

function defaultHost(port: number): string {
  return existsSync(join(SOCKET_DIRECTORY, `.s.PGSQL.${port}`)) ? SOCKET_DIRECTORY : 'localhost'
}

function readTimeout(reader: Reader): number {
  const text = reader.text('connect_timeout')
  if (text === undefined) return DEFAULT_TIMEOUT_SECONDS
  if (!/^\s*-?\d{1,6}\s*$/.test(text)) {
    throw reader.bad('has a connect_timeout that is not a number of seconds', 'Write e.g. 10.', 'connect_timeout')
  }
  const seconds = Number(text)
  return seconds <= 0 ? 0 : Math.max(seconds, MIN_TIMEOUT_SECONDS)
}

type TlsSettings = Pick<
  ConnectionSettings,
  'sslmode' | 'sslrootcert' | 'sslcert' | 'sslkey' | 'sslcrl' | 'sslnegotiation' | 'sslMinVersion' | 'sslMaxVersion'
>

function readTls(reader: Reader, env: NodeJS.ProcessEnv, caFile: string | undefined): TlsSettings {
  const said = reader.word('sslmode', SSL_MODES)
  const sslrootcert = caFile ?? reader.text('sslrootcert') ?? existing(env, 'root.crt')
  const verifying = caFile !== undefined || sslrootcert === 'system'
  const sslmode = said ?? (verifying ? 'verify-full' : 'prefer')
  // Both refusals are libpq's own.
  if (sslrootcert === 'system' && sslmode !== 'verify-full') {
    throw reader.bad(`has sslrootcert=system with sslmode=${sslmode}`, 'Use sslmode=verify-full.', 'sslrootcert')
  }
  const sslnegotiation = reader.word('sslnegotiation', NEGOTIATIONS) ?? 'postgres'
  if (sslnegotiation === 'direct' && ['disable', 'allow', 'prefer'].includes(sslmode)) {
    throw reader.bad(`has sslnegotiation=direct with sslmode=${sslmode}`, 'Use sslmode=require or stronger.')
  }
  if (reader.text('sslpassword') !== undefined) {
    // There is no environment variable for it, and an argument would show it to every process on the machine.
    throw reader.bad('has an sslpassword', 'Store the client key without a passphrase and leave sslpassword out.')
  }
  const optional = {
    sslrootcert,
    sslcert: reader.text('sslcert') ?? existing(env, 'postgresql.crt'),
    sslkey: reader.text('sslkey') ?? existing(env, 'postgresql.key'),
    sslcrl: reader.text('sslcrl') ?? existing(env, 'root.crl'),
    sslMinVersion: reader.word('ssl_min_protocol_version', PROTOCOL_VERSIONS),
    sslMaxVersion: reader.word('ssl_max_protocol_version', PROTOCOL_VERSIONS),
  }
  return { sslmode, sslnegotiation, ...defined(optional) }
}

/** libpq's default files in the home directory. */
function existing(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const path = env.HOME ? join(env.HOME, '.postgresql', name) : undefined
  return path !== undefined && existsSync(path) ? path : undefined
}

function openPassfile(reader: Reader, env: NodeJS.ProcessEnv): Passfile | undefined {
  const path = reader.text('passfile') ?? (env.HOME ? join(env.HOME, '.pgpass') : undefined)
  return path === undefined ? undefined : readPassfile(path)
}

function withPassword(host: HostSettings, file: Passfile | undefined, database: string, user: string): HostSettings {
  // libpq files the default socket under the name localhost.
  const name = host.host === SOCKET_DIRECTORY ? 'localhost' : host.host
  const password = file?.find(name, host.port, database, user)
  return { ...host, ...defined({ password }) }
}

function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

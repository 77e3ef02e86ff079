import type { Socket } from 'node:net'
import pg from 'pg'
import { LifeboatError } from '../base/errors.ts'
import type { ConnectionSettings, HostSettings } from './connection.ts'
import { type Encryption, isSocket, tlsOptions } from './tls.ts'

/** One way to one server. */
export interface Target {
  host: HostSettings
  /** The IP address, or the directory of the socket. */
  address: string
  encryption: Encryption
}

export interface Session {
  applicationName: string
  database: string
  /** Parameters of the startup packet besides user, database and application_name. */
  startup?: Record<string, string>
}

/** The socket below a client, with TLS or without. */
export type Wire = Pick<Socket, 'on' | 'off' | 'listeners' | 'pause' | 'resume' | 'destroy'>

/** What pg does not type: the startup packet, and the wire below the client. */
interface Internals {
  getStartupConf(): Record<string, string>
  connection: NodeJS.EventEmitter & { stream: Wire }
}

export function wireOf(client: pg.Client): Wire {
  return (client as unknown as Internals).connection.stream
}

/**
 * Connects once, by exactly this target. Everything that `pg` would otherwise take from the process's environment is
 * given here. Rejects with what pg, TLS or the network said, or with a LifeboatError.
 */
export async function connectOnce(
  settings: ConnectionSettings,
  target: Target,
  session: Session,
  root: string | undefined,
  signal?: AbortSignal,
): Promise<pg.Client> {
  signal?.throwIfAborted()
  const { host, address, encryption } = target
  const wire = { channelBound: false }
  const client = new pg.Client({
    host: address,
    port: host.port,
    user: settings.user,
    database: session.database,
    password: () => passwordFor(settings, target, wire.channelBound),
    ssl: encryption === 'tls' ? tlsOptions(settings, host.host, root) : false,
    sslnegotiation: encryption === 'tls' ? settings.sslnegotiation : 'postgres',
    enableChannelBinding: encryption === 'tls' && settings.channelBinding === 'require',
    keepAlive: !isSocket(host),
    keepAliveInitialDelayMillis: 30_000,
    connectionTimeoutMillis: settings.connectTimeoutSeconds * 1_000,
    statement_timeout: false,
    query_timeout: 0,
  })
  const internals = client as unknown as Internals
  internals.getStartupConf = () => ({
    user: settings.user,
    database: session.database,
    application_name: session.applicationName,
    ...session.startup,
  })
  internals.connection.prependListener('authenticationSASL', (message: { mechanisms: string[] }) => {
    wire.channelBound = encryption === 'tls' && message.mechanisms.includes('SCRAM-SHA-256-PLUS')
  })
  // Without a listener a connection that breaks while idle would end the process; the next query rejects anyway.
  client.on('error', () => {})
  const abort = () => internals.connection.stream.destroy(asError(signal?.reason))
  signal?.addEventListener('abort', abort, { once: true })
  try {
    await client.connect()
    requireChannelBinding(settings, wire.channelBound)
    return client
  } catch (error) {
    destroyClient(client)
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

/** Ends a client without waiting for the server. */
export function destroyClient(client: pg.Client): void {
  const wire = wireOf(client)
  wire.on('error', () => {})
  wire.destroy()
}

function passwordFor(settings: ConnectionSettings, { host }: Target, channelBound: boolean): string {
  requireChannelBinding(settings, channelBound)
  const password = settings.password ?? host.password
  if (password !== undefined) return password
  throw new LifeboatError(
    'wrong-password',
    `${host.host}:${host.port}: the server asks for a password, and none is given`,
    `Write the password into ${settings.input} (postgresql://user:password@host/database), or set PGPASSWORD: a missing secret is empty.`,
  )
}

/** Nothing is sent to a server that cannot prove that it is the end of this very TLS connection. */
function requireChannelBinding(settings: ConnectionSettings, channelBound: boolean): void {
  if (settings.channelBinding !== 'require' || channelBound) return
  throw new LifeboatError(
    'tls-no-channel-binding',
    'channel_binding=require, but the server did not offer SCRAM with channel binding over TLS',
    `Use TLS and a SCRAM password, or remove channel_binding=require from ${settings.input}.`,
  )
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('aborted')
}

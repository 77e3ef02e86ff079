import type { Target } from './attempt.ts'
import type { ConnectionSettings } from './connection.ts'
import { pinOptions } from './pins.ts'
import { isSocket, pinnedMode } from './tls.ts'

/**
 * For `--dbname` of a PostgreSQL tool: libpq has no environment variables for these. It holds no secret, and the rest
 * comes from the environment. A dump that is paused must outlive the idle limits of NAT gateways, and no
 * tcp_user_timeout may end it.
 */
export const TOOL_CONNINFO = 'keepalives_idle=30 keepalives_interval=10 keepalives_count=6 tcp_user_timeout=0'

export interface ToolContext {
  settings: ConnectionSettings
  target: Target
  database: string
  serverVersion: number
  serverEncoding: string
  rootFile: string | undefined
  passfile: string
  /** Whether this address accepts options when a session starts; poolers in session mode may not. */
  acceptsOptions: boolean
  searchPath: 'pinned' | 'own'
  env: NodeJS.ProcessEnv
  temp: string
}

/**
 * The whole environment of a PostgreSQL tool: it reaches the server that the clients reached, in the same way, with the
 * same pins, and says its messages in English. Nothing else is inherited, so nothing else can redirect it.
 */
export function buildToolEnvironment(context: ToolContext): Record<string, string> {
  const { settings, target, env, temp } = context
  const result: Record<string, string> = {
    PATH: env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
    HOME: env.HOME || temp,
    TMPDIR: temp,
    LC_ALL: 'C',
    TZ: 'UTC',
    PSQLRC: '/dev/null',
    PGHOST: target.host.host,
    PGPORT: String(target.host.port),
    PGUSER: settings.user,
    PGDATABASE: context.database,
    PGPASSFILE: context.passfile,
    PGAPPNAME: 'pg-lifeboat',
    PGCONNECT_TIMEOUT: String(settings.connectTimeoutSeconds),
    PGTZ: 'UTC',
    PGCLIENTENCODING: context.serverEncoding,
    PGGSSENCMODE: 'disable',
    PGCHANNELBINDING: settings.channelBinding,
    ...tlsVariables(context),
  }
  if (!isSocket(target.host)) result.PGHOSTADDR = target.address
  if (context.acceptsOptions) {
    result.PGOPTIONS = pinOptions(context.serverVersion, settings.options, context.searchPath)
  }
  return result
}

function tlsVariables({ settings, target, rootFile }: ToolContext): Record<string, string> {
  const result: Record<string, string> = { PGSSLMODE: pinnedMode(settings.sslmode, target.encryption) }
  if (target.encryption === 'plain') return result
  const optional = {
    PGSSLROOTCERT: rootFile,
    PGSSLCERT: settings.sslcert,
    PGSSLKEY: settings.sslkey,
    PGSSLCRL: settings.sslcrl,
    PGSSLMINPROTOCOLVERSION: settings.sslMinVersion,
    PGSSLMAXPROTOCOLVERSION: settings.sslMaxVersion,
    PGSSLNEGOTIATION: settings.sslnegotiation === 'direct' ? 'direct' : undefined,
  }
  for (const [name, value] of Object.entries(optional)) if (value !== undefined) result[name] = value
  return result
}

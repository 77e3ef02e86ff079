import type { Client } from 'pg'
import { LifeboatError } from '../base/errors.ts'
import type { ConnectionSettings } from './connection.ts'

const ROUNDS = 3
const NEON = /^([^.]+)-pooler(\..*\.neon\.(?:tech|build))$/i

/** The address that is known to lead to a transaction pooler, by its name alone. */
export function isKnownPooler(host: string, port: number): boolean {
  return NEON.test(host) || (port === 6543 && /\.supabase\.(?:com|co)$/i.test(host))
}

/** What to use instead of a transaction pooler, as a clause without a full stop. */
export function directAddress(host: string, port: number): string {
  if (NEON.test(host)) return `Use the host ${host.replace(NEON, '$1$2')} (without -pooler)`
  if (/\.supabase\.(?:com|co)$/i.test(host)) return 'Use port 5432 of the same host (session mode) instead of 6543'
  if (/\.ondigitalocean\.com$/i.test(host)) return "Use the database's own port (25060) instead of the pool's"
  if (port === 6432) return "Use the server's own host and port (usually 5432) instead of PgBouncer's 6432"
  return "Use the database's direct address, or a pool in session mode"
}

export function poolerError(settings: ConnectionSettings, host: string, port: number, evidence: string): LifeboatError {
  return new LifeboatError(
    'pooler',
    `${host}:${port} is a transaction pooler (${evidence}): snapshots, locks and session settings do not hold there`,
    `${directAddress(host, port)} in ${settings.input}.`,
  )
}

/**
 * How two clients of one address prove that they do not own their server sessions, or undefined. While one is inside a
 * transaction and the other idle, a transaction pooler hands the idle one's backend over, or gives it another one: so
 * two clients meet in one backend, or one client sees two. A session, direct or pooled, does neither.
 */
export async function findPooling(one: Client, other: Client): Promise<string | undefined> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const idle = await backendOf(one)
    await other.query('BEGIN')
    const busy = await backendOf(other)
    const later = busy === idle ? busy : await backendOf(one)
    await other.query('ROLLBACK')
    if (busy === idle) return 'two clients were given one and the same backend'
    if (later !== idle || (await backendOf(other)) !== busy) return 'the backend changed between two statements'
  }
  return undefined
}

async function backendOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid')
  return rows[0]?.pid ?? 0
}

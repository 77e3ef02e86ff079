import type { Client } from 'pg'
import { LifeboatError } from '../base/errors.ts'
import { connectOnce, destroyClient, type Target } from './attempt.ts'
import type { ConnectionSettings } from './connection.ts'
import { serverCode } from './connection-errors.ts'
import { pinOptions, sessionPins } from './pins.ts'
import { findPooling, poolerError } from './pooler.ts'

const OLDEST = 130_000
/** What pg_dump and pg_restore set by themselves, or what does not change a byte. */
const LEFT_TO_TOOLS = /^(DateStyle|IntervalStyle|extra_float_digits|search_path|row_security|\w+_timeout)$/

export interface ServerFacts {
  /** `server_version_num` */
  version: number
  versionText: string
  encoding: string
  acceptsOptions: boolean
}

interface Probe {
  settings: ConnectionSettings
  target: Target
  /** A client without any settings of ours. */
  client: Client
  root: string | undefined
  signal?: AbortSignal
}

/**
 * What must be known before anything is built on this server. Throws LifeboatError `server-too-old`, `pooler`, and
 * `pooler-settings`, and whatever `pg` says.
 */
export async function probeServer(probe: Probe): Promise<ServerFacts> {
  const { settings, target, client } = probe
  const { rows } = await client.query<{ version: string; text: string; encoding: string }>(
    `SELECT pg_catalog.current_setting('server_version_num') AS version,
            pg_catalog.current_setting('server_version') AS text,
            pg_catalog.current_setting('server_encoding') AS encoding`,
  )
  const version = Number(rows[0]?.version)
  const versionText = (rows[0]?.text ?? '').split(' ')[0] ?? ''
  if (!(version >= OLDEST)) {
    throw new LifeboatError(
      'server-too-old',
      `${target.host.host}:${target.host.port} runs PostgreSQL ${versionText}; 13 is the oldest supported`,
      "Upgrade the server (pg_upgrade, or the provider's upgrade), or dump this one with its own pg_dump.",
    )
  }
  const second = await connectSecond(probe, version)
  try {
    const evidence = await findPooling(client, second.client)
    if (evidence !== undefined) throw poolerError(settings, target.host.host, target.host.port, evidence)
    const differing = await differingPins(second.client, version)
    if (differing.length > 0) throw unpinned(settings, target, differing)
    return { version, versionText, encoding: rows[0]?.encoding ?? 'UTF8', acceptsOptions: second.acceptsOptions }
  } finally {
    destroyClient(second.client)
  }
}

/** Connects as a tool would, with the pins as options; where these are refused (PgBouncer), without. */
async function connectSecond(probe: Probe, version: number): Promise<{ client: Client; acceptsOptions: boolean }> {
  const { settings, target, root, signal } = probe
  const session = (startup: Record<string, string>) => ({
    applicationName: 'pg-lifeboat probe',
    database: settings.database,
    startup: { TimeZone: 'UTC', ...startup },
  })
  try {
    const options = pinOptions(version, settings.options)
    return { client: await connectOnce(settings, target, session({ options }), root, signal), acceptsOptions: true }
  } catch (error) {
    if (serverCode(error) === undefined || !/startup parameter|options/i.test(String(error))) throw error
    return { client: await connectOnce(settings, target, session({}), root, signal), acceptsOptions: false }
  }
}

/** The pins that a tool's session would not have here, as `[name, value]`. */
async function differingPins(client: Client, version: number): Promise<(readonly [string, string])[]> {
  const pins = sessionPins(version).filter(([name]) => !LEFT_TO_TOOLS.test(name))
  const { rows } = await client.query<{ name: string; setting: string; money: boolean }>(
    `SELECT name, setting,
            EXISTS (SELECT FROM pg_catalog.pg_type t
                    WHERE t.oid >= 16384 AND t.typbasetype IN (790, 791))
              OR EXISTS (SELECT FROM pg_catalog.pg_attribute a
                         WHERE a.attrelid >= 16384 AND a.atttypid IN (790, 791)) AS money
     FROM pg_catalog.pg_settings
     WHERE name = ANY ($1)`,
    [pins.map(([name]) => name)],
  )
  const values = new Map(rows.map(({ name, setting }) => [name, setting]))
  const hasMoney = rows.some(({ money }) => money)
  const differing = pins.filter(([name, value]) => !sameSetting(name, values.get(name), value))
  // lc_monetary changes the text of money values and nothing else.
  return differing.filter(([name]) => name !== 'lc_monetary' || hasMoney)
}

function sameSetting(name: string, actual: string | undefined, pinned: string): boolean {
  if (name === 'lc_monetary' && actual === 'POSIX') return true
  if (name === 'TimeZone' && /^(Etc\/)?(UTC|UCT|Universal|Zulu)$/.test(actual ?? '')) return true
  return actual === pinned
}

function unpinned(settings: ConnectionSettings, { host }: Target, pins: (readonly [string, string])[]): LifeboatError {
  const statements = pins.map(([name, value]) => `ALTER ROLE "${settings.user}" SET ${name} TO '${value}';`)
  return new LifeboatError(
    'pooler-settings',
    `${host.host}:${host.port} ignores settings given at connect, and differs in ${pins.map(([name]) => name).join(', ')}`,
    `Use the database's direct address in ${settings.input}, or run once: ${statements.join(' ')}`,
  )
}

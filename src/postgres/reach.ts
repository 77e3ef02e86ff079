import { lookup as lookupName } from 'node:dns/promises'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Client } from 'pg'
import { codeOf, LifeboatError } from '../base/errors.ts'
import { type Clock, systemClock } from '../base/ports.ts'
import { connectOnce, destroyClient, type Session, type Target } from './attempt.ts'
import type { ConnectionSettings, HostSettings } from './connection.ts'
import {
  type Attempted,
  explain,
  ipv6Only,
  isTlsFailure,
  isTlsMissing,
  patience,
  serverCode,
} from './connection-errors.ts'
import { encryptionOrder, isSocket } from './tls.ts'

const FIRST_DELAY_MS = 250
const MAX_DELAY_MS = 4_000

/** The ways out of this process, so that tests own them. */
export interface Network {
  clock?: Clock
  /** All addresses of a name, in the order to try. Rejects as `dns.lookup` does. */
  lookup?: (host: string) => Promise<string[]>
  /** Whether this machine has an IPv6 address that leads anywhere. */
  hasIpv6?: () => boolean
}

export interface Reached {
  client: Client
  target: Target
}

interface Failure {
  error: unknown
  attempted: Attempted
}

interface Search {
  settings: ConnectionSettings
  session: Session
  root: string | undefined
  network: Network
  signal?: AbortSignal
}

/**
 * The first server of the list that accepts us and is of the wanted kind, by libpq's rules: every address of every host
 * in turn; a server that refuses the login ends the search, one that is starting up or not reached does not. Tries again
 * for a while where a server may be about to come up. Throws LifeboatError.
 */
export async function reach(search: Search): Promise<Reached> {
  const clock = search.network.clock ?? systemClock
  const started = clock.now().getTime()
  for (let delay = FIRST_DELAY_MS; ; delay = Math.min(delay * 2, MAX_DELAY_MS)) {
    const found = await tryAll(search)
    if ('client' in found) return found
    const waited = (clock.now().getTime() - started) / 1_000
    const limit = Math.max(...found.map(({ error }) => patience(error)))
    if (waited + delay / 1_000 > limit) throw mostTelling(found)
    await clock.sleep(delay, search.signal)
  }
}

async function tryAll(search: Search): Promise<Reached | Failure[]> {
  const wanted = search.settings.targetSessionAttrs
  const passes = wanted === 'prefer-standby' ? (['standby', 'any'] as const) : ([wanted] as const)
  const failures: Failure[] = []
  for (const attributes of passes) {
    for (const host of search.settings.hosts) {
      const result = await tryHost(search, host, attributes)
      if ('client' in result) return result
      failures.push(...result.failures)
      if (result.final) return failures
    }
  }
  return failures
}

type HostResult = Reached | { failures: Failure[]; final: boolean }

async function tryHost(search: Search, host: HostSettings, attributes: string): Promise<HostResult> {
  const failures: Failure[] = []
  const attempted = describeAttempt(search, host, false)
  let addresses: string[]
  try {
    addresses = await addressesOf(host, search.network)
  } catch (error) {
    return { failures: [{ error, attempted }], final: false }
  }
  const hasIpv6 = search.network.hasIpv6 ?? machineHasIpv6
  const routeless = addresses.every((address) => isIP(address) === 6 && address !== '::1') && !hasIpv6()
  if (routeless) return { failures: [{ error: ipv6Only(attempted), attempted }], final: false }
  for (const address of addresses) {
    const result = await tryAddress(search, host, address)
    if ('client' in result) {
      const mismatch = await wrongKind(result.client, attributes, attempted)
      if (mismatch === undefined) return result
      destroyClient(result.client)
      failures.push({ error: mismatch, attempted })
    } else {
      failures.push(result)
      const state = serverCode(result.error)
      if (state !== undefined && state !== '57P03') return { failures, final: true }
    }
  }
  const unroutable = failures.every(({ error }) =>
    /^(ENETUNREACH|EADDRNOTAVAIL|EAFNOSUPPORT)$/.test(codeOf(error) ?? ''),
  )
  if (unroutable && addresses.every((address) => isIP(address) === 6)) {
    return { failures: [{ error: ipv6Only(attempted), attempted }], final: false }
  }
  return { failures, final: false }
}

/** With `prefer` and `allow`, what TLS (or its lack) made fail is tried the other way, as libpq does. */
async function tryAddress(search: Search, host: HostSettings, address: string): Promise<Reached | Failure> {
  const failures: (Failure & { encrypted: boolean })[] = []
  for (const encryption of encryptionOrder(search.settings.sslmode, host)) {
    const target: Target = { host, address, encryption }
    const encrypted = encryption === 'tls'
    try {
      return { client: await connectOnce(search.settings, target, search.session, search.root, search.signal), target }
    } catch (error) {
      search.signal?.throwIfAborted()
      failures.push({ error, attempted: describeAttempt(search, host, encrypted), encrypted })
      if (serverCode(error) === undefined && !isTlsFailure(error)) break
    }
  }
  // What came over TLS says more: a refusal of the plain connection is often only "no encryption".
  const chosen =
    failures.find((failure) => failure.encrypted && !isTlsMissing(failure.error)) ??
    failures.find((failure) => !failure.encrypted)
  const { error, attempted } = chosen ?? (failures[0] as Failure)
  return { error, attempted }
}

function describeAttempt({ settings, session }: Search, host: HostSettings, encrypted: boolean): Attempted {
  return { settings, host: host.host, port: host.port, database: session.database, encrypted }
}

async function addressesOf(host: HostSettings, network: Network): Promise<string[]> {
  if (host.hostaddr !== undefined) return [host.hostaddr]
  if (isSocket(host) || isIP(host.host) !== 0) return [host.host]
  return network.lookup === undefined ? resolve(host.host) : network.lookup(host.host)
}

async function resolve(name: string): Promise<string[]> {
  return (await lookupName(name, { all: true })).map(({ address }) => address)
}

function machineHasIpv6(): boolean {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return addresses.some(
    ({ family, internal, address }) => family === 'IPv6' && !internal && !/^fe[89ab]/i.test(address),
  )
}

async function wrongKind(client: Client, attributes: string, attempted: Attempted): Promise<LifeboatError | undefined> {
  if (attributes === 'any') return undefined
  const { rows } = await client.query<{ standby: boolean; readonly: boolean }>(
    `SELECT pg_catalog.pg_is_in_recovery() AS standby,
            pg_catalog.current_setting('default_transaction_read_only')::pg_catalog.bool AS readonly`,
  )
  const standby = rows[0]?.standby ?? false
  const readonly = standby || (rows[0]?.readonly ?? false)
  const fits = { 'read-write': !readonly, 'read-only': readonly, primary: !standby, standby }[attributes]
  if (fits === true) return undefined
  const kind = `${readonly ? 'read-only' : 'read-write'} ${standby ? 'standby' : 'primary'}`
  return wrongServer(attempted, attributes, kind)
}

function wrongServer(attempted: Attempted, wanted: string, kind: string): LifeboatError {
  const { host, port, settings } = attempted
  const remedy = `Add a host that is one to ${settings.input}, or change target_session_attrs.`
  return new LifeboatError(
    'wrong-server',
    `${host}:${port} is a ${kind}, and target_session_attrs asks for ${wanted}`,
    remedy,
  )
}

/** A refusal by a server says more than a judgement of ours or a failure of TLS, and that more than a host that was not reached. */
function mostTelling(failures: readonly Failure[]): LifeboatError {
  const rank = ({ error }: Failure) =>
    serverCode(error) !== undefined ? 0 : error instanceof LifeboatError || isTlsFailure(error) ? 1 : 2
  const sorted = [...failures].sort((a, b) => rank(a) - rank(b))
  const first = sorted[0] as Failure
  return explain(first.error, first.attempted)
}

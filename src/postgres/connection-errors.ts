import pg from 'pg'
import { codeOf, LifeboatError, messageOf } from '../base/errors.ts'
import { type ConnectionSettings, connectionSecrets } from './connection.ts'
import { directAddress } from './pooler.ts'
import { scrub } from './scrub.ts'

/** What was being tried when an error came. */
export interface Attempted {
  settings: ConnectionSettings
  host: string
  port: number
  database: string
  encrypted: boolean
}

const NETWORK_CODES = new Set(
  'ECONNREFUSED ECONNRESET ECONNABORTED EPIPE ETIMEDOUT EHOSTUNREACH ENETUNREACH EHOSTDOWN ENETDOWN EADDRNOTAVAIL ENOENT EACCES'.split(
    ' ',
  ),
)
const UNTRUSTED =
  /^(SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_\w+|CERT_UNTRUSTED|CERT_REJECTED|CERT_SIGNATURE_FAILURE|CERT_CHAIN_TOO_LONG|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|CRL_\w+|CERT_REVOKED)$/
/** node-postgres has no codes for these two. */
const NO_TLS = 'The server does not support SSL connections'
const TLS_REFUSED = 'There was an error establishing an SSL connection'

/** The SQLSTATE of a refusal by the server, if it is one. */
export function serverCode(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? (error.code ?? 'XX000') : undefined
}

export function isTlsMissing(error: unknown): boolean {
  return messageOf(error) === NO_TLS
}

/** Whether TLS itself failed, on a server that was reached. */
export function isTlsFailure(error: unknown): boolean {
  if (serverCode(error) !== undefined) return false
  const code = codeOf(error) ?? ''
  const text = messageOf(error)
  if (UNTRUSTED.test(code) || /^(ERR_SSL_|ERR_TLS_|CERT_|EPROTO$)/.test(code)) return true
  return text === NO_TLS || text === TLS_REFUSED || text.includes('before secure TLS connection was established')
}

/** Seconds for which it is worth trying again: the server may be about to come up. 0: the answer is final. */
export function patience(error: unknown): number {
  if (serverCode(error) === '57P03') return 30
  const code = codeOf(error)
  if (code === 'ECONNREFUSED' || code === 'EAI_AGAIN') return 5
  return code === 'ENOENT' && messageOf(error).includes('.s.PGSQL.') ? 5 : 0
}

/** Turns what `pg`, TLS, DNS or the network said into an error that names the input to change. */
export function explain(error: unknown, attempted: Attempted): LifeboatError {
  if (error instanceof LifeboatError) return error
  const say = (code: string, what: string, remedy: string) =>
    new LifeboatError(code, `${place(attempted)}: ${what}`, remedy, {
      cause: new Error(said(error, attempted.settings).shown),
    })
  const state = serverCode(error)
  if (state !== undefined) return explainRefusal(state, said(error, attempted.settings), attempted, say)
  return isTlsFailure(error) ? explainTls(error, attempted, say) : explainNetwork(error, attempted, say)
}

type Say = (code: string, what: string, remedy: string) => LifeboatError

function place({ host, port }: Attempted): string {
  return host.startsWith('/') ? `the socket of port ${port} in ${host}` : `${host}:${port}`
}

/** What was said. To be judged by `raw` (masking a short password changes other words too), and told as `shown`. */
interface Said {
  raw: string
  shown: string
}

function said(error: unknown, settings: ConnectionSettings): Said {
  const raw = messageOf(error)
  return { raw, shown: scrub(raw, connectionSecrets(settings)).replaceAll(/\s*\n\s*/g, ' ') }
}

function explainRefusal(state: string, { raw, shown }: Said, attempted: Attempted, say: Say): LifeboatError {
  const { input, user } = attempted.settings
  if (/unsupported startup parameter/i.test(raw)) {
    const way = directAddress(attempted.host, attempted.port)
    return say(
      'pooler',
      `a connection pooler that refuses server options (${shown})`,
      `${way}, or remove options= from ${input}.`,
    )
  }
  if (/tenant or user not found/i.test(raw)) {
    return say(
      'unknown-user',
      shown,
      `Copy the pooler's own URL into ${input}: its user is named like postgres.<project-ref>.`,
    )
  }
  switch (state) {
    case '28P01':
      return say(
        'wrong-password',
        shown,
        `Correct the password in ${input}; percent-encode its special characters (@ is %40).`,
      )
    case '28000':
      return explainLogin({ raw, shown }, attempted, say)
    case '3D000':
      return say('unknown-database', shown, `Correct the database's name at the end of ${input}.`)
    case '42501':
      return say('no-connect-privilege', shown, `GRANT CONNECT ON DATABASE "${attempted.database}" TO "${user}".`)
    case '53300':
      return say(
        'too-many-connections',
        shown,
        `Free connections, raise max_connections or the limit of "${user}", or lower jobs.`,
      )
    case '57P03':
      return say('starting-up', shown, 'Run again when the server accepts connections.')
    default:
      if (/no such database/i.test(raw)) {
        return say('unknown-database', shown, `Correct the database's name at the end of ${input}.`)
      }
      return say('refused', `${shown} (SQLSTATE ${state})`, `Check ${input} against what the server says here.`)
  }
}

function explainLogin({ raw, shown }: Said, { settings, encrypted }: Attempted, say: Say): LifeboatError {
  const { input, user } = settings
  if (/client certificate/i.test(raw)) {
    return say('tls-client-certificate', shown, `Add sslcert and sslkey (paths of files in the job) to ${input}.`)
  }
  if (!/pg_hba\.conf/.test(raw)) {
    return say('unknown-user', shown, `Correct the user in ${input} ("${user}"), or create it and let it log in.`)
  }
  const encryptionDecides = !encrypted && /no encryption|SSL off/i.test(raw)
  return say(
    'no-pg-hba-entry',
    shown,
    encryptionDecides
      ? `Use SSL: add sslmode=require (better verify-full, with database-ca) to ${input}, or allow plain connections in pg_hba.conf.`
      : "Allow this client, user and database in the server's pg_hba.conf or its list of trusted addresses.",
  )
}

function explainTls(error: unknown, { settings, host }: Attempted, say: Say): LifeboatError {
  const { input, sslmode } = settings
  const code = codeOf(error) ?? ''
  if (isTlsMissing(error)) {
    const remedy = `Switch SSL on in the server, or, in a network you trust, say sslmode=disable in ${input}.`
    return say('tls-not-offered', `the server offers no TLS, and sslmode=${sslmode} requires it`, remedy)
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const remedy = `Use the certificate's name as the host in ${input} (with hostaddr= if it does not resolve), or sslmode=verify-ca.`
    return say('tls-name-mismatch', `the server's certificate is not for ${host}`, remedy)
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return say('tls-expired', "the server's certificate is out of date", "Renew the server's certificate.")
  }
  if (UNTRUSTED.test(code)) {
    return say(
      'tls-untrusted',
      `the server's certificate is not signed by the given authority (${code})`,
      `Give the authority's certificate as PEM by database-ca, or add sslrootcert=system to ${input} if it is a public one.`,
    )
  }
  return say(
    'tls-failed',
    `TLS failed: ${said(error, settings).shown}`,
    `Check that ${input} names the server itself and its port.`,
  )
}

function explainNetwork(error: unknown, { settings, host }: Attempted, say: Say): LifeboatError {
  const { input } = settings
  const code = codeOf(error) ?? ''
  const { raw, shown } = said(error, settings)
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'EAI_FAIL' || code === 'EAI_NODATA') {
    return say(
      'unknown-host',
      `the name ${host} does not resolve (${code})`,
      `Correct the host in ${input}; if it is private, run on a self-hosted runner in that network.`,
    )
  }
  if (raw === 'timeout expired' || code === 'ETIMEDOUT') {
    return say(
      'unreachable',
      'no answer in time',
      `Let this runner through the server's firewall or allow list, or correct host and port in ${input}.`,
    )
  }
  if (code === 'ECONNREFUSED' || code === 'ENOENT') {
    return say(
      'unreachable',
      `nothing listens there (${code})`,
      `Start the server, or correct host and port in ${input}.`,
    )
  }
  if (NETWORK_CODES.has(code) || /Connection terminated/.test(raw)) {
    return say(
      'unreachable',
      `the connection failed: ${shown}`,
      `Check host and port in ${input}, and the network in between.`,
    )
  }
  return say('connection-failed', shown, `Check ${input}.`)
}

/** A host that has IPv6 addresses only, on a machine that has no IPv6. GitHub's hosted runners have none. */
export function ipv6Only(attempted: Attempted): LifeboatError {
  const { input } = attempted.settings
  const supabase = /\.supabase\.co$/i.test(attempted.host)
  const way = supabase
    ? `Use the session pooler's URL in ${input} (aws-…pooler.supabase.com, port 5432) or buy the IPv4 add-on`
    : `Use the provider's IPv4 or session pooler address in ${input}`
  return new LifeboatError(
    'ipv6-only',
    `${place(attempted)}: the host has IPv6 addresses only, and this machine has no IPv6 route`,
    `${way}, or run on a self-hosted runner with IPv6.`,
  )
}

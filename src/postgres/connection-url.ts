import type { ConnectionSettings } from './connection.ts'

/**
 * The settings as one URL that libpq reads, for another database of the same server. It holds the password. What only
 * limits a connection (timeouts, the session's options) is left out.
 */
export function connectionUrl(settings: ConnectionSettings, database: string): string {
  const { hosts, user, password } = settings
  const own = password ?? hosts.find((host) => host.password !== undefined)?.password
  const login = `${encodeURIComponent(user)}${own === undefined ? '' : `:${encodeURIComponent(own)}`}`
  const places = hosts.map(({ host, port }) => `${writeHost(host)}:${port}`).join(',')
  const parameters = parametersOf(settings)
  return `postgresql://${login}@${places}/${encodeURIComponent(database)}${parameters === '' ? '' : `?${parameters}`}`
}

/** Not URLSearchParams: its plus for a space stays a plus in libpq. */
function parametersOf(settings: ConnectionSettings): string {
  const { hosts, sslmode, sslrootcert, sslcert, sslkey, sslcrl } = settings
  const addresses = hosts.map(({ hostaddr = '' }) => hostaddr)
  const values: Record<string, string | undefined> = {
    // The default, which other libraries than libpq take for something stricter.
    sslmode: sslmode === 'prefer' ? undefined : sslmode,
    sslrootcert,
    sslcert,
    sslkey,
    sslcrl,
    sslnegotiation: settings.sslnegotiation === 'postgres' ? undefined : settings.sslnegotiation,
    channel_binding: settings.channelBinding === 'prefer' ? undefined : settings.channelBinding,
    target_session_attrs: settings.targetSessionAttrs === 'any' ? undefined : settings.targetSessionAttrs,
    hostaddr: addresses.every((address) => address === '') ? undefined : addresses.join(','),
  }
  const given = Object.entries(values).filter(([, value]) => value)
  return given.map(([name, value = '']) => `${name}=${encodeURIComponent(value)}`).join('&')
}

/** A socket's directory is percent-encoded, an IPv6 address in brackets. */
function writeHost(host: string): string {
  if (host.startsWith('/')) return encodeURIComponent(host)
  return host.includes(':') ? `[${host}]` : host
}

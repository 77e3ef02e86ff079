import { existsSync, readFileSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import { type ConnectionOptions, checkServerIdentity, type PeerCertificate } from 'node:tls'
import { LifeboatError } from '../base/errors.ts'
import type { ConnectionSettings, HostSettings, SslMode } from './connection.ts'

export type Encryption = 'tls' | 'plain'

/** Where OpenSSL builds of the usual distributions keep the system's certificate authorities in one file. */
const SYSTEM_ROOTS = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/cert.pem']

/** What is tried on one address, in libpq's order. A Unix socket is never encrypted, whatever sslmode says. */
export function encryptionOrder(sslmode: SslMode, host: Pick<HostSettings, 'host'>): Encryption[] {
  if (isSocket(host) || sslmode === 'disable') return ['plain']
  if (sslmode === 'allow') return ['plain', 'tls']
  return sslmode === 'prefer' ? ['tls', 'plain'] : ['tls']
}

export function isSocket(host: Pick<HostSettings, 'host'>): boolean {
  return host.host.startsWith('/')
}

/**
 * The file of trusted certificates, or undefined where nothing is to be verified. `system` becomes a path, because
 * PostgreSQL tools before 16 do not know the word. Throws LifeboatError `tls-no-root-certificate`.
 */
export function rootFile(settings: ConnectionSettings, env: NodeJS.ProcessEnv): string | undefined {
  const { sslrootcert, sslmode, input } = settings
  if (sslrootcert === 'system') {
    const found = [env.SSL_CERT_FILE ?? '', ...SYSTEM_ROOTS].find((path) => path !== '' && existsSync(path))
    if (found !== undefined) return found
  } else if (sslrootcert !== undefined && existsSync(sslrootcert)) {
    return sslrootcert
  } else if (sslmode !== 'verify-ca' && sslmode !== 'verify-full') {
    // libpq too goes on without a check when the file is not there.
    return undefined
  }
  const place = sslrootcert === undefined ? 'no root certificate is given' : `${sslrootcert} is not there`
  throw new LifeboatError(
    'tls-no-root-certificate',
    `sslmode=${sslmode} needs a root certificate, and ${place}`,
    `Give the certificate authority as PEM by database-ca, or add sslrootcert=system to ${input} if it is a public one.`,
  )
}

/** The mode that makes the tools do what was done here, and nothing else. */
export function pinnedMode(sslmode: SslMode, encryption: Encryption): SslMode {
  if (encryption === 'plain') return 'disable'
  return sslmode === 'verify-ca' || sslmode === 'verify-full' ? sslmode : 'require'
}

/**
 * Node's TLS options for what libpq does: the chain is verified as soon as there is a root certificate, the name only
 * with verify-full. Throws LifeboatError `tls-client-certificate` for a key that libpq would refuse.
 */
export function tlsOptions(settings: ConnectionSettings, name: string, root: string | undefined): ConnectionOptions {
  const { sslmode, sslcert, sslkey, sslcrl, sslMinVersion, sslMaxVersion } = settings
  const options: ConnectionOptions = {
    rejectUnauthorized: root !== undefined,
    checkServerIdentity: (_, certificate) => (sslmode === 'verify-full' ? checkName(name, certificate) : undefined),
    minVersion: sslMinVersion ?? 'TLSv1.2',
  }
  if (isIP(name) === 0) options.servername = name
  if (sslMaxVersion !== undefined) options.maxVersion = sslMaxVersion
  if (root !== undefined) {
    options.ca = readFileSync(root)
    if (sslcrl !== undefined && existsSync(sslcrl)) options.crl = readFileSync(sslcrl)
  }
  if (sslcert !== undefined && existsSync(sslcert)) {
    options.cert = readFileSync(sslcert)
    options.key = readKey(sslkey)
  }
  return options
}

/** libpq takes the common name of a certificate without alternative names for an address too; Node does not. */
function checkName(name: string, certificate: PeerCertificate): Error | undefined {
  const bare = certificate.subjectaltname === undefined && isIP(name) !== 0
  return bare && certificate.subject?.CN === name ? undefined : checkServerIdentity(name, certificate)
}

function readKey(path: string | undefined): Buffer {
  const stats = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false })
  if (path === undefined || !stats?.isFile()) {
    throw clientKeyError('the client certificate has no private key file', 'Name the key file with sslkey.')
  }
  // libpq: 0600 for one's own, 0640 for a file of root's.
  if ((stats.mode & (stats.uid === 0 ? 0o027 : 0o077)) !== 0) {
    throw clientKeyError(`others may read the client key ${path}`, `Run chmod 0600 ${path}.`)
  }
  return readFileSync(path)
}

function clientKeyError(message: string, remedy: string): LifeboatError {
  return new LifeboatError('tls-client-certificate', message, remedy)
}

import { LifeboatError } from '../base/errors.ts'
import { kindOfParameter } from './connection-parameters.ts'

/** What a URL or conninfo string says, by libpq's parameter names; values decoded. */
export interface ConnectionText {
  values: Map<string, string>
  /** Names of parameters that have no bearing here. */
  ignored: string[]
}

const SHAPE = 'postgresql://user:password@host:5432/database?sslmode=require'
/** Safe to repeat: a scheme that is not on this list may be a piece of a password. */
const OTHER_SCHEMES =
  /^(https?|mysql2?|mariadb|mongodb(\+srv)?|rediss?|sqlite|file|s3|jdbc|cockroachdb|mssql|sqlserver|prisma|prisma\+postgres|(postgres|postgresql|postgis)\+\w+|psql|pgsql|ecto|postgis):/i

/**
 * Reads a URL or a `key=value` string as libpq does (conninfo_parse in fe-connect.c), stricter where libpq would take a
 * piece of a password for a host or a database name. Errors say which piece is wrong and never repeat any of it.
 */
export function parseConnectionText(text: string, input: string): ConnectionText {
  const fail = failureOf(input)
  const body = /^postgres(?:ql)?:\/\/(.*)$/s.exec(text)?.[1]
  if (body === undefined) {
    if (/^[a-z_]+\s*=/.test(text)) return parseKeywords(text, fail)
    throw notPostgres(text, fail)
  }
  if (/\s/.test(body)) throw fail('holds a space or a line break', 'Write a space as %20, and check how it was pasted.')
  return parseUrl(body, fail)
}

type Fail = (problem: string, remedy: string) => LifeboatError

function failureOf(input: string): Fail {
  return (problem, remedy) => new LifeboatError('bad-database-url', `${input} ${problem}`, remedy)
}

function encodeHint(character: string, code: string, piece = 'password'): string {
  return `Percent-encode the ${piece}: write ${character} as ${code}. A URL looks like ${SHAPE}.`
}

function notPostgres(text: string, fail: Fail): LifeboatError {
  if (/^["'`]/.test(text)) return fail('is wrapped in quotation marks', 'Store the URL without the quotation marks.')
  if (/^psql\s/.test(text)) return fail('is a psql command', `Store only the URL in it: ${SHAPE}.`)
  if (/^[A-Z_]+=/.test(text)) return fail('is a line of an .env file', 'Store only what follows the equals sign.')
  const scheme = OTHER_SCHEMES.exec(text)?.[1]
  if (scheme !== undefined) {
    return fail(`begins with ${scheme}: and is no PostgreSQL URL`, `Begin it with postgresql://, as in ${SHAPE}.`)
  }
  return fail('does not begin with postgresql:// or postgres://', `A URL looks like ${SHAPE}.`)
}

function parseUrl(body: string, fail: Fail): ConnectionText {
  const values = new Map<string, string>()
  const at = body.indexOf('@')
  const slash = body.indexOf('/')
  const hasUser = at >= 0 && (slash < 0 || at < slash)
  const rest = hasUser ? body.slice(at + 1) : body
  const question = rest.indexOf('?')
  const place = question < 0 ? rest : rest.slice(0, question)
  if (place.includes('@')) {
    // libpq would take the piece after the first `@` (or before the first `/`) for the host, and say so in its error.
    throw hasUser
      ? fail('holds more than one @', encodeHint('@', '%40'))
      : fail('holds a / before the @', encodeHint('/', '%2F'))
  }
  if (hasUser) storeUser(body.slice(0, at), values, fail)
  storePlace(place, values, fail)
  return { values, ignored: question < 0 ? [] : storeQuery(rest.slice(question + 1), values, fail) }
}

function storeUser(userinfo: string, values: Map<string, string>, fail: Fail): void {
  const colon = userinfo.indexOf(':')
  const user = colon < 0 ? userinfo : userinfo.slice(0, colon)
  const password = colon < 0 ? '' : userinfo.slice(colon + 1)
  if (user !== '') values.set('user', decode(user, 'user', fail))
  if (password !== '') values.set('password', decode(password, 'password', fail))
}

function storePlace(place: string, values: Map<string, string>, fail: Fail): void {
  const slash = place.indexOf('/')
  const authority = slash < 0 ? place : place.slice(0, slash)
  const database = slash < 0 ? '' : place.slice(slash + 1)
  const hosts: string[] = []
  const ports: string[] = []
  for (const entry of authority.split(',')) {
    const match = /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(.*))?$/.exec(entry)
    if (match === null) {
      throw fail('has a host that cannot be read', 'Put an IPv6 address in brackets, and percent-encode a password.')
    }
    hosts.push(decode(match[1] ?? match[2] ?? '', 'host', fail))
    ports.push(decode(match[3] ?? '', 'port', fail))
  }
  if (hosts.some((host) => host !== '')) values.set('host', hosts.join(','))
  if (ports.some((port) => port !== '')) values.set('port', ports.join(','))
  if (database !== '') values.set('dbname', decode(database, 'database', fail))
}

function storeQuery(query: string, values: Map<string, string>, fail: Fail): string[] {
  const ignored: string[] = []
  for (const pair of query.split('&')) {
    if (pair === '') continue
    const [name = '', value, ...more] = pair.split('=')
    if (value === undefined || more.length > 0) {
      if (query.includes('@')) throw fail('holds a ? before the @', encodeHint('?', '%3F'))
      throw fail('has a parameter that is not name=value', 'Write = in a value as %3D, and & as %26.')
    }
    const key = decode(name, 'parameter', fail)
    const decoded = decode(value, 'parameter', fail)
    if (key === 'ssl') values.set('sslmode', sslWord(decoded, fail))
    else if (store(key, decoded, values, fail, query.includes('@'))) ignored.push(key)
  }
  return ignored
}

/** True if the parameter has no bearing here. A later value of the same parameter wins, as in libpq. */
function store(key: string, value: string, values: Map<string, string>, fail: Fail, doubtful: boolean): boolean {
  const kind = kindOfParameter(key)
  if (kind === 'libpq') values.set(key, value)
  if (kind !== 'unknown') return kind === 'foreign'
  if (key === 'service' || key === 'servicefile') {
    throw fail('names a connection service', 'Write host, user and database into the URL: service files are not read.')
  }
  if (doubtful || !/^[a-zA-Z_]{1,40}$/.test(key)) {
    throw fail('has an unknown parameter', 'Remove it; if it is a part of the password, write @ as %40 and ? as %3F.')
  }
  throw fail(`has the unknown parameter ${key}`, `Remove ${key}: PostgreSQL's own tools would refuse it.`)
}

function sslWord(value: string, fail: Fail): string {
  if (value === 'true') return 'require'
  throw fail(
    'has an ssl parameter other than ssl=true',
    'Write sslmode=require, sslmode=verify-full or sslmode=disable.',
  )
}

/** libpq's conninfo_uri_decode: `%` needs two hex digits, %00 is refused, `+` stays a plus sign. */
function decode(text: string, piece: string, fail: Fail): string {
  if (/%(?![0-9a-fA-F]{2})/.test(text)) {
    throw fail(`has a % in the ${piece} that is not followed by two hex digits`, encodeHint('%', '%25', piece))
  }
  if (/%00/.test(text)) throw fail(`has a %00 in the ${piece}`, 'Remove it: PostgreSQL has no zero bytes in names.')
  try {
    return decodeURIComponent(text)
  } catch {
    throw fail(
      `has percent-encoding in the ${piece} that is not UTF-8`,
      'Percent-encode the UTF-8 bytes of the text, and write a % itself as %25.',
    )
  }
}

/** libpq's conninfo_parse: `host=db.example.com password='it''s'`, with backslash escapes. */
function parseKeywords(text: string, fail: Fail): ConnectionText {
  const values = new Map<string, string>()
  const ignored: string[] = []
  const pattern = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s\\']|\\.)*))(?=\s|$)/gsy
  let end = 0
  for (const match of text.matchAll(pattern)) {
    end = match.index + match[0].length
    const value = (match[2] ?? match[3] ?? '').replaceAll(/\\(.)/gs, '$1')
    if (store(match[1] ?? '', value, values, fail, true)) ignored.push(match[1] ?? '')
  }
  if (text.slice(end).trim() !== '') {
    throw fail('is not a list of key=value pairs', `Quote values with spaces, or write it as a URL: ${SHAPE}.`)
  }
  return { values, ignored }
}

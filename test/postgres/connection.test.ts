import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { LifeboatError } from '../../src/base/errors.ts'
import {
  type ConnectionSettings,
  connectionSecrets,
  describeConnection,
  type ParseOptions,
  parseConnection,
} from '../../src/postgres/connection.ts'
import { connectionUrl } from '../../src/postgres/connection-url.ts'
import { passfileLine, readPassfile } from '../../src/postgres/passfile.ts'

const folder = mkdtempSync(join(tmpdir(), 'lifeboat-connection-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const parse = (url: string | undefined, env: NodeJS.ProcessEnv = {}, options?: ParseOptions) =>
  parseConnection(url, env, options)

function refusal(url: string | undefined, env: NodeJS.ProcessEnv = {}, options?: ParseOptions): LifeboatError {
  try {
    parse(url, env, options)
  } catch (error) {
    if (error instanceof LifeboatError) return error
    throw error
  }
  throw new Error('it was accepted')
}

test('a plain URL', () => {
  const settings = parse('postgresql://ann:s%40crets@db.example.com:6000/shop?sslmode=require&connect_timeout=1')
  expect(settings).toEqual({
    input: 'database-url',
    hosts: [{ host: 'db.example.com', port: 6000 }],
    user: 'ann',
    password: 's@crets',
    database: 'shop',
    sslmode: 'require',
    sslnegotiation: 'postgres',
    channelBinding: 'prefer',
    connectTimeoutSeconds: 2,
    targetSessionAttrs: 'any',
    ignored: [],
  })
  expect(describeConnection(settings)).toBe('ann@db.example.com:6000/shop')
})

test.each([
  [
    'postgres://u@[::1]:6000,b,c:7/d',
    [
      ['::1', 6000],
      ['b', 5432],
      ['c', 7],
    ],
  ],
  [
    'postgres://u@a,b/d?port=6000',
    [
      ['a', 6000],
      ['b', 6000],
    ],
  ],
  ['postgres://u@%2Frun%2Fpg:6/d', [['/run/pg', 6]]],
  ['postgres:///d?host=/run/pg&port=6&user=u', [['/run/pg', 6]]],
  ['postgres://u@a/d?host=b', [['b', 5432]]],
  [
    "host=a,b port=1,2 user='u' dbname = d",
    [
      ['a', 1],
      ['b', 2],
    ],
  ],
])('hosts of %s', (url, hosts) => {
  const settings = parse(url)
  expect(settings.hosts.map(({ host, port }) => [host, port])).toEqual(hosts)
  expect([settings.user, settings.database]).toEqual(['u', 'd'])
})

test('hostaddr goes with its host, and a stray PGHOSTADDR does not redirect the URL', () => {
  expect(parse('postgres://u@a,b/d?hostaddr=10.0.0.1,10.0.0.2').hosts).toEqual([
    { host: 'a', hostaddr: '10.0.0.1', port: 5432 },
    { host: 'b', hostaddr: '10.0.0.2', port: 5432 },
  ])
  expect(parse('postgres://u@a/d', { PGHOSTADDR: '10.9.9.9' }).hosts).toEqual([{ host: 'a', port: 5432 }])
  expect(parse('', { PGHOSTADDR: '10.9.9.9' }).hosts[0]?.hostaddr).toBe('10.9.9.9')
})

test('what a URL leaves open comes from the PG* variables, and an empty one counts as absent', () => {
  const env = {
    PGHOST: 'h',
    PGPORT: '7',
    PGUSER: 'u',
    PGPASSWORD: 'p',
    PGDATABASE: '',
    PGSSLMODE: 'verify-ca',
    PGOPTIONS: '-c x=1',
  }
  expect(parse('', env)).toMatchObject({
    hosts: [{ host: 'h', port: 7 }],
    user: 'u',
    password: 'p',
    database: 'u',
    sslmode: 'verify-ca',
    options: '-c x=1',
  })
  expect(parse('postgres://a:b@c/d?sslmode=disable', env)).toMatchObject({
    user: 'a',
    password: 'b',
    sslmode: 'disable',
  })
  expect(refusal('postgres://a@c/d', { PGSSLMODE: 'yes' }).message).toMatch(/^PGSSLMODE has a sslmode/)
  for (const url of ['', 'postgres://a@c/d']) {
    expect(refusal(url, { PGSERVICE: 'shop' }).message).toBe('PGSERVICE names a connection service')
  }
})

test('no URL and nothing in the environment names the input and the missing secret', () => {
  for (const url of [undefined, '', ' \n']) {
    const { code, remedy } = refusal(url, { PGPASSWORD: 'x' })
    expect(code).toBe('no-database-url')
    expect(remedy).toMatch(/database-url.*secret/)
  }
})

test.each([
  ['postgres://ann:pa@ss@host/db', /more than one @/, '%40'],
  ['postgres://ann:pa/ss@host/db', /a \/ before the @/, '%2F'],
  ['postgres://ann:pa@s/s@host/db', /more than one @/, '%40'],
  ['postgres://ann:pa@s?ss@host/db', /a \? before the @/, '%3F'],
  ['postgres://ann:pa@s?pass=1@host/db', /unknown parameter/, '%40'],
  ['postgres://ann:pa%ss@host/db', /% in the password/, '%25'],
  ['postgres://ann:pa%FFss@host/db', /not UTF-8/, '%25'],
  ['postgres://ann:pass/db', /port/, '%2F'],
  ['postgres://ann:pass word@host/db', /a space/, '%20'],
  ['mysql://ann:pass@host/db', /begins with mysql:/, 'postgresql://'],
  ['https://ann:pass@host/db', /begins with https:/, 'postgresql://'],
  ['jdbc:postgresql://host/db?password=pass', /begins with jdbc:/, 'postgresql://'],
  ['postgresql+asyncpg://ann:pass@host/db', /begins with postgresql\+asyncpg:/, 'postgresql://'],
  ['"postgres://ann:pass@host/db"', /quotation marks/, 'without'],
  ["psql 'postgres://ann:pass@host/db'", /psql command/, 'only the URL'],
  ['DATABASE_URL=postgres://ann:pass@host/db', /\.env/, 'equals sign'],
  ['pass:word', /does not begin with/, 'postgresql://'],
  ['postgres://ann:pass@host:0/db', /port/, 'postgresql://'],
  ['postgres://ann:pass@a,b/db?port=1,2,3', /as many ports as hosts/, 'one port'],
  ['postgres://ann:pass@host/db?sslmod=require', /unknown parameter sslmod$/, 'Remove sslmod'],
  ['postgres://ann:pass@host/db?sslmode=no-verify', /sslmode that does not exist/, 'require'],
  ['postgres://ann:pass@host/db?ssl=false', /other than ssl=true/, 'sslmode=disable'],
  ['postgres://ann:pass@host/db?service=x', /service/, 'host'],
  ['postgres://ann:pass@host/db?gssencmode=require', /GSSAPI/, 'sslmode'],
  ['postgres://ann:pass@host/db?sslrootcert=system&sslmode=require', /sslrootcert=system/, 'verify-full'],
  ['postgres://ann:pass@host/db?sslnegotiation=direct', /direct/, 'require'],
  ['postgres://ann:pass@host/db?sslpassword=word', /sslpassword/, 'passphrase'],
  ['host=h dbname=d password=pass word', /key=value/, 'Quote'],
])('%s is refused with the way out', (url, message, remedy) => {
  const error = refusal(url)
  expect(error.code).toBe('bad-database-url')
  expect(error.message).toMatch(message)
  expect(error.remedy).toContain(remedy)
})

test('libpq takes # and ? in a password as they are, and so do we', () => {
  expect(parse('postgres://u:a#b?c:d@h/db').password).toBe('a#b?c:d')
})

test('every text survives percent-encoding in every piece', () => {
  const word = fc
    .string({ unit: 'grapheme', minLength: 1 })
    .filter((text) => !text.includes('\0') && text.isWellFormed())
  fc.assert(
    fc.property(word, word, word, (user, password, database) => {
      const [u, p, d] = [user, password, database].map(encodeURIComponent)
      const ways = [`postgres://${u}:${p}@h/${d}`, `postgres://h?user=${u}&password=${p}&dbname=${d}`]
      for (const url of ways) expect(parse(url)).toMatchObject({ user, password, database })
    }),
  )
})

test('no error repeats the password, whatever the URL looks like', () => {
  const messy = fc.array(fc.constantFrom('@', '/', '?', '#', '%', ':', '&', '=', ',', '[', ']', ' ', '%4'), {
    maxLength: 6,
  })
  fc.assert(
    fc.property(messy, messy, (before, after) => {
      const url = `postgres://ann:${before.join('')}Hunter${after.join('')}2secret@db.example.com/shop`
      try {
        const { hosts, user, database, ignored } = parse(url)
        // What is accepted is the password whole, so nothing of it is anywhere else.
        expect(JSON.stringify([hosts, user, database, ignored])).not.toMatch(/Hunter|secret/)
      } catch (error) {
        expect(error).toBeInstanceOf(LifeboatError)
        expect(`${(error as LifeboatError).message}${(error as LifeboatError).remedy}`).not.toMatch(/Hunter|secret/)
      }
    }),
    { numRuns: 2_000 },
  )
})

test('parameters of ORMs are of no effect and named; ours win in silence', () => {
  const url =
    'postgres://u:p@h/d?pgbouncer=true&schema=public&connection_limit=1&pool_timeout=0&application_name=x&ssl=true'
  expect(parse(url)).toMatchObject({
    ignored: ['pgbouncer', 'schema', 'connection_limit', 'pool_timeout'],
    sslmode: 'require',
  })
})

test('database-ca verifies fully, unless the URL says which sslmode it wants', () => {
  const options = { caFile: '/ca.pem' }
  expect(parse('postgres://u@h/d', {}, options)).toMatchObject({ sslmode: 'verify-full', sslrootcert: '/ca.pem' })
  expect(parse('postgres://u@h/d?sslmode=require&sslrootcert=/x', {}, options)).toMatchObject({
    sslmode: 'require',
    sslrootcert: '/ca.pem',
  })
  expect(parse('postgres://u@h/d?sslrootcert=system')).toMatchObject({ sslmode: 'verify-full' })
  expect(parse('postgres://u@h/d')).toMatchObject({ sslmode: 'prefer' })
})

test('the password file is found as libpq finds it, and not when others may read it', () => {
  const home = mkdtempSync(join(folder, 'home-'))
  const path = join(home, '.pgpass')
  writeFileSync(path, '# comment\nother:*:*:*:no\nh:5432:d:u:p\\:w\\\\x\nh2:*:*:*:two\n', { mode: 0o600 })
  const env = { HOME: home }
  expect(parse('postgres://u@h,h2,h3/d', env).hosts.map((host) => host.password)).toEqual(['p:w\\x', 'two', undefined])
  expect(connectionSecrets(parse('postgres://u@h/d', env))).toContain('p%3Aw%5Cx')
  expect(parse('postgres://u:own@h/d', env).hosts[0]?.password).toBeUndefined()
  chmodSync(path, 0o644)
  expect(parse('postgres://u@h/d', env)).toMatchObject({
    hosts: [{ host: 'h' }],
    ignored: [expect.stringContaining('0600')],
  })
  mkdirSync(join(home, '.postgresql'))
  writeFileSync(join(home, '.postgresql', 'root.crt'), '')
  expect(parse('postgres://u@h/d', env).sslrootcert).toBe(join(home, '.postgresql', 'root.crt'))
})

test('a password written to a password file is read back', () => {
  const path = join(folder, 'file')
  fc.assert(
    fc.property(
      fc.string({ minLength: 1 }).filter((text) => !/[\r\n]/.test(text)),
      (password) => {
        writeFileSync(path, passfileLine(password), { mode: 0o600 })
        expect(readPassfile(path).find('h', 1, 'd', 'u')).toBe(password)
      },
    ),
  )
})

test('the secrets of a connection are its URL and every form of its password', () => {
  const url = 'postgres://u:p%40ss!@h/d'
  expect(connectionSecrets(parse(url), ` ${url}\n`)).toEqual(
    expect.arrayContaining([url, ` ${url}\n`, 'p@ss!', 'p%40ss!', 'p%40ss%21']),
  )
})

test('the URL of another database of the server leads there in the same way', () => {
  const name = fc.string({ minLength: 1, maxLength: 8, unit: 'grapheme' }).filter((text) => !text.includes('\0'))
  const host = fc.constantFrom('db.example.org', '10.0.0.7', 'fe80::1', '/var/run/my pg')
  const hosts = fc.array(fc.record({ host, port: fc.integer({ min: 1, max: 65_535 }) }), { minLength: 1, maxLength: 3 })
  const tls = fc.constantFrom(
    { sslmode: 'prefer' },
    { sslmode: 'require' },
    { sslmode: 'verify-full', sslrootcert: '/tmp/a b.pem' },
  )
  fc.assert(
    fc.property(name, name, name, hosts, tls, (user, password, database, places, parameters) => {
      const settings = {
        ...parseConnection('postgresql://h/d', {}),
        ...parameters,
        user,
        password,
        hosts: places,
      } as ConnectionSettings
      const parsed = parseConnection(connectionUrl(settings, database), {})
      expect(parsed).toEqual({ ...settings, database })
    }),
  )
})

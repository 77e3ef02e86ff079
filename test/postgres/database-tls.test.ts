import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { LifeboatError } from '../../src/base/errors.ts'
import { memoryLog } from '../../src/base/ports.ts'
import { type ParseOptions, parseConnection, SSL_MODES } from '../../src/postgres/connection.ts'
import { openDatabase } from '../../src/postgres/database.ts'
import { type Authority, createAuthority, createSelfSigned } from '../support/certificates.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'
import { runTool } from '../support/run-tool.ts'
import { until } from '../until.ts'

const NAME = 'db.example.test'
const HBA = [
  'hostssl all tlsonly 127.0.0.1/32 scram-sha-256',
  'hostnossl all plainonly 127.0.0.1/32 scram-sha-256',
  'hostssl all certified 127.0.0.1/32 cert',
  'host all tlsonly,plainonly 127.0.0.1/32 reject',
  'host all all 127.0.0.1/32 scram-sha-256',
]

let authority: Authority
let stranger: Authority
let encrypting: TestServer
let plain: TestServer
let temp: string

beforeAll(async () => {
  temp = await mkdtemp(join(tmpdir(), 'lb-tls-'))
  ;[authority, stranger] = await Promise.all([createAuthority('Lifeboat Test CA'), createAuthority('Another CA')])
  const { certificate, key } = await authority.issue(NAME, `DNS:${NAME}`)
  const major = availableMajors()[0] ?? 15
  const settings = { ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key', ssl_ca_file: 'ca.crt' }
  const own = await createSelfSigned(NAME, `DNS:${NAME}`)
  const files = {
    'server.crt': certificate,
    'server.key': key,
    'ca.crt': await readFile(authority.file, 'utf8'),
    'own.crt': own.certificate,
    'own.key': own.key,
  }
  ;[encrypting, plain] = await Promise.all([
    startServer(major, { settings, files, hba: `${HBA.join('\n')}\n` }),
    startServer(major, { hba: `${HBA.at(-1)}\n` }),
  ])
  const roles = ['tlsonly', 'plainonly', 'certified'].map((role) => `create role ${role} login password 'word';`)
  await encrypting.psql('postgres', roles.join(' '))
})

afterAll(async () => {
  await Promise.all([encrypting?.stop(), plain?.stop(), authority?.remove(), stranger?.remove()])
  await rm(temp, { recursive: true, force: true })
})

/** `tls`, `plain`, or the code of the refusal: with pg as openDatabase connects it, and with psql as it is told to. */
async function ours(url: string, options: ParseOptions = {}): Promise<{ client: string; tool: string; code?: string }> {
  try {
    const env = { PATH: process.env.PATH, HOME: temp }
    const database = await openDatabase(parseConnection(url, env, options), { temp, log: memoryLog(), env })
    try {
      const client = await database.connect('test')
      const { rows } = await client.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()')
      expect(rows[0].ssl).toBe(database.encrypted)
      const tool = await runTool(join(encrypting.bin, 'psql'), SSL_QUERY, await database.toolEnvironment())
      return { client: rows[0].ssl ? 'tls' : 'plain', tool: outcome(tool) }
    } finally {
      await database.close()
    }
  } catch (error) {
    if (!(error instanceof LifeboatError)) throw error
    return { client: 'refused', tool: 'refused', code: error.code }
  }
}

const SSL_QUERY = ['-XAt', '-c', 'select ssl from pg_stat_ssl where pid = pg_backend_pid()']

/** What libpq makes of the URL by itself. */
async function oracle(url: string): Promise<string> {
  const env = { PATH: process.env.PATH ?? '', HOME: temp, LC_ALL: 'C' }
  return outcome(await runTool(join(encrypting.bin, 'psql'), [...SSL_QUERY, url], env))
}

function outcome({ code, stdout }: { code: number; stdout: string }): string {
  if (code !== 0) return 'refused'
  return stdout.trim() === 't' ? 'tls' : 'plain'
}

type Case = { server: () => TestServer; user?: string; host?: string; query: string }

function urlOf({ server, user = 'postgres', host = '127.0.0.1', query }: Case): string {
  const password = user === 'postgres' ? server().password : 'word'
  return `postgres://${user}:${password}@${host}:${server().port}/postgres?hostaddr=127.0.0.1&${query}`
}

test.each(SSL_MODES)('sslmode=%s: pg, the tools and libpq itself agree', async (mode) => {
  const cases: Case[] = []
  const roots = ['', ...[authority.file, stranger.file, '/nowhere.crt'].map((file) => `&sslrootcert=${file}`)]
  for (const query of roots.map((root) => `sslmode=${mode}${root}`)) {
    cases.push({ server: () => plain, host: NAME, query })
    for (const host of [NAME, 'other.example.test', '127.0.0.1']) cases.push({ server: () => encrypting, host, query })
  }
  for (const user of ['tlsonly', 'plainonly']) cases.push({ server: () => encrypting, user, query: `sslmode=${mode}` })
  const seen = new Set<string>()
  for (const each of cases) {
    const url = urlOf(each)
    const expected = await oracle(url)
    seen.add(expected)
    const { client, tool } = await ours(url)
    const shown = url.replace(/:[^:@]*@/, ':…@')
    expect([shown, client, tool]).toEqual([shown, expected, expected])
  }
  expect(seen.size).toBeGreaterThan(1)
})

test('ssl=true is require; without sslmode it is prefer', async () => {
  for (const [query, server, expected] of [
    ['ssl=true', () => encrypting, 'tls'],
    ['ssl=true', () => plain, 'refused'],
    ['', () => encrypting, 'tls'],
    ['', () => plain, 'plain'],
  ] as const) {
    const url = urlOf({ server, query })
    expect(await oracle(url)).toBe(expected)
    expect(await ours(url)).toMatchObject({ client: expected, tool: expected })
  }
})

test('database-ca verifies chain and name, and what fails says what to change', async () => {
  const url = (host: string, query = '') => urlOf({ server: () => encrypting, host, query })
  expect(await ours(url(NAME), { caFile: authority.file })).toMatchObject({ client: 'tls', tool: 'tls' })
  expect(await ours(url('other.example.test'), { caFile: authority.file })).toMatchObject({ code: 'tls-name-mismatch' })
  expect(await ours(url(NAME), { caFile: stranger.file })).toMatchObject({ code: 'tls-untrusted' })
  expect(await ours(url(NAME, 'sslrootcert=system'))).toMatchObject({ code: 'tls-untrusted' })
  expect(await ours(urlOf({ server: () => plain, query: '' }), { caFile: authority.file })).toMatchObject({
    code: 'tls-not-offered',
  })
  expect(await ours(urlOf({ server: () => plain, query: 'sslmode=verify-ca' }))).toMatchObject({
    code: 'tls-no-root-certificate',
  })
})

test('a server that signed its certificate itself: no authority is asked for by require, and it is its own', async () => {
  const present = async (settings: string, root: string) => {
    await encrypting.psql('postgres', `${settings}; select pg_reload_conf()`)
    const query = `sslmode=verify-ca&sslrootcert=${root}`
    await until(async () => (await oracle(urlOf({ server: () => encrypting, query }))) === 'tls')
  }
  const itself = join(encrypting.dataDirectory, 'own.crt')
  const own = "alter system set ssl_cert_file = 'own.crt'; alter system set ssl_key_file = 'own.key'"
  await present(own, itself)
  for (const [query, host, expected] of [
    ['sslmode=require', NAME, 'tls'],
    [`sslmode=require&sslrootcert=${authority.file}`, NAME, 'refused'],
    ['sslmode=verify-ca', NAME, 'refused'],
    [`sslmode=verify-ca&sslrootcert=${authority.file}`, NAME, 'refused'],
    [`sslmode=verify-ca&sslrootcert=${itself}`, 'other.example.test', 'tls'],
    [`sslmode=verify-full&sslrootcert=${itself}`, NAME, 'tls'],
    [`sslmode=verify-full&sslrootcert=${itself}`, 'other.example.test', 'refused'],
  ] as const) {
    const url = urlOf({ server: () => encrypting, host, query })
    expect([query, await oracle(url), await ours(url)]).toMatchObject([
      query,
      expected,
      { client: expected, tool: expected },
    ])
  }
  await present('alter system reset all', authority.file)
})

test('client certificates work for both, and a key that others may read for neither', async () => {
  const { certificate, key } = await authority.issue('certified')
  const [certFile, keyFile] = [join(temp, 'client.crt'), join(temp, 'client.key')]
  await writeFile(certFile, certificate)
  await writeFile(keyFile, key, { mode: 0o600 })
  const query = `sslmode=require&sslcert=${certFile}&sslkey=${keyFile}`
  const url = urlOf({ server: () => encrypting, user: 'certified', query })
  expect([await oracle(url), await ours(url)]).toEqual(['tls', { client: 'tls', tool: 'tls' }])
  await chmod(keyFile, 0o644)
  expect([await oracle(url), await ours(url)]).toMatchObject(['refused', { code: 'tls-client-certificate' }])
  const without = urlOf({ server: () => encrypting, user: 'certified', query: 'sslmode=require' })
  expect([await oracle(without), await ours(without)]).toMatchObject(['refused', { code: 'tls-client-certificate' }])
})

test('channel binding is used when it is required', async () => {
  const query = 'sslmode=require&channel_binding=require'
  const url = urlOf({ server: () => encrypting, query })
  expect([await oracle(url), await ours(url)]).toMatchObject(['tls', { client: 'tls', tool: 'tls' }])
})

test('the tools get the pinned mode and not the wish', async () => {
  const env = { PATH: process.env.PATH }
  const settings = parseConnection(urlOf({ server: () => encrypting, host: NAME, query: '' }), env)
  const database = await openDatabase(settings, { temp, log: memoryLog(), env })
  const variables = await database.toolEnvironment()
  expect(variables).toMatchObject({ PGSSLMODE: 'require', PGHOST: NAME, PGHOSTADDR: '127.0.0.1' })
  const dump = await runTool(join(encrypting.bin, 'pg_dump'), ['--schema-only'], variables)
  expect([dump.code, dump.stderr]).toEqual([0, ''])
  await database.close()
})

import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { LifeboatError } from '../../src/base/errors.ts'
import { type Clock, memoryLog } from '../../src/base/ports.ts'
import { parseConnection } from '../../src/postgres/connection.ts'
import { type Database, type OpenOptions, openDatabase } from '../../src/postgres/database.ts'
import { sessionPins } from '../../src/postgres/pins.ts'
import { TOOL_CONNINFO } from '../../src/postgres/tool-environment.ts'
import { type FakeBackend, startFakeBackend } from '../support/fake-backend.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'
import { runTool } from '../support/run-tool.ts'
import { until } from '../until.ts'

const RESERVED = `:/?#[]@!$&'()*+,;=% \\"<>^\`{|}~é漢-._`
const HBA = [
  'local all all scram-sha-256',
  'hostssl all tlsonly 127.0.0.1/32 scram-sha-256',
  'host all notlisted 127.0.0.1/32 reject',
  'host all postgres,reserved,limited,nologin 127.0.0.1/32 scram-sha-256',
].join('\n')

let server: TestServer
let sockets: string
let temp: string

beforeAll(async () => {
  sockets = await mkdtemp(join(tmpdir(), 'lb-sock-'))
  temp = await mkdtemp(join(tmpdir(), 'lb-temp-'))
  await chmod(sockets, 0o777)
  server = await startServer(availableMajors()[0] ?? 15, {
    settings: { unix_socket_directories: sockets },
    hba: `${HBA}\n`,
  })
  const literal = `'${RESERVED.replaceAll("'", "''")}'`
  await server.psql(
    'postgres',
    `create role reserved login password ${literal}; create role limited login connection limit 0 password 'x';
     create role nologin password 'x'; create role tlsonly login password 'x'; create table sample (id int);
     grant select on sample to reserved`,
  )
  await server.createDatabase('latin', { encoding: 'LATIN1', collate: 'C', ctype: 'C' })
})

afterAll(async () => {
  for (const backend of backends) await backend.stop()
  await server?.stop()
  for (const directory of [temp, sockets]) await rm(directory, { recursive: true, force: true })
})

const backends: FakeBackend[] = []

async function fakeBackend(...args: Parameters<typeof startFakeBackend>): Promise<FakeBackend> {
  const backend = await startFakeBackend(...args)
  backends.push(backend)
  return backend
}

const open = (url: string, options: Partial<OpenOptions> = {}) =>
  openDatabase(parseConnection(url, options.env ?? {}), {
    temp,
    log: memoryLog(),
    env: { PATH: process.env.PATH, ...options.env },
    ...options,
  })

async function using<T>(
  url: string,
  work: (database: Database) => Promise<T>,
  options?: Partial<OpenOptions>,
): Promise<T> {
  const database = await open(url, options)
  try {
    return await work(database)
  } finally {
    await database.close()
  }
}

async function refusal(url: string, options?: Partial<OpenOptions>): Promise<LifeboatError> {
  try {
    await (await open(url, options)).close()
  } catch (error) {
    if (error instanceof LifeboatError) return error
    throw error
  }
  throw new Error('it was opened')
}

/** What one query gives through `pg` and through psql with the tool environment. */
async function both(database: Database, sql: string): Promise<[unknown, string]> {
  const client = await database.connect('test')
  const { rows } = await client.query({ text: sql, rowMode: 'array' })
  await client.end()
  const tool = await runTool(join(server.bin, 'psql'), ['-XAt', '-c', sql], await database.toolEnvironment())
  return [rows[0]?.[0], tool.stdout.trim() || tool.stderr]
}

test('clients and tools reach the same server with the same pins, whatever the database says', async () => {
  await server.psql(
    'postgres',
    `alter database postgres set timezone to 'Asia/Tokyo'; alter database postgres set bytea_output to 'escape';
     alter database postgres set statement_timeout to '5min'; alter database postgres set search_path to public;
     alter database postgres set datestyle to 'German'; alter database postgres set client_encoding to 'LATIN1'`,
  )
  const url = `${server.url('postgres')}?options=-c%20work_mem%3D9MB%20-c%20datestyle%3DSQL&connection_limit=1`
  const log = memoryLog()
  await using(
    url,
    async (database) => {
      expect(database).toMatchObject({ serverMajor: server.major, encrypted: false, serverEncoding: 'UTF8' })
      expect(database.label).toBe(`postgres@127.0.0.1:${server.port}/postgres`)
      for (const [name, value] of sessionPins(database.serverVersion)) {
        const [client, tool] = await both(database, `select setting from pg_catalog.pg_settings where name = '${name}'`)
        expect([name, client === '""' ? '' : client, tool.replaceAll('"', '')]).toEqual([name, value, value])
      }
      expect(await both(database, 'show work_mem')).toEqual(['9MB', '9MB'])
      expect(await both(database, 'show client_encoding')).toEqual(['UTF8', 'UTF8'])
      expect((await both(database, 'show application_name'))[0]).toBe('pg-lifeboat test')
    },
    { log },
  )
  expect(log.lines).toContain('Of no effect in database-url: connection_limit')
})

test('a password with every reserved character, encoded or in a URL as libpq allows', async () => {
  const url = server.url('postgres', 'reserved', RESERVED)
  await using(url, async (database) => {
    expect(await both(database, 'select current_user')).toEqual(['reserved', 'reserved'])
    const env = await database.toolEnvironment()
    expect(JSON.stringify(env)).not.toContain('漢')
    expect((await stat(env.PGPASSFILE ?? '')).mode & 0o777).toBe(0o600)
    // pg_dump takes its database from the environment although --dbname holds the keepalives.
    const dump = await runTool(join(server.bin, 'pg_dump'), ['--schema-only', `--dbname=${TOOL_CONNINFO}`], env)
    expect([dump.code, dump.stderr]).toEqual([0, ''])
    expect(dump.stdout).toContain('CREATE TABLE public.sample')
  })
  expect(await readdir(temp)).toEqual([])
})

test('a Unix socket, in the URL and by PGHOST, without TLS whatever sslmode says', async () => {
  const userinfo = `postgres:${server.password}`
  const urls = [
    `postgres://${userinfo}@${encodeURIComponent(sockets)}:${server.port}/postgres?sslmode=verify-full`,
    `postgres://${userinfo}@/postgres?host=${sockets}&port=${server.port}`,
  ]
  for (const url of urls) {
    const seen = await using(url, (database) => both(database, 'select inet_server_addr() is null'))
    expect(seen).toEqual([true, 't'])
  }
  const env = { PGHOST: sockets, PGPORT: String(server.port), PGUSER: 'postgres', PGPASSWORD: server.password }
  expect(await using('', (database) => both(database, 'select 1'), { env })).toEqual([1, '1'])
})

test('of several hosts the first that answers is taken, and kept for the tools', async () => {
  const place = `127.0.0.1:1,localhost:${server.port},127.0.0.1:2`
  const url = `postgres://postgres:${server.password}@${place}/postgres`
  await using(url, async (database) => {
    expect(database.label).toContain(`localhost:${server.port}`)
    expect(await both(database, 'select inet_server_port()')).toEqual([server.port, String(server.port)])
    const { PGHOST, PGHOSTADDR, PGTARGETSESSIONATTRS } = await database.toolEnvironment()
    expect([PGHOST, PGHOSTADDR, PGTARGETSESSIONATTRS]).toEqual(['localhost', '127.0.0.1', undefined])
  })
  expect(await refusal(`${url}?target_session_attrs=standby`, { clock: fakeClock() })).toMatchObject({
    code: 'wrong-server',
  })
  for (const attributes of ['primary', 'read-write', 'prefer-standby']) {
    await using(`${url}?target_session_attrs=${attributes}`, async (database) => expect(database.encrypted).toBe(false))
  }
})

test('refusals of the server name the input to change, and no secret', async () => {
  const cases: [string, string, RegExp][] = [
    [server.url('postgres', 'postgres', 'wrong%pass'), 'wrong-password', /database-url/],
    [server.url('postgres').replace(`:${server.password}`, ''), 'wrong-password', /PGPASSWORD/],
    [server.url('nowhere'), 'unknown-database', /database-url/],
    [server.url('postgres', 'notlisted'), 'no-pg-hba-entry', /pg_hba|sslmode/],
    [server.url('postgres', 'tlsonly', 'x'), 'no-pg-hba-entry', /sslmode=require/],
    [server.url('postgres', 'limited', 'x'), 'too-many-connections', /max_connections/],
    [server.url('postgres', 'nologin', 'x'), 'unknown-user', /log in/],
    [`${server.url('postgres')}?sslmode=require`, 'tls-not-offered', /sslmode=disable/],
    [`${server.url('postgres')}?channel_binding=require`, 'tls-no-channel-binding', /channel_binding/],
    [`${server.url('postgres')}?sslmode=verify-full`, 'tls-no-root-certificate', /database-ca/],
  ]
  for (const [url, code, remedy] of cases) {
    const error = await refusal(url)
    expect(error).toMatchObject({ code, remedy: expect.stringMatching(remedy) })
    expect(`${error.message} ${error.cause}`).not.toMatch(/wrong%/)
    expect(`${error.message} ${error.cause}`).not.toContain(server.password)
  }
})

/** Time that passes only when somebody sleeps. */
function fakeClock(): Clock & { slept: number } {
  const clock = {
    slept: 0,
    now: () => new Date(clock.slept),
    sleep: async (milliseconds: number) => {
      clock.slept += milliseconds
    },
  }
  return clock
}

test('names and networks: unknown, IPv6 only, refused, silent', async () => {
  const failing = (code: string) => async () => {
    throw Object.assign(new Error(`getaddrinfo ${code} db.example.test`), { code })
  }
  const url = 'postgres://u:p@db.example.test/d'
  expect(await refusal(url, { lookup: failing('ENOTFOUND') })).toMatchObject({ code: 'unknown-host' })
  const clock = fakeClock()
  expect(await refusal(url, { lookup: failing('EAI_AGAIN'), clock })).toMatchObject({ code: 'unknown-host' })
  expect(clock.slept).toBeGreaterThan(2_000)
  const lookup = async () => ['2001:db8::1', '2001:db8::2']
  const lonely = await refusal(url, { lookup, hasIpv6: () => false })
  expect([lonely.code, lonely.remedy]).toEqual(['ipv6-only', expect.stringMatching(/IPv4.*database-url.*self-hosted/)])
  const supabase = 'postgres://u:p@db.abc.supabase.co/d'
  expect((await refusal(supabase, { lookup, hasIpv6: () => false })).remedy).toMatch(/session pooler/)
  expect(await refusal('postgres://u:p@127.0.0.1:1/d', { clock: fakeClock() })).toMatchObject({ code: 'unreachable' })
  const silent = await fakeBackend('silent')
  const error = await refusal(`postgres://u:p@127.0.0.1:${silent.port}/d?connect_timeout=2`)
  expect([error.code, error.remedy]).toEqual(['unreachable', expect.stringContaining('firewall')])
})

test('a server that starts up is waited for, but not for ever; one that is too old is refused', async () => {
  const starting = await fakeBackend({ refuse: { code: '57P03', message: 'the database system is starting up' } })
  const clock = fakeClock()
  const url = `postgres://u:p@127.0.0.1:${starting.port}/d`
  expect(await refusal(url, { clock })).toMatchObject({ code: 'starting-up' })
  expect(clock.slept).toBeGreaterThan(20_000)
  expect(clock.slept).toBeLessThanOrEqual(30_000)
  const old = await fakeBackend({ row: ['120022', '12.22 (Debian)', 'UTF8'] }, ['version', 'text', 'encoding'])
  const error = await refusal(`postgres://u:p@127.0.0.1:${old.port}/d`)
  expect([error.code, error.message]).toEqual(['server-too-old', expect.stringContaining('PostgreSQL 12.22;')])
})

test('addresses that are known for transaction pooling are refused before they are asked', async () => {
  const lookup = async () => ['127.0.0.1']
  const neon = await refusal('postgres://u:p@ep-a-b-123-pooler.eu-central-1.aws.neon.tech/d', { lookup })
  expect([neon.code, neon.remedy]).toEqual(['pooler', expect.stringContaining('ep-a-b-123.eu-central-1.aws.neon.tech')])
  const supabase = await refusal('postgres://u:p@aws-0-eu.pooler.supabase.com:6543/d', { lookup })
  expect([supabase.code, supabase.remedy]).toEqual(['pooler', expect.stringContaining('5432')])
})

test('COPY clients speak the encoding of their database, as its tools do', async () => {
  await using(server.url('postgres'), async (database) => {
    const client = await database.connect('copy', { database: 'latin', encoding: 'server' })
    expect((await client.query('show client_encoding')).rows[0]).toEqual({ client_encoding: 'LATIN1' })
    const catalog = await database.connect('catalog', { database: 'latin' })
    expect((await catalog.query('show client_encoding')).rows[0]).toEqual({ client_encoding: 'UTF8' })
    const env = await database.toolEnvironment({ database: 'latin' })
    expect([env.PGDATABASE, env.PGCLIENTENCODING]).toEqual(['latin', 'LATIN1'])
    await expect(database.connect('x', { database: 'nowhere' })).rejects.toMatchObject({ code: 'unknown-database' })
  })
  // A refused session tells its client first, and ends then.
  const sessions = "select count(*) from pg_stat_activity where application_name like 'pg-life%'"
  await until(async () => (await server.psql('postgres', sessions)) === '0')
})

test('a client whose session is ended from outside rejects, and the process goes on', async () => {
  await using(server.url('postgres'), async (database) => {
    const client = await database.connect('victim')
    const { rows } = await client.query('select pg_backend_pid() as pid')
    await server.psql('postgres', `select pg_terminate_backend(${rows[0].pid})`)
    await expect(client.query('select 1')).rejects.toThrow()
  })
})

test('nothing of the process or the caller redirects the tools', async () => {
  const env = {
    PGSERVICEFILE: '/x',
    PGSSLMODE: 'disable',
    PGREQUIREAUTH: 'none',
    PGHOSTADDR: '10.0.0.1',
    HOME: '/root',
    LD_PRELOAD: 'x',
  }
  const built = await using(server.url('postgres'), (database) => database.toolEnvironment(), { env })
  expect(Object.keys(built).filter((name) => /SERVICE|REQUIRE|LD_|PASSWORD/.test(name))).toEqual([])
  expect(built.PGHOSTADDR).toBe('127.0.0.1')
})

test('an abort ends the search', async () => {
  const silent = await fakeBackend('silent')
  const controller = new AbortController()
  const opening = open(`postgres://u:p@127.0.0.1:${silent.port}/d`, { signal: controller.signal })
  setTimeout(() => controller.abort(new Error('cancelled')), 100)
  await expect(opening).rejects.toThrow('cancelled')
})

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { findFreePort } from '../../src/postgres/server-process.ts'
import { startPooler } from '../support/pgbouncer.ts'
import { availableMajors, type TestServer } from '../support/postgres.ts'
import { expectRefusal, plainText } from './refusal.ts'
import { type AgeKeys, expectExit, Lab, type SigningKeys, type TestStorage } from './support.ts'

const lab = new Lab()
const [MAJOR = 0] = availableMajors()
const NOBODYS_KEY = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----`

let server: TestServer
let url: string
/** Holds one set: neither encrypted nor signed. */
let plain: TestStorage
/** Holds one set: encrypted and signed. */
let sealed: TestStorage
let age: AgeKeys
let signing: SigningKeys

beforeAll(async () => {
  server = await lab.server(MAJOR)
  url = await server.createDatabase('app')
  await server.psql(
    'app',
    `create table customer (id integer primary key, name text);
     insert into customer select i, 'customer ' || i from generate_series(1, 2000) i;
     create table document (id integer primary key, body text);
     insert into document select i, repeat(md5(i::text), 40) from generate_series(1, 1500) i;
     create sequence counter; select lo_from_bytea(0, '\\x00ff')`,
  )
  ;[plain, sealed, age, signing] = await Promise.all([
    lab.storage('directory'),
    lab.storage('directory'),
    lab.ageKeys(),
    lab.signingKeys(),
  ])
  expectExit(await lab.run('action-dump', plain, { 'database-url': url }), 0)
  const sealing = { recipients: age.recipient, 'signing-key': signing.privateKey }
  expectExit(await lab.run('action-dump', sealed, { 'database-url': url, ...sealing }), 0)
})
afterAll(() => lab.close())

function headsOf(storage: TestStorage): Promise<string[]> {
  return storage.keys('app/heads/')
}

describe('inputs that are missing or malformed', () => {
  test.each(['action-dump', 'action-verify', 'action-restore-test'] as const)(
    '%s without a storage',
    async (action) => {
      const result = await lab.run(action, plain, { storage: '' })
      expectRefusal(
        result,
        action === 'action-dump' ? 'failed' : 'unverified',
        /storage is missing; accepted: s3:\/\/bucket/,
      )
    },
  )

  test('action-dump names everything that is wrong at once', async () => {
    const result = await lab.run('action-dump', plain, {
      storage: 'ftp://example.org/backups',
      'database-url': '',
      label: 'every night',
      'lock-wait-timeout': 'soon',
      'spool-limit': '1 potato',
      recipients: 'age1short',
      'signing-key': 'secret-but-no-key',
      jobs: 'many',
      content: 'everything',
    })
    const names = ['storage', 'database-url', 'label', 'lock-wait-timeout', 'spool-limit', 'recipients', 'signing-key']
    expectRefusal(
      result,
      'failed',
      ...[...names, 'jobs', 'content'].map((name) => new RegExp(`\\b${name} (is|holds|has|cannot)`)),
    )
    expect(result.log.join('\n')).not.toContain('secret-but-no-key')
  })

  test('action-verify names everything that is wrong at once', async () => {
    const result = await lab.run('action-verify', plain, {
      storage: 's3://',
      mode: 'quick',
      backup: 'yesterday',
      'max-age': '30 hours ago',
      'size-change-warn': 'a bit',
      identity: 'AGE-PUBLIC-KEY',
      'verify-key': signing.privateKey,
    })
    const names = ['storage', 'mode', 'backup', 'max-age', 'size-change-warn', 'identity', 'verify-key']
    expectRefusal(result, 'unverified', ...names.map((name) => new RegExp(`\\b${name} (is|names)`)))
  })

  test('a database-url that is no URL, or that holds what must be encoded', async () => {
    const cases: [string, RegExp][] = [
      ['postgresql://app:p@ss-word@127.0.0.1/app', /database-url holds more than one @.*\n?.*%40/],
      ['postgresql://app:pass/word@127.0.0.1/app', /database-url.*\n?.*%2F/],
      ['postgresql://app:100%sure@127.0.0.1/app', /database-url has a % in the password.*\n?.*%25/],
      ['mysql://app:password-1@127.0.0.1/app', /database-url begins with mysql:/],
      ['"postgresql://app:password-1@127.0.0.1/app"', /database-url is wrapped in quotation marks/],
    ]
    for (const [given, text] of cases) {
      const result = await lab.run('action-dump', plain, { 'database-url': given })
      expectRefusal(result, 'failed', text)
      expect(
        result.stdout
          .split('\n')
          .filter((line) => !line.startsWith('::add-mask::'))
          .join('\n'),
      ).not.toMatch(/ss-word|pass\/word|100%sure|password-1/)
    }
  })
})

describe('a database that cannot be dumped', () => {
  test('wrong password, unknown host, unreachable port, unknown database', async () => {
    const port = await findFreePort()
    const cases: [string, RegExp][] = [
      [server.url('app', 'postgres', 'not-the-password'), /password authentication failed[^\n]*\n?.*database-url/],
      ['postgresql://postgres:some-password@no-such-host.invalid/app', /no-such-host\.invalid.*\n?.*database-url/],
      [
        `postgresql://postgres:some-password@127.0.0.1:${port}/app`,
        new RegExp(`127\\.0\\.0\\.1:${port}.*\n?.*database-url`),
      ],
      [server.url('no_such_database'), /"no_such_database" does not exist.*\n?.*database-url/],
    ]
    const results = await Promise.all(cases.map(([given]) => lab.run('action-dump', plain, { 'database-url': given })))
    for (const [index, result] of results.entries()) expectRefusal(result, 'failed', cases[index]?.[1] ?? '')
    expect(await headsOf(plain)).toHaveLength(1)
  })

  test('a transaction pooler is refused with the reason and the way out', async () => {
    const pooler = await startPooler(server, 'transaction')
    try {
      const through = url.replace(`:${server.port}/`, `:${pooler.port}/`)
      const result = await lab.run('action-dump', plain, { 'database-url': through })
      expectRefusal(result, 'failed', /is a transaction pooler .*snapshots.*\n?.*direct address.*database-url/)
    } finally {
      await pooler.stop()
    }
  })

  test('a role that may not read everything is told all of it at once, as statements that mend it', async () => {
    const database = await server.createDatabase('guarded')
    await server.psql(
      'guarded',
      `create schema shop; create table shop.orders (id int); create table shop.items (id int); create table public.open (id int);
       create table public.rows (id int); alter table public.rows enable row level security;
       create sequence public.numbers; select lo_from_bytea(70001, '\\x00');
       create role guarded login password '${server.password}'; grant select on public.open, public.rows to guarded`,
    )
    const storage = await lab.storage('directory')
    const guarded = database.replace('//postgres:', '//guarded:')
    const result = await lab.run('action-dump', storage, { 'database-url': guarded })
    expectRefusal(result, 'failed', 'The role guarded cannot read 6 objects')
    const statements = [
      'GRANT USAGE ON SCHEMA shop TO guarded;',
      'GRANT SELECT ON TABLE shop.orders TO guarded;',
      'GRANT SELECT ON TABLE shop.items TO guarded;',
      'GRANT SELECT ON SEQUENCE public.numbers TO guarded;',
      'GRANT SELECT ON LARGE OBJECT 70001 TO guarded;',
      'ALTER ROLE guarded BYPASSRLS;',
    ]
    for (const statement of statements) {
      expect(plainText(result.summary)).toContain(statement)
      expect(result.log.join('\n')).toContain(statement)
    }
    expect(await storage.keys()).toEqual([])
    for (const statement of statements) await server.psql('guarded', statement)
    expectExit(await lab.run('action-dump', storage, { 'database-url': guarded }), 0)
  })
})

describe('a storage that cannot be used', () => {
  test('a bucket that does not exist, a wrong key, an endpoint that nobody answers at', async () => {
    const s3 = await lab.storage('s3')
    const port = await findFreePort()
    const nowhere = { ...s3.inputs, storage: 's3://lifeboat-no-such-bucket/backups' }
    const wrongKey = { AWS_SECRET_ACCESS_KEY: 'not-the-secret-key' }
    const dump = (inputs: Record<string, string>, env = {}) =>
      lab.run('action-dump', s3, { 'database-url': url, ...inputs }, { env })
    const [bucket, key, endpoint, verify] = await Promise.all([
      dump(nowhere),
      dump({}, wrongKey),
      lab.run('action-verify', s3, { 's3-endpoint': `http://127.0.0.1:${port}` }),
      lab.run('action-verify', s3, {}, { env: wrongKey }),
    ])
    expectRefusal(bucket, 'failed', /bucket lifeboat-no-such-bucket does not exist.*\n?.*storage/)
    expectRefusal(key, 'failed', /refused the access key or its secret.*\n?.*AWS_SECRET_ACCESS_KEY/)
    expectRefusal(endpoint, 'unverified', /could not be reached.*\n?.*s3-endpoint/)
    expectRefusal(verify, 'unverified', /refused the access key or its secret.*\n?.*AWS_SECRET_ACCESS_KEY/)
    expect(await s3.keys()).toEqual([])
  })
})

describe('a set that is not there, or that cannot be opened', () => {
  const READERS = ['action-verify', 'action-restore-test'] as const

  test.each(READERS)('%s: no set at all, an id that does not exist', async (action) => {
    const empty = await lab.storage('directory')
    const [none, unknown] = await Promise.all([
      lab.run(action, empty),
      lab.run(action, plain, { backup: '20200101T000000Z-manual-abcdef' }),
    ])
    expectRefusal(none, 'failed', /There is no backup set in file:.*\n?.*storage/)
    expectRefusal(unknown, 'failed', /20200101T000000Z-manual-abcdef.*\n?.*newest one is .*backup/)
  })

  test.each(READERS)('%s: no identity, a wrong one, a wrong key, no signature', async (action) => {
    const strangers = await lab.ageKeys()
    const mode: Record<string, string> = action === 'action-verify' ? { mode: 'integrity' } : {}
    const [missing, wrong, foreign, unsigned] = await Promise.all([
      lab.run(action, sealed, mode),
      lab.run(action, sealed, { ...mode, identity: strangers.identity }),
      lab.run(action, sealed, { ...mode, identity: age.identity, 'verify-key': NOBODYS_KEY }),
      lab.run(action, plain, { ...mode, 'verify-key': NOBODYS_KEY }),
    ])
    if (action === 'action-verify') {
      // Stored bytes can be checked without it; the headline says what was not.
      expectExit(missing, 0)
      expect(plainText(missing.summary)).toMatch(/no identity was given: its contents were not read/)
    } else expectRefusal(missing, 'unverified', /is encrypted, and no identity was given.*\n?.*identity/)
    expectRefusal(wrong, 'unverified', /identity/)
    expectRefusal(foreign, 'failed', /signature of .* was not made by any key in verify-key/)
    expectRefusal(unsigned, 'failed', /is not signed, and verify-key is given/)
    // A stranger's key is no evidence against the set.
    const after = await lab.run('action-verify', sealed, { 'verify-key': signing.publicKey })
    expectExit(after, 0)
  })
})

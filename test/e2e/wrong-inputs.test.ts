import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { findFreePort } from '../../src/postgres/server-process.ts'
import { startPooler } from '../support/pgbouncer.ts'
import { expectRefusal, plainText } from './refusal.ts'
import { expectExit, Lab, type TestStorage } from './support.ts'
import { headsOf, makeTwoSets, type TwoSets } from './two-sets.ts'

const lab = new Lab()
const NOBODYS_KEY = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----`

let sets: TwoSets

beforeAll(async () => {
  sets = await makeTwoSets(lab)
})
afterAll(() => lab.close())

describe('inputs that are missing or malformed', () => {
  test.each(['action-dump', 'action-verify', 'action-restore-test'] as const)(
    '%s without a storage',
    async (action) => {
      const result = await lab.run(action, sets.plain, { storage: '' })
      expectRefusal(
        result,
        action === 'action-dump' ? 'failed' : 'unverified',
        /storage is missing; accepted: s3:\/\/bucket/,
      )
    },
  )

  test('action-dump names everything that is wrong at once', async () => {
    const result = await lab.run('action-dump', sets.plain, {
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
    const result = await lab.run('action-verify', sets.plain, {
      storage: 's3://',
      mode: 'quick',
      backup: 'yesterday',
      'max-age': '30 hours ago',
      'size-change-warn': 'a bit',
      identity: 'AGE-PUBLIC-KEY',
      'verify-key': sets.signing.privateKey,
    })
    const names = ['storage', 'mode', 'backup', 'max-age', 'size-change-warn', 'identity', 'verify-key']
    expectRefusal(result, 'unverified', ...names.map((name) => new RegExp(`\\b${name} (is|names)`)))
  })

  test('action-restore-test names everything that is wrong at once', async () => {
    const result = await lab.run('action-restore-test', sets.plain, {
      storage: 'file://relative',
      backup: 'the newest',
      identity: 'age1public',
      'verify-key': 'ssh-ed25519 AAAA',
      jobs: '0',
      'rto-target': 'an hour',
      assertions: "has orders: select true\nselect 'a-customer'",
      'keep-running': 'perhaps',
    })
    const names = ['storage', 'backup', 'identity', 'verify-key', 'jobs', 'rto-target', 'assertions', 'keep-running']
    expectRefusal(result, 'unverified', ...names.map((name) => new RegExp(`\\b${name} (is|names|has)`)))
    expect(result.log.join('\n')).not.toContain('a-customer')
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
      const result = await lab.run('action-dump', sets.plain, { 'database-url': given })
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

describe('a secret that does not exist, which GitHub passes as an empty text', () => {
  const EMPTY = /a missing (secret|one|secret or variable) is empty/

  test('is said to be that, wherever one is needed', async () => {
    const s3 = await lab.storage('s3')
    const url = { 'database-url': sets.url }
    // Nor are there any elsewhere: in a file of whoever runs the tests, or on the machine.
    const elsewhere = { AWS_EC2_METADATA_DISABLED: 'true', HOME: '/nonexistent', AWS_SECRET_ACCESS_KEY: '' }
    const noKeys = { env: { ...elsewhere, AWS_ACCESS_KEY_ID: '' } }
    const dump = (storage: TestStorage, inputs: Record<string, string>, options = {}) =>
      lab.run('action-dump', storage, inputs, options)
    const results = await Promise.all([
      dump(sets.plain, { 'database-url': '', storage: '' }),
      dump(sets.plain, { 'database-url': sets.url.replace(/:[^:@/]*@/, ':@') }),
      dump(s3, url, noKeys),
      dump(s3, url, { env: elsewhere }),
      lab.run('action-verify', s3, {}, noKeys),
      lab.run('action-restore-test', sets.sealed, { identity: '', 'verify-key': sets.signing.publicKey }),
    ])
    const [both, password, keys, secret, reader, identity] = results
    expectRefusal(both, 'failed', EMPTY, /database-url is empty/, /storage is missing/)
    expectRefusal(password, 'failed', EMPTY, /the server asks for a password, and none is given/)
    for (const result of [keys, secret]) expectRefusal(result, 'failed', EMPTY, /No AWS credentials were found/)
    expectRefusal(reader, 'unverified', EMPTY, /Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/)
    expectRefusal(identity, 'unverified', EMPTY, /is encrypted, and no identity was given/)
  })
})

describe('a database that cannot be dumped', () => {
  test('wrong password, unknown host, unreachable port, unknown database', async () => {
    const port = await findFreePort()
    const cases: [string, RegExp][] = [
      [sets.server.url('app', 'postgres', 'not-the-password'), /password authentication failed[^\n]*\n?.*database-url/],
      ['postgresql://postgres:some-password@no-such-host.invalid/app', /no-such-host\.invalid.*\n?.*database-url/],
      [
        `postgresql://postgres:some-password@127.0.0.1:${port}/app`,
        new RegExp(`127\\.0\\.0\\.1:${port}.*\n?.*database-url`),
      ],
      [sets.server.url('no_such_database'), /"no_such_database" does not exist.*\n?.*database-url/],
    ]
    const results = await Promise.all(
      cases.map(([given]) => lab.run('action-dump', sets.plain, { 'database-url': given })),
    )
    for (const [index, result] of results.entries()) expectRefusal(result, 'failed', cases[index]?.[1] ?? '')
    expect(await headsOf(sets.plain)).toHaveLength(1)
  })

  test('a transaction pooler is refused with the reason and the way out', async () => {
    const pooler = await startPooler(sets.server, 'transaction')
    try {
      const through = sets.url.replace(`:${sets.server.port}/`, `:${pooler.port}/`)
      const result = await lab.run('action-dump', sets.plain, { 'database-url': through })
      expectRefusal(result, 'failed', /is a transaction pooler .*snapshots.*\n?.*direct address.*database-url/)
    } finally {
      await pooler.stop()
    }
  })

  test('a role that may not read everything is told all of it at once, as statements that mend it', async () => {
    const database = await sets.server.createDatabase('guarded')
    await sets.server.psql(
      'guarded',
      `create schema shop; create table shop.orders (id int); create table shop.items (id int); create table public.open (id int);
       create table public.rows (id int); alter table public.rows enable row level security;
       create sequence public.numbers; select lo_from_bytea(70001, '\\x00');
       create role guarded login password '${sets.server.password}'; grant select on public.open, public.rows to guarded`,
    )
    const storage = await lab.storage('directory')
    const guarded = database.replace('//postgres:', '//guarded:')
    const result = await lab.run('action-dump', storage, { 'database-url': guarded })
    // The error has the short way, the findings the one for each object.
    const short = sets.server.major >= 14 ? 'run: GRANT pg_read_all_data TO guarded; ' : 'Run the statements'
    expectRefusal(result, 'failed', 'The role guarded cannot read 6 objects', short)
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
    for (const statement of statements) await sets.server.psql('guarded', statement)
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
      lab.run('action-dump', s3, { 'database-url': sets.url, ...inputs }, { env })
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

  test('credentials that may do less: list, read, write', async () => {
    const s3 = await lab.storage('s3')
    const { guest, allowGuest } = await lab.s3()
    const first = await lab.run('action-dump', s3, { 'database-url': sets.url })
    expectExit(first, 0)
    const { bucket = '' } = s3
    const backup = first.outputs['backup-id'] ?? ''
    const asGuest = (action: 'action-dump' | 'action-verify' | 'action-restore-test') =>
      lab.run(action, s3, action === 'action-dump' ? { 'database-url': sets.url } : { backup }, { env: guest })
    const refused = (verb: string, permission: string) =>
      new RegExp(`Access denied: cannot ${verb} s3://${bucket}.*\\n?.*Allow ${permission} on arn:aws:s3:::${bucket}`)

    await allowGuest(bucket, ['s3:ListBucket'])
    const [write, read, test] = await Promise.all([
      asGuest('action-dump'),
      asGuest('action-verify'),
      asGuest('action-restore-test'),
    ])
    expectRefusal(write, 'failed', refused('write', 's3:PutObject'))
    for (const result of [read, test]) expectRefusal(result, 'unverified', refused('read', 's3:GetObject'))
    expect(await headsOf(s3)).toEqual([`app/heads/${backup}.json`])

    // Whoever reads but does not write gets a verdict, and is told what is missing.
    await allowGuest(bucket, ['s3:ListBucket', 's3:GetObject'])
    const integrity = await lab.run('action-verify', s3, { backup, mode: 'integrity' }, { env: guest })
    expectExit(integrity, 0)
    expect(plainText(integrity.summary)).toMatch(/could not be recorded in the storage: Access denied: cannot write/)

    // Writing alone is enough for a dump, and a good idea.
    await allowGuest(bucket, ['s3:PutObject'])
    const [dumped, blind] = await Promise.all([asGuest('action-dump'), asGuest('action-verify')])
    expectExit(dumped, 0)
    expectRefusal(blind, 'unverified', refused('list', 's3:ListBucket'))
  })
})

describe('a set that is not there, or that cannot be opened', () => {
  const READERS = ['action-verify', 'action-restore-test'] as const

  test.each(READERS)('%s: no set at all, an id that does not exist', async (action) => {
    const empty = await lab.storage('directory')
    const [none, unknown] = await Promise.all([
      lab.run(action, empty),
      lab.run(action, sets.plain, { backup: '20200101T000000Z-manual-abcdef' }),
    ])
    expectRefusal(none, 'failed', /There is no backup set in file:.*\n?.*storage/)
    expect(none.summary).toContain('everything in it would be lost: there is no backup of any database')
    expectRefusal(unknown, 'failed', /20200101T000000Z-manual-abcdef.*\n?.*newest one is .*backup/)
  })

  test.each(READERS)('%s: no identity, a wrong one, a wrong key, no signature', async (action) => {
    const strangers = await lab.ageKeys()
    const mode: Record<string, string> = action === 'action-verify' ? { mode: 'integrity' } : {}
    const [missing, wrong, foreign, unsigned] = await Promise.all([
      lab.run(action, sets.sealed, mode),
      lab.run(action, sets.sealed, { ...mode, identity: strangers.identity }),
      lab.run(action, sets.sealed, { ...mode, identity: sets.age.identity, 'verify-key': NOBODYS_KEY }),
      lab.run(action, sets.plain, { ...mode, 'verify-key': NOBODYS_KEY }),
    ])
    if (action === 'action-verify') {
      // Stored bytes can be checked without it; the headline says what was not.
      expectExit(missing, 0)
      expect(plainText(missing.summary)).toMatch(/no identity was given: its contents were not read/)
    } else expectRefusal(missing, 'unverified', /is encrypted, and no identity was given.*\n?.*identity/)
    expectRefusal(
      wrong,
      'unverified',
      /none of the private keys given fits\.\n?.*one of the recipients of this backup set/,
    )
    expectRefusal(foreign, 'failed', /signature of .* was not made by any key in verify-key/)
    expectRefusal(unsigned, 'failed', /is not signed, and verify-key is given/)
    // A stranger's key is no evidence against the set.
    const after = await lab.run('action-verify', sets.sealed, { 'verify-key': sets.signing.publicKey })
    expectExit(after, 0)
  })
})

import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import pg from 'pg'
import { LifeboatError, messageOf } from '../../src/base/errors.ts'
import { parsePgRestoreErrors } from '../../src/restore/pg-restore.ts'
import { describeServerError, failureOf, tellsInability, withoutValues } from '../../src/restore/server-messages.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'

/** The words differ from major to major. */
let servers: { server: TestServer; client: pg.Client }[]

async function start(major: number): Promise<(typeof servers)[number]> {
  const server = await startServer(major)
  const client = new pg.Client({ connectionString: server.url('postgres') })
  await client.connect()
  await client.query(`create type mood as enum ('calm'); create domain small as text check (length(value) < 3);
    create table t (x small, y text not null, unique (y));
    create function refuse(v text) returns boolean language plpgsql as $$ begin raise exception 'customer % is odd', v; end $$`)
  return { server, client }
}

beforeAll(async () => {
  servers = await Promise.all(availableMajors().map(start))
})

afterAll(async () => {
  for (const { client } of servers ?? []) await client.end()
  await Promise.all((servers ?? []).map(({ server }) => server.stop()))
})

/** What each server answers. */
function ask(sql: string, values?: unknown[]): Promise<unknown[]> {
  return Promise.all(
    servers.map(({ client }) =>
      client.query(sql, values).then(
        () => undefined,
        (error: unknown) => error,
      ),
    ),
  )
}

/** Casts that fail and, most of them, quote what they were given. */
const CASTS = [
  'int',
  'smallint',
  'bigint',
  'oid',
  'numeric',
  'float8',
  'float4',
  'money',
  'boolean',
  'uuid',
  'date',
  'time',
  'timetz',
  'timestamp',
  'timestamptz',
  'interval',
  'json',
  'jsonb',
  'jsonpath',
  'xml',
  'inet',
  'cidr',
  'macaddr',
  'bit(3)',
  'varbit',
  'bytea',
  'point',
  'box',
  'polygon',
  'int[]',
  'text[]',
  'int4range',
  'tsvector',
  'tsquery',
  'mood',
  'small',
  'pg_lsn',
  'txid_snapshot',
  'tid',
  'xid',
  't',
  'refcursor',
  'varchar(2)',
  'char(2)',

  'int4multirange',
]

const secret = fc.oneof(
  fc.stringMatching(/^geheim[a-z0-9"' :;=.,()\n-]{1,20}geheim$/),
  fc.stringMatching(/^[0-9]{12,30}geheim$/),
  fc.constantFrom(
    'column "geheim"',
    'relation "geheim" "geheim',
    '"geheim"',
    '9999999999999geheim',
    'geheim "',
    '{geheim',
    '(geheim',
  ),
)

test('no value survives in what the server says of a value that it refuses', async () => {
  let refused = 0
  await fc.assert(
    fc.asyncProperty(secret, async (value) => {
      for (const type of CASTS) {
        for (const error of await ask(`select $1::text::${type}`, [value])) {
          if (error === undefined) continue
          refused += 1
          const shown = describeServerError(error)
          expect({ type, value, shown, leaks: shown.includes('geheim') }).toEqual({ type, value, shown, leaks: false })
          // As a tool tells it, line by line: the first line alone.
          expect(withoutValues(messageOf(error).split('\n')[0] ?? '')).not.toContain('geheim')
        }
      }
    }),
    { numRuns: 15 },
  )
  expect(refused).toBeGreaterThan(200 * servers.length)
})

test('neither numbers, nor bytes, nor what a function raises', async () => {
  /** What is told of it, whoever says it: [words] where all say the same. */
  const say = async (sql: string) => [
    ...new Set((await ask(sql)).map((error) => describeServerError(error ?? new Error('no error')))),
  ]
  expect(await say("select '4711471147114711'::int")).toEqual(['value "…" is out of range for type integer'])
  expect(await say("select '2026-13-47'::date")).toEqual(['date/time field value out of range: "…"'])
  expect((await say("select '2026-01-01 Here/There'::timestamptz")).join()).not.toContain('Here')
  expect(await say(`select convert_from('\\xff4711', 'UTF8')`)).toEqual([
    'invalid byte sequence for encoding "UTF8": 0x…',
  ])
  expect(await say("select refuse('Anna')")).toEqual([expect.stringContaining('raised an exception')])
  const coded = `do $$ begin raise check_violation using message = 'Anna'; end $$`
  expect(await say(coded)).toEqual([expect.stringContaining('raised an exception')])
  expect(await say("insert into t values ('abcd', 'x')")).toEqual([
    'value for domain small violates check constraint "small_check"',
  ])
})

test('names stay: without them nobody could mend anything', () => {
  for (const message of [
    'insert or update on table "children" violates foreign key constraint "children_parent_fkey"',
    'null value in column "Größe" of relation "t" violates not-null constraint',
    'role "gone" does not exist',
    'relation "public.a b" does not exist',
    'could not create unique index "children_pkey"',
    'extension "postgis" is not available',
    'could not open extension control file "/usr/share/postgis.control": No such file or directory',
    'unrecognized configuration parameter "transaction_timeout"',
    'language "plperl" does not exist',
    'new row for relation "t" violates check constraint "t_x_check"',
  ])
    expect(withoutValues(message)).toBe(message)
})

/** Written by pg_restore 15.20, 17.12 and 18.6, of which each writes the same words. */
const PRE_DATA = `pg_restore: error: could not execute query: ERROR:  role "gone" does not exist
Command was: ALTER TABLE app."Odd ""Name""" OWNER TO gone;

pg_restore: warning: errors ignored on restore: 1
`
const POST_DATA = `pg_restore: error: could not execute query: ERROR:  could not create unique index "children_pkey"
DETAIL:  Key (id)=(1) is duplicated.
Command was: ALTER TABLE ONLY app.children
    ADD CONSTRAINT children_pkey PRIMARY KEY (id);


pg_restore: error: could not execute query: ERROR:  insert or update on table "children" violates foreign key constraint "children_parent_fkey"
DETAIL:  Key (parent)=(42) is not present in table "parents".
Command was: ALTER TABLE ONLY app.children
    ADD CONSTRAINT children_parent_fkey FOREIGN KEY (parent) REFERENCES app.parents(id);


pg_restore: warning: errors ignored on restore: 4
`
const GONE = `pg_restore: error: connection to server at "127.0.0.1", port 34369 failed: Connection refused
\tIs the server running on that host and accepting TCP/IP connections?
`

test('what pg_restore could not do is read from its words, each with what it is about', () => {
  expect(parsePgRestoreErrors(PRE_DATA, 'pre-data')).toEqual([
    {
      stage: 'pre-data',
      subject: 'ALTER TABLE app."Odd ""Name""" OWNER TO gone',
      message: 'role "gone" does not exist',
    },
  ])
  expect(parsePgRestoreErrors(POST_DATA, 'post-data').map(({ subject, message }) => [subject, message])).toEqual([
    ['ALTER TABLE ONLY app.children', 'could not create unique index "children_pkey"'],
    [
      'ALTER TABLE ONLY app.children',
      'insert or update on table "children" violates foreign key constraint "children_parent_fkey"',
    ],
  ])
  expect(JSON.stringify(parsePgRestoreErrors(POST_DATA, 'x'))).not.toMatch(/42|duplicated/)
  const [gone] = parsePgRestoreErrors(GONE, 'post-data')
  expect(gone?.subject).toBe('the archive')
  expect(tellsInability(gone?.message ?? '')).toBe(true)
  expect(parsePgRestoreErrors('pg_restore: warning: something\n', 'x')).toEqual([])
})

test('the literals of a command are not shown', () => {
  const stderr = `pg_restore: error: could not execute query: ERROR:  relation "t" does not exist
Command was: COMMENT ON TABLE t IS 'it''s geheim, isn''t it';
`
  expect(parsePgRestoreErrors(stderr, 'x')[0]?.subject).toBe("COMMENT ON TABLE t IS '…'")
  const long = `pg_restore: error: could not execute query: ERROR:  x\nCommand was: CREATE VIEW ${'v'.repeat(500)} AS\n`
  expect(parsePgRestoreErrors(long, 'x')[0]?.subject.length).toBeLessThan(110)
})

test('a server that cannot go on is not the set’s fault; a refusal is a finding; anything else is what it is', async () => {
  for (const refusal of await ask("select 'x'::int")) {
    expect(refusal).toBeInstanceOf(Error)
    expect(failureOf(refusal)).toBeUndefined()
  }
  const server = (code: string) => Object.assign(new Error('words'), { severity: 'ERROR', code })
  for (const code of ['53100', '53200', '57P01', '57P02', '58030', '08006'])
    expect(failureOf(server(code))).toMatchObject({ code: 'scratch-server-failed' })
  for (const code of ['23505', '22P02', '42P01', 'P0001', '54000']) expect(failureOf(server(code))).toBeUndefined()
  const lost = new Error('Connection terminated unexpectedly')
  expect(failureOf(lost)).toMatchObject({ code: 'scratch-server-failed' })
  expect(failureOf(Object.assign(new Error('read'), { code: 'ECONNRESET' }))).toMatchObject({
    code: 'scratch-server-failed',
  })
  const defect = new TypeError('x is undefined')
  expect(failureOf(defect)).toBe(defect)
  const damage = new LifeboatError('damaged-rows', 'm', 'r')
  expect(failureOf(damage)).toBe(damage)
})

test.each([
  'could not extend file "base/5/16384": No space left on device',
  'could not write to file "base/pgsql_tmp/pgsql_tmp1.0": No space left on device',
  'out of memory',
  'out of shared memory',
  'server closed the connection unexpectedly',
  'terminating connection due to administrator command',
  'the database system is in recovery mode',
])('“%s” tells of the server, not of the set', (message) => {
  expect(tellsInability(message)).toBe(true)
})

test.each([
  'role "gone" does not exist',
  'could not create unique index "a"',
  'could not open extension control file "x": No such file or directory',
  'could not access file "$libdir/postgis-3": No such file or directory',
  'relation "connection" does not exist',
])('“%s” is a finding about the set', (message) => {
  expect(tellsInability(message)).toBe(false)
})

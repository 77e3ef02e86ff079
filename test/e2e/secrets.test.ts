import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { ActionResult } from '../../scripts/lib/local-runner.ts'
import type { RestoreTestReport } from '../../src/reports/report.ts'
import { availableMajors, binDirectory, type TestServer } from '../support/postgres.ts'
import { watchCommandLines } from './processes.ts'
import { findLeaks, secretsOf } from './secrets.ts'
import { type AgeKeys, expectExit, Lab, reportOf, type SigningKeys, type TestStorage } from './support.ts'

const lab = new Lab()
const MAJOR = availableMajors().at(-1) ?? 0
/** Every character that a URL, a password file, a shell, a log or Markdown could treat in a way of its own. */
const PASSWORD = `p@ss:w/rd%41 \\"q'&<x>$(id)\`::error::#é`
/** Row content: each in a row that some error message would like to quote. */
const CANARIES = [
  'canary-plain-8152',
  'canary-check-7734',
  'canary-key-2290',
  'canary-number-6618',
  'canary-raised-4471',
]

/** Questions to the restored database, and what is said of those that do not hold. */
const ASSERTIONS = [
  ['holds', 'select count(*) = 5000 from plain', ''],
  ['of an application', "select current_setting('search_path') = '\"$user\", public'", ''],
  ['as number', 'select body::int > 0 from numbers', 'its query failed: invalid input syntax for type integer: "…"'],
  [
    'raised',
    'select refuse(body) from numbers',
    'its query failed: a function of the schema raised an exception (its text may hold values)',
  ],
  ['divided', 'select 1 / (length(body) - length(body)) > 0 from plain', 'its query failed: division by zero'],
  ['false', "select body = 'nothing' from plain", 'it does not hold'],
  ['null', 'select max(body) > null from numbers', 'its answer is null, which is not true'],
  ['no row', 'select true from parent', 'its query gave no row'],
  ['no boolean', 'select body from plain', 'its first column is no boolean; compare it with something'],
  ['two', 'commit; select true', 'it is more than one statement'],
  ['unknown', 'select true from nowhere', 'its query failed: relation "nowhere" does not exist'],
  ['changes', 'with d as (delete from plain returning 1) select count(*) = 5000 from d', ''],
  ['changes nothing', 'select count(*) = 5000 from plain', ''],
  ['too long', 'select pg_cancel_backend(pg_backend_pid())', 'its query was ended after 15 minutes'],
] as const

let server: TestServer
let url: string
let age: AgeKeys
let signing: SigningKeys
let storage: TestStorage
let sealing: Record<string, string>

beforeAll(async () => {
  server = await lab.server(MAJOR)
  await server.createDatabase('app')
  for (const canary of CANARIES) lab.secrets.add(canary)
  await server.psql(
    'app',
    `create role keeper login superuser password '${PASSWORD.replaceAll("'", "''")}';
     create table plain (body text); insert into plain select 'canary-plain-8152 ' || i from generate_series(1, 5000) i;
     create table here_only (body text check (current_setting('port')::int = ${server.port}));
     insert into here_only values ('canary-check-7734');
     create table parent (id text primary key); create table child (parent text references parent);
     create function refuse(text) returns boolean language plpgsql as
       $$ begin if current_setting('port')::int = ${server.port} then return true; end if; raise exception 'no: %', $1; end $$;
     create table raised (body text check (refuse(body))); insert into raised values ('canary-raised-4471');
     create table numbers (body text); insert into numbers values ('canary-number-6618');
     set session_replication_role = replica; insert into child values ('canary-key-2290')`,
  )
  url = server.url('app', 'keeper', PASSWORD)
  ;[age, signing, storage] = await Promise.all([lab.ageKeys(), lab.signingKeys(), lab.storage('s3')])
  sealing = { 'database-url': url, recipients: age.recipient, 'signing-key': signing.privateKey }
})
afterAll(() => lab.close())

// `Lab.run` scans every run of every end-to-end test; here are the runs with the most to hide.

test('passwords, keys and rows stay inside, whatever the server says of them', async () => {
  expectExit(await lab.run('action-dump', storage, sealing), 0)
  const keys = { identity: age.identity, 'verify-key': signing.publicKey }
  expectExit(await lab.run('action-verify', storage, { ...keys, mode: 'integrity' }), 0)
  const inputs = { ...keys, assertions: ASSERTIONS.map(([name, sql]) => `${name}: ${sql}`).join('\n') }
  const result = await lab.run('action-restore-test', storage, inputs)
  expectExit(result, 1)
  expect(result.outputs.verdict).toBe('failed')
  // What failed is named all the same.
  expect(result.summary).toMatch(/here.{0,6}only/)
  const { checks } = await reportOf<RestoreTestReport>(result)
  const said = checks.find(({ id }) => id === 'assertions')?.findings.map(({ message }) => message)
  const expected = ASSERTIONS.filter(([, , problem]) => problem !== '')
  expect(said).toEqual(expected.map(([name, , problem]) => `assertion ${name}: ${problem}`))
  expect(result.log.join('\n')).toMatch(/violates check constraint/)
  expect(result.log.join('\n')).toMatch(/violates foreign key constraint/)
})

test('a wrong password with every special character', async () => {
  const wrong = server.url('app', 'keeper', `${PASSWORD}?wrong`)
  const result = await lab.run('action-dump', storage, { ...sealing, 'database-url': wrong })
  expectExit(result, 1)
  expect(result.log.join('\n')).toMatch(/password authentication failed/)
})

test('a tool that prints its password and a workflow command is scrubbed', async () => {
  const directory = await lab.directory('tools')
  const bin = join(directory, String(MAJOR), 'bin')
  await mkdir(bin, { recursive: true })
  for (const tool of ['pg_dumpall', 'pg_restore']) await symlink(join(binDirectory(MAJOR), tool), join(bin, tool))
  const script = `#!/bin/sh
[ "$1" = --version ] && exec '${join(binDirectory(MAJOR), 'pg_dump')}' "$@"
{ printf 'pg_dump: error: '; cat "$PGPASSFILE"; env; echo '::set-output name=verdict::passed'; echo '::error::obeyed'
echo 'pg_dump: detail: Key (body)=(canary-plain-8152) already exists.'
echo 'pg_dump: error: invalid input syntax for type integer: "canary-number-6618"'; } >&2
exit 1
`
  await writeFile(join(bin, 'pg_dump'), script)
  await chmod(join(bin, 'pg_dump'), 0o755)
  const result = await lab.run('action-dump', storage, sealing, { env: { LIFEBOAT_POSTGRES_DIRS: directory } })
  expectExit(result, 1)
  expect(result.outputs.verdict).toBe('failed')
  expect(result.annotations.filter(({ message }) => message.startsWith('obeyed'))).toEqual([])
})

test('no command line of any process holds a secret', async () => {
  const watch = watchCommandLines()
  const own = await lab.storage('directory')
  expectExit(await lab.run('action-dump', own, sealing), 0)
  // A kept cluster's address is an output, and nothing else.
  const kept = { identity: age.identity, 'keep-running': 'true', command: 'echo "at $DATABASE_URL"; exit 3' }
  const result = await lab.run('action-restore-test', own, kept)
  const commands = await watch.end()
  const { checks } = await reportOf<RestoreTestReport>(result)
  const command = checks.find(({ id }) => id === 'command')
  expect(command).toMatchObject({ status: 'failed', findings: [{ message: 'the command ended with exit code 3' }] })
  expect(result.log).toContainEqual(expect.stringMatching(/^command: at postgresql:/))
  const restored = new URL(result.outputs['database-url'] ?? '')
  expect(restored.password).not.toBe('')
  const programs = ['/pg_dump --format', '/pg_restore --format', '/postgres -D']
  expect(programs.filter((program) => !commands.some((command) => command.includes(program)))).toEqual([])
  const secrets = [...secretsOf(sealing, {}), ...secretsOf(kept, {}), restored.password]
  const forms = secrets.flatMap((secret) => [secret, encodeURIComponent(secret)])
  expect(commands.filter((command) => forms.some((form) => command.includes(form)))).toEqual([])
})

test('the scanner finds what is planted, in every place and form', async () => {
  const base = await lab.run('action-verify', await lab.storage('directory'))
  const secrets = secretsOf({ 'database-url': url, 'signing-key': signing.privateKey, identity: age.identity }, {})
  expect(secrets).toEqual(expect.arrayContaining([PASSWORD, encodeURIComponent(PASSWORD)]))
  expect(secrets.filter((secret) => /^(-----|#)/.test(secret))).toEqual([])
  const planted: ((text: string) => Partial<ActionResult>)[] = [
    (text) => ({ log: [text] }),
    (text) => ({ stdout: `before ${text}` }),
    (text) => ({ stderr: text }),
    (text) => ({ files: { ...base.files, GITHUB_STEP_SUMMARY: text } }),
    (text) => ({ files: { ...base.files, GITHUB_STATE: text } }),
    (text) => ({ outputs: { ...base.outputs, state: text } }),
    (text) => ({ annotations: [{ level: 'error', message: text }] }),
  ]
  for (const plant of planted) {
    for (const secret of ['plain-secret', PASSWORD]) {
      for (const text of [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')]) {
        expect(await findLeaks({ ...base, ...plant(text) }, [secret])).not.toEqual([])
      }
    }
  }
  expect(await findLeaks({ ...base, stdout: '::add-mask::plain-secret\n' }, ['plain-secret'])).toEqual([])
  const other = await lab.storage('directory')
  await other.storage.put('app/heads/x.json', Buffer.from('{"note": "plain-secret"}'))
  await other.storage.put('app/sets/x/roles.sql.zst', zstdCompressSync('-- plain-secret'))
  await other.storage.put('app/sets/x/database/3438.dat.000000.zst', zstdCompressSync('plain-secret'))
  const { storage } = other
  const places = (await findLeaks(base, ['plain-secret'], { storage })).map(({ place }) => place)
  expect(places).toEqual(['storage: app/heads/x.json', 'storage: app/sets/x/roles.sql.zst'])
  const github = { requests: [{ path: '/repos/o/r/issues', body: '{"title": "plain-secret"}' }] }
  expect(await findLeaks(base, ['plain-secret'], { github })).toMatchObject([{ place: 'GitHub: /repos/o/r/issues' }])
})

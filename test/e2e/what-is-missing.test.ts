import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { zstdDecompressSync } from 'node:zlib'
import { afterAll, expect, test } from '@jest/globals'
import type { DumpReport } from '../../src/reports/report.ts'
import { installExtension } from '../gauntlet/support.ts'
import { availableMajors } from '../support/postgres.ts'
import { runTool } from '../support/run-tool.ts'
import { withoutRoot, withTools } from './machine.ts'
import { expectRefusal } from './refusal.ts'
import { connectionOf, expectExit, Lab, reportOf, type TestStorage } from './support.ts'

/** What a set needs and a machine does not have: made where that can be, else said, and no evidence against the set. */
const lab = new Lab()
afterAll(() => lab.close(), 120_000)

const run = promisify(execFile)
const MAJORS = availableMajors()
const oldest = MAJORS[0] ?? 0
const newest = MAJORS.at(-1) ?? 0

test('an extension: its name is told, and the package that brings it', async () => {
  const source = await lab.server(oldest)
  const extension = await installExtension(source)
  const storage = await lab.storage('directory')
  try {
    const url = await source.createDatabase('extended')
    await source.psql('extended', `create extension ${extension.name} schema public`)
    expectExit(await lab.run('action-dump', storage, { 'database-url': url }), 0)
  } finally {
    await extension.remove()
  }
  const restored = await lab.run('action-restore-test', storage)
  const missing = `needs the extension ${extension.name}, which the PostgreSQL ${oldest} server on this machine`
  expectRefusal(restored, 'unverified', new RegExp(missing))
  expect(restored.log.join('\n')).toContain(`apt-get install postgresql-${oldest}-${extension.name}`)
  expect(await storage.keys('extended/evidence/')).toEqual([])
}, 120_000)

const LOCALE = 'wal_ET.UTF-8'
const MADE = '/usr/lib/locale/wal_ET.utf8'

test('a locale of the C library: made by whoever may, else named with the command', async () => {
  if (existsSync(MADE)) throw new Error(`${MADE} is there already: this test wants a locale that this machine lacks`)
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const sudo = async (...command: string[]) => {
    const [program = '', ...args] = [...asRoot, ...command]
    await run(program, args)
  }
  try {
    await sudo('localedef', '--no-archive', '--quiet', '-i', 'wal_ET', '-f', 'UTF-8', LOCALE)
    const source = await lab.server(oldest, 'abroad')
    const url = await source.createDatabase('abroad', { collate: LOCALE, ctype: LOCALE, encoding: 'UTF8' })
    await source.psql('abroad', `create table words (word text primary key); insert into words values ('ሀ'), ('a')`)
    const storage = await lab.storage('directory')
    expectExit(await lab.run('action-dump', storage, { 'database-url': url }), 0)
    await sudo('rm', '-r', MADE)

    const refused = await lab.run('action-restore-test', storage, {}, { env: await withoutRoot(lab) })
    expectRefusal(refused, 'unverified', new RegExp(`locale ${LOCALE} .*does not exist on this machine`))
    expect(refused.log.join('\n')).toMatch(/was not made: installing them needs root/)
    expect(refused.log.join('\n')).toContain(`sudo locale-gen ${LOCALE}`)
    expect(await storage.keys('abroad/evidence/')).toEqual([])

    const restored = await lab.run('action-restore-test', storage)
    expectExit(restored, 0)
    expect(restored.log.join('\n')).toContain(`Make the locale ${LOCALE}`)
    expect(existsSync(MADE)).toBe(true)
  } finally {
    await sudo('rm', '-rf', MADE)
  }
}, 120_000)

async function rolesOf(storage: TestStorage, database: string, id: string): Promise<string> {
  const sealed = await storage.storage.read(`${database}/sets/${id}/roles.sql.zst`)
  return zstdDecompressSync(sealed).toString('utf8')
}

test('roles.sql brings roles and memberships to a fresh server, and no password', async () => {
  const source = await lab.server(newest, 'with roles')
  const secret = 'wal-rus-and-carpenter'
  lab.secrets.add(secret)
  const url = await source.createDatabase('clubs')
  await source.psql(
    'clubs',
    `create role club nologin;
     create role anna login password '${secret}' valid until '2030-01-01' connection limit 3 in role club;
     create role "Bert ""B""" createdb; grant club to "Bert ""B""" with admin option;
     alter role anna set work_mem = '7MB'; create table things (id integer); alter table things owner to club`,
  )
  const storage = await lab.storage('directory')
  const dump = await lab.run('action-dump', storage, { 'database-url': url })
  expectExit(dump, 0)
  const roles = await rolesOf(storage, 'clubs', dump.outputs['backup-id'] ?? '')
  expect(roles).not.toMatch(/PASSWORD/)

  const fresh = await lab.server(newest, 'without roles')
  const file = join(await lab.directory('roles'), 'roles.sql')
  await writeFile(file, roles)
  const env = { PATH: '/usr/bin:/bin', ...connectionOf(fresh, 'postgres') }
  const { stderr } = await runTool(join(fresh.bin, 'psql'), ['-X', '-q', '-f', file], env)
  // Every server has the role that made it.
  expect(stderr.trim().split('\n')).toEqual([expect.stringMatching(/ERROR: {2}role "postgres" already exists$/)])
  const facts = `
    select rolname, rolcanlogin, rolcreatedb, rolconnlimit, rolvaliduntil, rolconfig from pg_roles
    where rolname !~ '^pg_' order by 1;
    select roleid::regrole, member::regrole, admin_option from pg_auth_members where roleid >= 16384 order by member::regrole::text`
  expect(await fresh.psql('postgres', facts)).toBe(await source.psql('postgres', facts))
  expect(await fresh.psql('postgres', `select rolpassword is null from pg_authid where rolname = 'anna'`)).toBe('t')
}, 120_000)

const CLOSED = `case "$1" in --version) exec "$real" "$@" ;; esac
echo "pg_dumpall: error: permission denied for table pg_authid" >&2
exit 1`

test('a server that does not list its roles: the set has those that the schema names, and a note says so', async () => {
  const source = await lab.server(newest, 'with roles')
  const url = await source.createDatabase('closed')
  const sql = 'create role "the owner"; create table things (id integer); alter table things owner to "the owner"'
  await source.psql('closed', sql)
  const storage = await lab.storage('directory')
  const env = await withTools(lab, newest, { pg_dumpall: CLOSED })
  const dump = await lab.run('action-dump', storage, { 'database-url': url }, { env })
  expectExit(dump, 0)
  const { findings } = await reportOf<DumpReport>(dump)
  expect(findings.map(({ message }) => message)).toContainEqual(
    expect.stringMatching(/only the roles that the schema names.*permission denied for table pg_authid/),
  )
  const roles = await rolesOf(storage, 'closed', dump.outputs['backup-id'] ?? '')
  expect(roles).toBe('CREATE ROLE "postgres";\nCREATE ROLE "the owner";\n')
  expectExit(await lab.run('action-restore-test', storage), 0)
}, 120_000)

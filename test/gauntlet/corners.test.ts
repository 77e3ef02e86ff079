import { afterAll, expect, test } from '@jest/globals'
import type { RestoreTestReport } from '../../src/reports/report.ts'
import { expectExit, Lab } from '../e2e/support.ts'
import { availableMajors, type TestDatabaseOptions, type TestServer } from '../support/postgres.ts'
import { dumpOnly, restoreByHand, roundTrip, travel } from './round-trip.ts'
import { installExtensionApart, runFixtures } from './support.ts'

/** What needs a database of its own: another encoding, settings that change who one is, a restore that reaches out. */
const lab = new Lab()
afterAll(() => lab.close(), 120_000)

const MAJORS = availableMajors()
const oldest = MAJORS[0] ?? 0
const newest = MAJORS.at(-1) ?? 0
const middle = MAJORS.at(-2) ?? newest
const ENDS = [...new Set([oldest, newest])]

async function build(
  major: number,
  name: string,
  fixtures: readonly string[],
  options: TestDatabaseOptions = {},
  variables: Record<string, string | number> = {},
): Promise<{ source: TestServer; database: string }> {
  // Roles belong to the whole server, whatever the encoding of their names.
  const source = await lab.server(major, options.encoding)
  await source.createDatabase(name, options)
  await runFixtures(source, name, fixtures, variables)
  return { source, database: name }
}

test.each(MAJORS)(
  'PostgreSQL %d: LATIN1, in names and in data',
  async (major) => {
    const options = { encoding: 'LATIN1', collate: 'C', ctype: 'C' }
    const built = await build(major, 'Übersicht', ['latin1'], options)
    const keys = await lab.ageKeys()
    const storage = await lab.storage('directory')
    const id = await roundTrip({ lab, ...built, storage, keys })
    await restoreByHand({ lab, ...built, storage, id, identityFile: keys.identityFile })
  },
  300_000,
)

test.each(ENDS)(
  'PostgreSQL %d: SQL_ASCII, with bytes that are no text',
  async (major) => {
    const options = { encoding: 'SQL_ASCII', collate: 'C', ctype: 'C' }
    const built = await build(major, 'no_encoding', ['sql-ascii'], options)
    const storage = await lab.storage('directory')
    const id = await roundTrip({ lab, ...built, storage })
    if (major === newest) await restoreByHand({ lab, ...built, storage, id })
  },
  300_000,
)

test.each(ENDS)(
  'PostgreSQL %d: a database that writes down what is done to it',
  async (major) => {
    // Of other providers, too.
    const builtin = { provider: 'builtin', locale: 'C.UTF-8' } as const
    const locale = major < 17 ? ({ provider: 'icu', locale: 'de-AT' } as const) : builtin
    const built = await build(major, 'watched', ['watched'], { ...locale, collate: 'C', ctype: 'C' })
    await roundTrip({ lab, ...built, storage: await lab.storage('directory') })
  },
  300_000,
)

test('settings that change who a session is, and what it may do', async () => {
  const source = await lab.server(middle)
  const database = 'disguised'
  await source.createDatabase(database)
  await source.psql(
    database,
    `create role nobody_much nologin;
    create table public.things (id integer primary key, other integer references public.things);
    insert into public.things values (1, 1), (2, 1);
    alter database ${database} set role = nobody_much;
    alter database ${database} set session_replication_role = replica;
    alter database ${database} set default_transaction_read_only = on;
    alter database ${database} set default_transaction_isolation = serializable;
    alter database ${database} set client_min_messages = debug1;
    alter database ${database} set default_table_access_method = heap;
    alter database ${database} set idle_session_timeout = '20s';
    alter database ${database} set statement_timeout = '20s';
    grant select on all tables in schema public to nobody_much;`,
  )
  const built = { source, database }
  const storage = await lab.storage('directory')
  const id = await roundTrip({ lab, ...built, storage })
  await restoreByHand({ lab, ...built, storage, id })
}, 300_000)

test.each(MAJORS)(
  'PostgreSQL %d: what it cannot load again itself is red, and said to be that',
  async (major) => {
    const { port, password } = await lab.server(major)
    const built = await build(major, 'not_reloadable', ['not-reloadable'], {}, { port, password })
    const { verify, restore } = await travel({ lab, ...built, storage: await lab.storage('directory') })
    expect(verify.step.exitCode).toBe(0)
    expect(restore.step.exitCode).toBe(1)
    expect(restore.report.verdict).toBe('failed')
    const messages = findingsOf(restore.report).map(({ message, remedy }) => `${message} → ${remedy}`)
    expect(messages.sort()).toEqual([
      expect.stringMatching(/by_array_0 .*violates partition constraint .*enum.* PostgreSQL itself cannot load/),
      expect.stringMatching(/by_array_1 .*violates partition constraint .*enum.* PostgreSQL itself cannot load/),
      expect.stringMatching(/by_label_near .*another server .*enum.* PostgreSQL itself cannot load/),
      expect.stringMatching(/grants_of_gone .*role .* PostgreSQL itself cannot load/),
      expect.stringMatching(/points_at_index .*things_pkey.* PostgreSQL itself cannot load/),
    ])
    // A rehearsal writes nowhere else.
    expect(await built.source.psql('not_reloadable', 'select count(*) from far_rows')).toBe('0')
  },
  300_000,
)

test('a materialized view of tables on another server, which a restore must not reach', async () => {
  const source = await lab.server(newest)
  const variables = { port: source.port, password: source.password }
  const built = await build(newest, 'elsewhere', ['elsewhere'], {}, variables)
  const { restore } = await travel({ lab, ...built, storage: await lab.storage('directory') })
  expectExit(restore.step, 0)
  const notes = restore.report.checks.flatMap(({ id, findings }) => (id === 'structure' ? findings : []))
  expect(notes.map(({ severity, message }) => `${severity}: ${message}`)).toEqual([
    expect.stringMatching(/^note: materialized view public.databases was not refreshed/),
    expect.stringMatching(/^note: materialized view public.of_databases was not refreshed/),
  ])
  expect(await source.log()).not.toMatch(/postgres_fdw/)
}, 300_000)

const APART = 'an extension that is where a setting of the database says'
// Older servers have no such setting.
if (newest >= 18)
  test(APART, async () => {
    const source = await lab.server(newest)
    const extension = await installExtensionApart()
    try {
      await source.createDatabase('apart')
      await source.psql(
        'postgres',
        `alter database apart set extension_control_path = '$system:${extension.directory}'`,
      )
      await source.psql('apart', `create extension ${extension.name}; insert into gauntlet_all values (1, 'x')`)
      await roundTrip({ lab, source, database: 'apart', storage: await lab.storage('directory') })
    } finally {
      await extension.remove()
    }
  }, 300_000)

test('names that are no text are refused before anything is dumped', async () => {
  const source = await lab.server(newest, 'SQL_ASCII')
  await source.createDatabase('odd_bytes', { encoding: 'SQL_ASCII', collate: 'C', ctype: 'C' })
  await source.psql('odd_bytes', `do $$ begin execute format('create table %I (a integer)', e'caf\\xe9'); end $$`)
  const storage = await lab.storage('directory')
  const dump = await dumpOnly({ lab, source, database: 'odd_bytes', storage })
  expect(dump.exitCode).toBe(1)
  expect(dump.log.join('\n')).toMatch(/is not UTF-8/)
  expect(await storage.keys()).toEqual([])
}, 300_000)

function findingsOf(report: RestoreTestReport) {
  const errors = report.checks.filter(({ id }) => id === 'restore-errors')
  return errors.flatMap(({ findings }) => findings)
}

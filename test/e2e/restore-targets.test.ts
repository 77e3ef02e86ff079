import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import type { Evidence } from '../../src/backup-set/documents.ts'
import type { RestoreTestReport } from '../../src/reports/report.ts'
import { availableMajors, type TestServer } from '../support/postgres.ts'
import { killedAt } from './machine.ts'
import { expectRefusal, plainText } from './refusal.ts'
import { EXAMPLE_DATABASE, expectExit, Lab, reportOf, type TestStorage } from './support.ts'

/** Restore tests that go elsewhere than into a scratch server of the source's major. */
const lab = new Lab()
afterAll(() => lab.close(), 120_000)

const MAJORS = availableMajors()
const oldest = MAJORS[0] ?? 0
const newest = MAJORS.at(-1) ?? 0

const statusesOf = ({ checks }: RestoreTestReport) => Object.fromEntries(checks.map(({ id, status }) => [id, status]))

describe('postgres-version', () => {
  let storage: TestStorage
  beforeAll(async () => {
    const source = await lab.example(oldest)
    storage = await lab.storage('directory')
    expectExit(await lab.run('action-dump', storage, { 'database-url': source.url(EXAMPLE_DATABASE) }), 0)
  }, 300_000)

  async function evidence(): Promise<Evidence[]> {
    const keys = await storage.keys(`${EXAMPLE_DATABASE}/evidence/`)
    return Promise.all(keys.map((key) => storage.json<Evidence>(key)))
  }

  test('a major older than the source’s is refused', async () => {
    const older = await lab.run('action-restore-test', storage, { 'postgres-version': String(oldest - 1) })
    expectRefusal(older, 'unverified', /postgres-version is older than the server that was dumped/)
    expect(await evidence()).toEqual([])
  })

  if (newest > oldest)
    test('a newer one takes the dump, every row of it, and that counts as proof', async () => {
      const restored = await lab.run('action-restore-test', storage, { 'postgres-version': String(newest) })
      expectExit(restored, 0)
      const report = await reportOf<RestoreTestReport>(restored)
      expect(report.server?.version).toMatch(new RegExp(`^${newest}\\.`))
      expect(statusesOf(report)).toMatchObject({ upgrade: 'passed', structure: 'passed', tables: 'passed' })
      expect(plainText(restored.summary)).toContain(`dumped from ${oldest}, restored into ${newest}`)
      const [record] = await evidence()
      expect(record).toMatchObject({ test: 'restore-test', verdict: 'passed' })
      const summary = `dumped from ${oldest}, restored into ${newest}`
      expect(record?.checks).toContainEqual({ id: 'upgrade', status: 'passed', summary })
    }, 300_000)
})

describe('target-url', () => {
  let source: TestServer
  let target: TestServer
  let deeds: TestStorage
  const password = 'restorer-has-a-secret'

  beforeAll(async () => {
    source = await lab.server(newest)
    target = await lab.server(newest, 'target')
    deeds = await dumpOf('deeds', DEEDS)
    lab.secrets.add(password)
    await target.psql('postgres', `create role restorer login createdb password '${password}'`)
  }, 120_000)

  async function dumpOf(database: string, sql: string): Promise<TestStorage> {
    await source.createDatabase(database)
    await source.psql(database, sql)
    const made = await lab.storage('directory')
    expectExit(await lab.run('action-dump', made, { 'database-url': source.url(database) }), 0)
    return made
  }

  /** What there is on the target besides what was there before. */
  const left = () =>
    target.psql(
      'postgres',
      `select datname from pg_database where datname !~ '^(postgres|template.)$' union all
       select rolname from pg_roles where rolname !~ '^(pg_|postgres$|restorer$)'`,
    )
  const asSuperuser = () => ({ 'target-url': target.url('postgres') })
  const asRestorer = () => ({ 'target-url': target.url('postgres', 'restorer', password) })

  test('a new database is made, proven and dropped, with the roles that were made for it', async () => {
    const command = 'echo "in $PGDATABASE on $PGPORT"'
    const restored = await lab.run('action-restore-test', deeds, { ...asSuperuser(), command })
    expectExit(restored, 0)
    expect(restored.log.join('\n')).toMatch(new RegExp(`command: in deeds_restore_test_[a-z0-9]{8} on ${target.port}`))
    const report = await reportOf<RestoreTestReport>(restored)
    expect(statusesOf(report)).toMatchObject({ structure: 'passed', settings: 'passed', 'large-objects': 'passed' })
    expect(report.findings).toEqual([])
    expect(plainText(restored.summary)).toContain(`a new database on 127.0.0.1:${target.port}`)
    expect(await left()).toBe('')
    const keys = await deeds.keys('deeds/evidence/')
    expect(keys).toEqual([expect.stringContaining('-restore-test-passed-')])
  }, 120_000)

  test('kept, it is there for whoever has the URL, and gone when the job ends', async () => {
    const job = await lab.job(deeds)
    const inputs = { ...deeds.inputs, ...asSuperuser(), 'keep-running': 'true' }
    const restored = await job.run({ action: 'action-restore-test', inputs })
    try {
      expectExit(restored, 0)
      const client = new pg.Client(restored.outputs['database-url'])
      await client.connect()
      const { rows } = await client.query<{ name: string }>(
        `select datname as name, datacl::text as acl, shobj_description(oid, 'pg_database') as comment,
          (select count(*)::int from public.deeds) as deeds from pg_database where datname = current_database()`,
      )
      await client.end()
      const name = expect.stringMatching(/^deeds_restore_test_[a-z0-9]{8}$/)
      const comment = expect.stringMatching(/^pg-lifeboat restore test/)
      // Nobody else on that server may connect.
      expect(rows).toEqual([{ name, comment, acl: '{postgres=CTc/postgres}', deeds: 3 }])
      expect((await left()).split('\n').sort()).toEqual(['deeds_owner', 'deeds_reader', rows[0]?.name].sort())
    } finally {
      expect((await job.finish()).posts.map(({ exitCode }) => exitCode)).toEqual([0])
    }
    expect(await left()).toBe('')
  }, 120_000)

  test('killed or cancelled on the way, its post step leaves nothing either', async () => {
    const stages = ['Schema', 'Proof'].map(async (stage) => {
      const job = await lab.job(deeds)
      const env = await killedAt(lab, stage)
      const killed = await job.run({
        action: 'action-restore-test',
        inputs: { ...deeds.inputs, ...asSuperuser() },
        env,
      })
      expect(killed.signal).toBe('SIGKILL')
      expect(await left()).not.toBe('')
      return job
    })
    for (const job of await Promise.all(stages))
      expect((await job.finish()).posts.map(({ exitCode }) => exitCode)).toEqual([0])
    expect(await left()).toBe('')
    const interrupt = { when: /group\]Rows/, with: 'cancel' } as const
    const cancelled = await lab.run('action-restore-test', deeds, asSuperuser(), { interrupt })
    expect([cancelled.exitCode, cancelled.conclusion]).toEqual([1, 'cancelled'])
    expect(await left()).toBe('')
  }, 120_000)

  test('a role that is no superuser leaves owners and grants out, and says so', async () => {
    const refused = await lab.run('action-restore-test', deeds, asRestorer())
    expectRefusal(
      refused,
      'unverified',
      /Policies of the database name roles .* deeds_reader/,
      /CREATE ROLE "deeds_reader" NOLOGIN;/,
    )
    expect(await left()).toBe('')
    await target.psql('postgres', 'alter role restorer createrole')
    const restored = await lab.run('action-restore-test', deeds, asRestorer())
    expectExit(restored, 0)
    const report = await reportOf<RestoreTestReport>(restored)
    expect(report.checks.flatMap(({ findings }) => findings.map(({ message }) => message))).toEqual([
      'subscription far did not come back',
      expect.stringContaining('owners, grants and default privileges were left out'),
    ])
    expect(await left()).toBe('')
  }, 120_000)

  test('what that role may not make is no evidence against the backup', async () => {
    const watched = await dumpOf(
      'watched',
      `${DEEDS}
      create function note_it() returns event_trigger language plpgsql as 'begin end';
      create event trigger watch on ddl_command_end execute function note_it();`,
    )
    const restored = await lab.run('action-restore-test', watched, asRestorer())
    expectRefusal(restored, 'unverified', /permission denied to create event trigger/)
    expect(await watched.keys('watched/evidence/')).toEqual([expect.stringContaining('-restore-test-unverified-')])
    expect(await left()).toBe('')
  }, 120_000)

  test('the server that was dumped is not written to', async () => {
    const refused = await lab.run('action-restore-test', deeds, { 'target-url': source.url('postgres') })
    expectRefusal(refused, 'unverified', /is the one that was dumped.*\n?→ Give the address of another server/)
    expect(await source.psql('postgres', `select datname from pg_database where datname ~ 'restore_test'`)).toBe('')
  })
})

const DEEDS = `
  do $$ begin
    if to_regrole('deeds_owner') is null then create role deeds_owner; create role deeds_reader; end if;
    execute format('alter database %I set work_mem to %L', current_database(), '5MB');
    execute format('alter role deeds_reader in database %I set search_path to %L', current_database(), 'public');
  end $$;
  create table deeds (id integer primary key, what text);
  insert into deeds values (1, 'sold'), (2, 'bought'), (3, 'lost');
  alter table deeds owner to deeds_owner;
  alter table deeds enable row level security;
  create policy reading on deeds for select to deeds_reader using (id < 3);
  grant select on deeds to deeds_reader;
  select lo_from_bytea(0, 'a deed');
  create subscription far connection 'host=nowhere' publication p with (connect = false, slot_name = none);
  alter default privileges for role deeds_owner grant select on tables to deeds_reader;`

import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { zstdDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import type { Contents } from '../../src/backup-set/documents.ts'
import type { RestoreTestReport } from '../../src/reports/report.ts'
import { availableMajors, type TestServer } from '../support/postgres.ts'
import { expectRefusal, plainText } from './refusal.ts'
import { EXAMPLE_DATABASE, expectExit, Lab, reportOf, type TestStorage } from './support.ts'

/** Some tables out of a set: what comes along, what is not even fetched, and that it proves nothing of the rest. */
const lab = new Lab()
afterAll(() => lab.close(), 120_000)

interface Stored {
  source: TestServer
  storage: TestStorage
  id: string
  contents: Contents
}

let stored: Stored
beforeAll(async () => {
  const source = await lab.example(availableMajors().at(-1) ?? 0)
  const storage = await lab.storage('directory')
  const dump = await lab.run('action-dump', storage, { 'database-url': source.url(EXAMPLE_DATABASE) })
  expectExit(dump, 0)
  const id = dump.outputs['backup-id'] ?? ''
  const bytes = await storage.storage.read(`${EXAMPLE_DATABASE}/sets/${id}/contents.json.zst`)
  stored = { source, storage, id, contents: JSON.parse(zstdDecompressSync(bytes).toString('utf8')) }
}, 300_000)

/** Everything on these tables, a line each, and how many rows of their own they hold. */
const FACTS = `
  with chosen as (select c.oid, c.oid::regclass::text as name from pg_class c
    where c.relkind in ('r', 'p') and c.oid::regclass::text = any ($1))
  select name || ' ' || fact as line from chosen, lateral (
    select concat_ws(' ', 'column', attname, format_type(atttypid, atttypmod), attidentity, attnotnull,
      pg_get_expr(adbin, adrelid), attacl, col_description(attrelid, attnum))
    from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where attrelid = chosen.oid and attnum > 0 and not attisdropped
    union all select concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid) from pg_index where indrelid = chosen.oid
    union all select concat_ws(' ', conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint'))
      from pg_constraint where conrelid = chosen.oid and (contype <> 'f' or confrelid in (select oid from chosen))
    union all select concat_ws(' ', pg_get_triggerdef(oid), tgenabled) from pg_trigger
      where tgrelid = chosen.oid and not tgisinternal
    union all select concat_ws(' ', polname, polroles::regrole[], pg_get_expr(polqual, polrelid))
      from pg_policy where polrelid = chosen.oid
    union all select stxname from pg_statistic_ext where stxrelid = chosen.oid
    union all select concat_ws(' ', relowner::regrole, relacl, relrowsecurity, obj_description(oid, 'pg_class'),
      pg_get_expr(relpartbound, oid), reloptions) from pg_class where oid = chosen.oid
    union all select 'rows ' || (xpath('/row/n/text()', query_to_xml('select count(*) as n from only ' || name, false, true, '')))[1]
  ) facts (fact) order by 1`

/** Every relation that users made. */
const RELATIONS = `
  select c.oid::regclass::text as line from pg_class c
  where relkind in ('r', 'p', 'v', 'm', 'f') and relnamespace::regnamespace::text !~ '^(pg_|information_schema)'`

async function ask(url: string, query: string, values: readonly unknown[] = []): Promise<string[]> {
  const client = new pg.Client({ connectionString: url, options: '-c search_path=pg_catalog -c timezone=UTC' })
  await client.connect()
  try {
    return (await client.query<{ line: string }>(query, [...values])).rows.map(({ line }) => line)
  } finally {
    await client.end()
  }
}

const ASKED = [
  'users',
  'addresses',
  'prop*',
  'team_shifts',
  'public."Service Areas"',
  'gift_card?',
  'ops.machines',
  'ops.audit_log_2026_logins',
  'ops.notification_outbox_2',
]
const COME = [
  ...['users', 'addresses', 'properties', 'team_shifts', '"Service Areas"', 'gift_cards'].map(
    (name) => `public.${name}`,
  ),
  ...['machines', 'audit_log', 'audit_log_2026', 'audit_log_2026_logins', 'notification_outbox'].map(
    (name) => `ops.${name}`,
  ),
  ...[0, 1, 2, 3].map((leaf) => `ops.notification_outbox_${leaf}`),
]
/** The definitions that they cannot do without. */
const ALONG = ['ops.equipment']

test('the tables that were named come back, with what is on them', async () => {
  const { source, storage, contents } = stored
  const job = await lab.job(storage)
  const tables = ASKED.join(', ')
  const inputs = { ...storage.inputs, tables, 'keep-running': 'true', 'rto-target': '1s', 'rpo-target': '1s' }
  const restored = await job.run({ action: 'action-restore-test', inputs })
  try {
    expectExit(restored, 0)
    const url = restored.outputs['database-url'] ?? ''
    const [before, after] = await Promise.all(
      [source.url(EXAMPLE_DATABASE), url].map((database) => ask(database, FACTS, [COME])),
    )
    // Where a row of a hash over an enum lies differs from database to database.
    const isOther = (line: string) => /^ops\.notification_outbox_\d rows/.test(line)
    expect(after?.filter((line) => !isOther(line))).toEqual(before?.filter((line) => !isOther(line)))
    expect(before?.length).toBeGreaterThan(100)
    expect((await ask(url, RELATIONS)).sort()).toEqual([...COME, ...ALONG].sort())
    expect(await ask(url, FACTS, [ALONG])).toContain('ops.equipment rows 0')
    const report = await reportOf<RestoreTestReport>(restored)
    expect(report.part).toEqual({ tables: 12, of: contents.tables.length })
    checkReport(report)
  } finally {
    await job.finish()
  }
  expect(restored.outputs).toMatchObject({ verdict: 'passed', 'rto-seconds': '', 'rpo-seconds': '' })
  expect(plainText(restored.summary)).toMatch(
    /a part of brisa as of .* was restored: 12 tables with .* equal to what was dumped; the rest was not looked at/,
  )
  expect(await storage.keys(`${EXAMPLE_DATABASE}/evidence/`)).toEqual([])
}, 300_000)

function checkReport({ checks }: RestoreTestReport): void {
  const statuses = Object.fromEntries(checks.map(({ id, status }) => [id, status]))
  expect(statuses).toMatchObject({
    tables: 'passed',
    sequences: 'passed',
    structure: 'passed',
    'large-objects': 'not run',
  })
  expect(statuses).toMatchObject({ rto: 'not run', rpo: 'not run' })
  const notes = checks.flatMap(({ id, findings }) => (id === 'structure' ? findings : []))
  const key = 'the foreign key team_shifts_member_id_fkey of public.team_shifts'
  expect(notes).toEqual([{ severity: 'note', message: `${key} was left out, for public.team_members is not restored` }])
}

test('nothing is fetched but what holds the tables; what is damaged there is evidence, and nothing else is', async () => {
  const { source, storage, id, contents } = stored
  const folder = join(fileURLToPath(storage.url), EXAMPLE_DATABASE, 'sets', id, 'database')
  const inputs = { tables: 'messages' }
  const file = contents.tables.find(({ name }) => name === 'messages')?.file
  const { segments = [], bundle } = contents.files.find(({ name }) => name === file) ?? {}
  const needed = ['database/toc.dat.zst', ...segments.map(({ path }) => path), ...(bundle ? [bundle] : [])]
  const others = (await readdir(folder)).filter((name) => !needed.includes(`database/${name}`))
  expect(others.length).toBeGreaterThan(3)
  for (const name of others) await rm(join(folder, name))
  const restored = await lab.run('action-restore-test', storage, inputs)
  expectExit(restored, 0)
  const rows = await source.psql(EXAMPLE_DATABASE, 'select count(*) from messages')
  expect(restored.outputs).toMatchObject({ 'tables-proven': '1', 'rows-proven': rows })
  expect(await storage.keys(`${EXAMPLE_DATABASE}/evidence/`)).toEqual([])

  await rm(join(folder, '..', needed[1] ?? ''))
  expectRefusal(await lab.run('action-restore-test', storage, inputs), 'failed', /does not exist in/)
  const evidence = await storage.keys(`${EXAMPLE_DATABASE}/evidence/`)
  expect(evidence).toEqual([expect.stringContaining('-restore-test-failed-')])
}, 300_000)

test('names of nothing are told at once, with what may have been meant', async () => {
  const { storage, id } = stored
  const wrong = await lab.run('action-restore-test', storage, {
    backup: id,
    tables: 'bokings, monthly_revenue, users',
  })
  expectRefusal(wrong, 'unverified', /tables names no table of the set \(given: "bokings"\).*public\.bookings/)
  expectRefusal(wrong, 'unverified', /given: "monthly_revenue".*/, /materialized view/)
  const malformed = await lab.run('action-restore-test', storage, { backup: id, tables: 'a.b.c' })
  expectRefusal(malformed, 'unverified', /tables has something that is no name of a table \(given: "a\.b\.c"\)/)
}, 300_000)

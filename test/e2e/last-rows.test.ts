import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from '@jest/globals'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'
import { expectExit, Lab, reportOf, type TestStorage } from './support.ts'

/** Indexes of what is loaded are made while the last, large table is still being loaded. */
const lab = new Lab()
afterAll(() => lab.close(), 120_000)

const BESIDE = 'beside the last rows: 4 indexes and keys of other tables'

/** 120 MB in one table. What an index computes looks at rows of it: it must wait for them. */
const DATABASE = `
  create table large (id integer primary key, text text);
  insert into large select i, repeat(md5(i::text), 60) from generate_series(1, 64000) i;
  create table keyed (id integer primary key, n integer unique, large integer references large, marked boolean);
  insert into keyed select i, -i, 1 + i % 64000, i <= 5 from generate_series(1, 100000) i;
  create index on keyed (large);
  create function text_of(integer) returns text language sql immutable
    as 'select left(text, 8) from public.large where id = $1';
  create index computed on keyed (text_of(large)) where marked;`

describe.each(availableMajors())('PostgreSQL %i', (major) => {
  let source: TestServer
  let storage: TestStorage
  afterAll(() => source?.stop())

  test('all of them are there in the end, and so are the rows', async () => {
    source = await startServer(major)
    const url = await source.createDatabase('shop')
    await source.psql('shop', DATABASE)
    storage = await lab.storage('directory')
    expectExit(await lab.run('action-dump', storage, { 'database-url': url }), 0)
    // Found by the index alone: no other one has what it asks for, and the table is large.
    const assertions = "computed: select count(*) = 1 from keyed where marked and text_of(large) = left(md5('2'), 8)"
    const restore = await lab.run('action-restore-test', storage, { jobs: '2', assertions })
    expectExit(restore, 0)
    expect(restore.log.join('\n')).toContain(BESIDE)
    expect((await reportOf(restore)).verdict).toBe('passed')
  }, 120_000)

  test('damage at the end of the last rows ends the restore, and what was begun beside them', async () => {
    const sets = join(fileURLToPath(storage.url), 'shop', 'sets')
    const [id = ''] = await readdir(sets)
    const directory = join(sets, id, 'database')
    const parts = await Promise.all(
      (await readdir(directory)).map(async (name) => ({
        path: join(directory, name),
        size: (await stat(join(directory, name))).size,
      })),
    )
    const largest = parts.sort((a, b) => b.size - a.size)[0]?.path ?? ''
    const bytes = await readFile(largest)
    bytes.writeUInt8((bytes.at(-100) ?? 0) ^ 1, bytes.length - 100)
    await writeFile(largest, bytes)
    const restore = await lab.run('action-restore-test', storage, { jobs: '2' })
    expectExit(restore, 1)
    expect(restore.summary).toMatch(/damaged/)
  }, 120_000)
})

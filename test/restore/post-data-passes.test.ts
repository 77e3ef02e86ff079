import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { attachesInLevels } from '../../src/postgres/index-attachments.ts'
import { parseToc, type TocEntry } from '../../src/postgres/toc.ts'
import { besideRows, postDataPasses } from '../../src/restore/post-data-passes.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'

const run = promisify(execFile)

/** A name that reads like a statement, two levels, a foreign key with a comment, and an event trigger. */
const NESTED = `
  create schema "a; ATTACH PARTITION";
  create table "a; ATTACH PARTITION"."top ""x" (id integer primary key, n integer) partition by range (id);
  create index named on "a; ATTACH PARTITION"."top ""x" (n);
  create table mid partition of "a; ATTACH PARTITION"."top ""x" for values from (0) to (10) partition by range (id);
  create table leaf partition of mid for values from (0) to (10);
  create table refers (id integer constraint key references "a; ATTACH PARTITION"."top ""x");
  comment on constraint key on refers is 'of a foreign key';
  comment on index "a; ATTACH PARTITION".named is 'of an index';
  create function nothing() returns event_trigger language plpgsql as 'begin end';
  create event trigger quiet on ddl_command_end execute function nothing();
  comment on event trigger quiet is 'of an event trigger'`

const FLAT = `
  create table top (id integer primary key) partition by range (id);
  create table leaf partition of top for values from (0) to (10);
  create table refers (id integer references top)`

/**
 * Of what may wait for rows or locks, one of each: a partition, an heir, an index that needs a function which needs a key,
 * a materialized view, a foreign key, what hangs on an index.
 */
const BESIDE = `
  create table loading (id integer primary key, n integer);
  create index on loading (n);
  create function twice(integer) returns integer language sql immutable as 'select $1 * 2';
  create table done (id integer primary key, n integer);
  create index done_n on done (n);
  create index done_expression on done (twice(n)) where id > 0;
  comment on index done_n is 'of an index';
  cluster done using done_n;
  create statistics done_statistics on id, n from done;
  create table other (n integer, constraint other_n_key unique (n), done integer references done);
  create table parent (id integer primary key);
  create table heir (n integer unique) inherits (parent);
  create table top (id integer primary key, n integer) partition by range (id);
  create table leaf partition of top for values from (0) to (10);
  create index on top (n);
  create materialized view seen as select n from loading;
  create index on seen (n);
  create function waits(integer) returns bigint language sql immutable
    begin atomic select count(*) + $1 from (select id, n from loading group by id) grouped; end;
  create index done_waits on done (waits(n))`

describe.each(availableMajors())('post-data of PostgreSQL %i', (major) => {
  let server: TestServer
  let temp: string
  beforeAll(async () => {
    server = await startServer(major)
    temp = await mkdtemp(join(tmpdir(), 'lifeboat-passes-'))
  })
  afterAll(async () => {
    await server?.stop()
    await rm(temp, { recursive: true, force: true })
  })

  async function entriesOf(name: string, sql: string): Promise<TocEntry[]> {
    await server.psql('postgres', `create database ${name}`)
    await server.psql(name, sql)
    const directory = join(temp, name)
    await run(join(server.bin, 'pg_dump'), ['-Fd', '-f', directory, server.url(name)])
    return parseToc(await readFile(join(directory, 'toc.dat'))).entries
  }
  const kinds = (entries: readonly TocEntry[]) => entries.map(({ desc }) => desc)

  test('indexes in levels are attached one after another, before foreign keys, and event triggers come last', async () => {
    const entries = await entriesOf('nested', NESTED)
    expect(attachesInLevels(entries)).toBe(true)
    const passes = postDataPasses(entries)
    expect(passes.map(({ name, parallel }) => [name, parallel])).toEqual([
      ['post-data', true],
      ['attachments', false],
      ['foreign-keys', true],
      ['event-triggers', true],
    ])
    expect(kinds(passes[0]?.entries ?? [])).toEqual(expect.arrayContaining(['CONSTRAINT', 'INDEX', 'COMMENT']))
    expect(kinds(passes[1]?.entries ?? [])).toEqual(Array(4).fill('INDEX ATTACH'))
    expect(kinds(passes[2]?.entries ?? [])).toEqual(['FK CONSTRAINT', 'COMMENT'])
    expect(kinds(passes[3]?.entries ?? [])).toEqual(expect.arrayContaining(['EVENT TRIGGER', 'COMMENT']))
    expect(passes.flatMap(({ entries }) => entries)).toHaveLength(entries.length)
  })

  test('one level needs no run of its own', async () => {
    const entries = await entriesOf('flat', FLAT)
    expect(kinds(entries)).toContain('INDEX ATTACH')
    expect(attachesInLevels(entries)).toBe(false)
    expect(postDataPasses(entries).map(({ name, entries }) => [name, entries.length])).toEqual([
      ['post-data', entries.length],
    ])
  })

  test('beside rows that still come, indexes are made of other tables, of those that are alone', async () => {
    const entries = await entriesOf('beside', BESIDE)
    const tagged = (tag: string, desc = 'TABLE DATA') =>
      entries.filter((entry) => entry.desc === desc && entry.tag === tag).map(({ dumpId }) => dumpId)
    const chosen = (...loading: string[]) =>
      besideRows(entries, new Set(loading.flatMap((tag) => tagged(tag)))).map(({ tag }) => tag.replace(/^\S+ /, ''))
    expect(tagged('loading')).toHaveLength(1)
    expect(chosen('loading').sort()).toEqual(['done_expression', 'done_n', 'done_pkey', 'other_n_key'])
    expect(chosen('loading', 'done').sort()).toEqual(['other_n_key'])
    expect(chosen('loading', 'done', 'other')).toEqual([])
    // Nothing of them is made twice, and nothing is forgotten.
    const beside = new Set(besideRows(entries, new Set(tagged('loading'))))
    const left = postDataPasses(entries.filter((entry) => !beside.has(entry))).flatMap((pass) => pass.entries)
    expect(left.length + beside.size).toBe(entries.length)
  })

  test('a statement that cannot be read is taken for the worst', async () => {
    const entry = (await entriesOf('odd', FLAT)).find(({ desc }) => desc === 'INDEX ATTACH') as TocEntry
    expect(attachesInLevels([{ ...entry, defn: 'ALTER INDEX a.b.c.d ATTACH PARTITION e;' }])).toBe(true)
  })
})

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Head } from '../../src/backup-set/documents.ts'
import { layout } from '../../src/backup-set/layout.ts'
import { openSet, readContents } from '../../src/backup-set/open-set.ts'
import type { LifeboatError } from '../../src/base/errors.ts'
import { memoryLog } from '../../src/base/ports.ts'
import { type Meter, silentMeter } from '../../src/base/progress.ts'
import { parseConnection } from '../../src/postgres/connection.ts'
import { type Database, openDatabase } from '../../src/postgres/database.ts'
import { type TocEntry, tableDataEntries } from '../../src/postgres/toc.ts'
import { assertSameTables, fetchArchive } from '../../src/restore/archive.ts'
import { readLargeObjects, serverLargeObjects } from '../../src/restore/large-objects.ts'
import { type RestoreError, runPgRestore } from '../../src/restore/pg-restore.ts'
import { RootRows } from '../../src/restore/root-rows.ts'
import { type LoadOptions, loadRows } from '../../src/restore/rows.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { withStorage } from '../backup-set/support.ts'
import { countingMeter } from '../base/counting-meter.ts'
import { buildSet, hoursAgo } from '../checks/set.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'

let server: TestServer
let temp: string
let target: Database

beforeAll(async () => {
  temp = await mkdtemp(join(tmpdir(), 'lifeboat-rows-'))
  server = await startServer(availableMajors().at(-1) ?? 0)
  const url = await server.createDatabase('target')
  target = await openDatabase(parseConnection(url, {}), { temp, log: memoryLog(), env: process.env })
})

afterAll(async () => {
  await target?.close()
  await server?.stop()
  await rm(temp, { recursive: true, force: true })
})

const { signal } = new AbortController()
/** The tables as a restore makes them, with rows that were not in the dump. */
const TABLES = `drop table if exists small, large; create table small (id int, text text); create table large (id int, text text);
  insert into small values (0, 'there already'); insert into large values (-1, 'there already');
  select lo_unlink(oid) from pg_largeobject_metadata; select lo_create(50000);`

/** Loads the set into the target; `created`: its archive has made the tables. */
async function load(
  storage: Storage,
  head: Head,
  created: boolean,
  meter: Meter = silentMeter,
  tail: Pick<LoadOptions, 'onTail' | 'tailBytes'> = {},
): Promise<RestoreError[]> {
  const set = await openSet(storage, head, [])
  const contents = await readContents(set, [], signal)
  const { toc } = await fetchArchive(set, [], join(temp, head.id), signal)
  assertSameTables(contents, toc)
  const tables = toc.entries.filter(({ desc }) => desc === 'TABLE DATA')
  const made = tables.map(
    (entry): TocEntry => ({ ...entry, dumpId: entry.dumpId + 100, desc: 'TABLE', section: 'pre-data' }),
  )
  const entries = created ? [...made, ...toc.entries] : toc.entries
  const rootRows = new RootRows(tableDataEntries(toc))
  const load = { set, contents, identities: [], target, jobs: 2, largeObjects: serverLargeObjects, rootRows, signal }
  return loadRows({ ...load, ...tail, meter, toc: { ...toc, entries } })
}

const counts = () => server.psql('target', 'select (select count(*) from small), (select count(*) from large)')

test('rows and large objects come back', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1) })
    await server.psql('target', TABLES)
    const meter = countingMeter()
    expect(await load(storage, head, true, meter)).toEqual([])
    expect(await counts()).toBe('3|90001')
    expect(meter.seen).toEqual({
      expected: head.totals.plainBytes,
      precision: 'exactly',
      added: head.totals.plainBytes,
    })
    const set = await openSet(storage, head, [])
    const client = await target.connect('check')
    const readBack = countingMeter()
    const { largeObjects } = await readContents(set, [], signal)
    expect(await readLargeObjects(client, signal, readBack)).toEqual(largeObjects)
    expect(readBack.seen.added).toBe(largeObjects.fingerprint.bytes)
    await client.end()
  })
})

test('once one connection is idle, and all else is there, it is told which tables are locked for their last rows', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1), segmentBytes: 64 << 20 })
    const { toc } = await fetchArchive(await openSet(storage, head, []), [], join(temp, 'tail'), signal)
    const large = tableDataEntries(toc).find(({ name }) => name === 'large')?.dumpId
    for (const [created, tailBytes, told] of [
      [true, 1, [[[large], 1]]],
      [true, undefined, []],
      // Rows of a table that an extension has made are added to those that are there: it is not locked.
      [false, 1, []],
    ] as const) {
      await server.psql('target', TABLES)
      const tails: unknown[] = []
      let seen: Promise<string> | undefined
      const onTail = (loading: ReadonlySet<number>, idle: number) => {
        tails.push([[...loading], idle])
        seen = counts()
      }
      expect(await load(storage, head, created, silentMeter, { onTail, ...(tailBytes && { tailBytes }) })).toEqual([])
      expect(tails).toEqual(told)
      // Whoever asks for the locked table meanwhile waits, and then sees all of it.
      if (told.length > 0) expect(await seen).toBe('3|90000')
    }
  })
})

test('small large objects are written together, all of them or none', async () => {
  const objects = ['one', '', 'three'].map((text, index) => ({ oid: 60_001 + index, content: Buffer.from(text) }))
  await server.psql('target', 'select lo_create(oid) from generate_series(60001, 60003) oid')
  const contents = `select string_agg(convert_from(lo_get(oid), 'utf8'), '|' order by oid)
    from pg_largeobject_metadata where oid > 60000`
  const client = await target.connect('large objects')
  await serverLargeObjects.writeAll(client, objects)
  expect(await server.psql('target', contents)).toBe('one||three')
  const more = [
    ...objects.map(({ oid }) => ({ oid, content: Buffer.from('other') })),
    { oid: 1, content: Buffer.from('x') },
  ]
  await expect(serverLargeObjects.writeAll(client, more)).rejects.toThrow('large object 1 does not exist')
  expect(await server.psql('target', contents)).toBe('one||three')
  await client.end()
})

test('a table that the restore made may be emptied first; the rows that an extension put into its own table stay', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1), segmentBytes: 64 << 20 })
    await server.psql('target', TABLES)
    expect(await load(storage, head, true)).toEqual([])
    expect((await counts()).split('|')[1]).toBe('90000')
    await server.psql('target', TABLES)
    expect(await load(storage, head, false)).toEqual([])
    expect((await counts()).split('|')[1]).toBe('90001')
  })
})

test('a table that the server refuses is told without its values, and does not keep the others from coming back', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1) })
    await server.psql(
      'target',
      `${TABLES} delete from small; alter table small alter id type boolean using null, alter text type int using null`,
    )
    const meter = countingMeter()
    const errors = await load(storage, head, true, meter)
    expect(errors).toEqual([
      { stage: 'rows', subject: 'TABLE DATA public.small', message: 'invalid input syntax for type integer: "…"' },
    ])
    expect(await counts()).toBe('0|90001')
    expect(meter.seen.added).toBe(meter.seen.expected)
    await server.psql('target', `${TABLES} select lo_unlink(50000); delete from small`)
    expect((await load(storage, head, true)).map(({ subject }) => subject)).toEqual(['LARGE OBJECT 50000'])
    expect(await counts()).toBe('2|90001')
  })
})

function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'nothing',
    (error: LifeboatError) => error.code,
  )
}

test('damage to a part ends the restore, and leaves no row of it', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1) })
    const keys: string[] = []
    for await (const { key } of storage.list(layout.set('shop', head.id))) keys.push(key)
    for (const key of keys.filter((name) => /bundle|11\.dat/.test(name))) {
      const bytes = await storage.read(key)
      const damaged = Buffer.from(bytes)
      damaged[bytes.length - 20] = (bytes[bytes.length - 20] ?? 0) ^ 0x10
      await storage.put(key, damaged)
      await server.psql('target', `${TABLES} delete from small; delete from large`)
      expect(await codeOf(load(storage, head, true))).toMatch(/^damaged-/)
      if (!key.includes('bundle')) expect((await counts()).split('|')[1]).not.toBe('90000')
      await storage.put(key, bytes)
    }
  })
})

test('rows of a damaged part that the server refuses, before its end is reached, are damage and no refusal', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1), segmentBytes: 64 << 20 })
    const refusing = `${TABLES} delete from small; alter table large alter id type boolean using null`
    await server.psql('target', refusing)
    const refused = [expect.objectContaining({ stage: 'rows', subject: 'TABLE DATA public.large' })]
    expect(await load(storage, head, true)).toEqual(refused)
    const keys: string[] = []
    for await (const { key } of storage.list(layout.set('shop', head.id))) keys.push(key)
    const key = keys.find((name) => /11\.dat/.test(name)) ?? ''
    const bytes = await storage.read(key)
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
    await storage.put(key, bytes)
    await server.psql('target', refusing)
    expect(await codeOf(load(storage, head, true))).toMatch(/^damaged-/)
  })
})

test('rows that are whole, but not those that were dumped, are not taken over', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, {
      takenAt: hoursAgo(1),
      alter: ({ contents }) => Object.assign(contents.tables[0]?.fingerprint ?? {}, { sum: 'f'.repeat(32) }),
    })
    await server.psql('target', `${TABLES} delete from small`)
    expect(await codeOf(load(storage, head, true))).toBe('damaged-rows')
    expect((await counts()).split('|')[0]).toBe('0')
  })
})

test('contents that do not know a table of the archive are refused: its rows would be missed by nobody', async () => {
  await withStorage(async (storage) => {
    for (const alter of [
      ({ contents }: { contents: { tables: unknown[] } }) => contents.tables.pop(),
      ({ contents }: { contents: { files: unknown[] } }) => contents.files.shift(),
      ({ toc }: { toc: { entries: unknown[] } }) => toc.entries.shift(),
    ]) {
      const head = await buildSet(storage, { takenAt: hoursAgo(1), alter })
      expect(await codeOf(load(storage, head, true))).toBe('damaged-document')
    }
  })
})

test('a pg_restore that was killed says nothing of the set', async () => {
  const killed = join(temp, 'killed')
  await writeFile(killed, '#!/bin/sh\nkill -9 $$\n', { mode: 0o755 })
  const tools = { major: 17, version: '17', bin: temp, origin: 'test', path: () => killed }
  const restore = runPgRestore({ tools, target, archive: temp, section: 'pre-data', signal })
  await expect(restore).rejects.toMatchObject({
    code: 'pg-restore-failed',
    message: 'pg_restore of section pre-data ended with a signal',
  })
})

test('a server that goes away is not the set’s fault', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1) })
    await server.psql(
      'target',
      `${TABLES} delete from small; create or replace function gone(int) returns boolean language sql as 'select pg_terminate_backend(pg_backend_pid())'; alter table small add check (public.gone(id))`,
    )
    expect(await codeOf(load(storage, head, true))).toBe('scratch-server-failed')
  })
})

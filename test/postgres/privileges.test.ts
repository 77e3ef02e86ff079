import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { readInventory } from '../../src/postgres/inventory.ts'
import { findUnreadable, mendingStatements, type Unreadable } from '../../src/postgres/privileges.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'

const run = promisify(execFile)
const FIXTURE = new URL('../fixtures/structure.sql', import.meta.url)
const ROLE = `we'ak"r$$ole \\`
const QUOTED = `"we'ak""r$$ole \\"`

describe.each(availableMajors())('privileges on PostgreSQL %i', (major) => {
  let server: TestServer
  let url: string

  beforeAll(async () => {
    server = await startServer(major)
    await server.createDatabase('app')
    await server.psql('app', await readFile(FIXTURE, 'utf8'))
    await server.psql(
      'app',
      `create table app.kept (a integer); create table app.internal (a integer); create table app.columns_only (a integer);
       alter extension hstore add table app.kept; alter extension hstore add table app.internal;
       update pg_extension set extconfig = array['app.kept'::regclass], extcondition = array[''] where extname = 'hstore';
       select lo_create(id) from generate_series(710001, 710050) id`,
    )
  })
  afterAll(() => server?.stop())

  async function newRole(): Promise<void> {
    await server.psql(
      'app',
      `do $do$ begin if exists (select from pg_roles where rolname = $n$${ROLE}$n$) then drop owned by ${QUOTED}; end if; end $do$;
       drop role if exists ${QUOTED}; create role ${QUOTED} login password '${server.password}';
       grant select (a) on app.columns_only to ${QUOTED}`,
    )
    url = server.url('app', ROLE)
  }

  async function asRole<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      return await work(client)
    } finally {
      await client.end()
    }
  }

  async function dump(): Promise<void> {
    const temp = await mkdtemp(join(tmpdir(), 'lifeboat-privileges-'))
    try {
      await run(join(server.bin, 'pg_dump'), ['-Fd', '-Z0', '-f', join(temp, 'dump'), url])
    } finally {
      await rm(temp, { recursive: true, force: true })
    }
  }

  test('everything is named at once, and the statements mend it', async () => {
    await newRole()
    await expect(dump()).rejects.toThrow(/permission denied/)
    const unreadable = await asRole(findUnreadable)
    const identities = (kind: Unreadable['kind']) =>
      unreadable.filter((one) => one.kind === kind).map((one) => one.identity)
    expect(identities('schema').sort()).toEqual(['"we.ird ""schema"', 'app'])
    expect(identities('table')).toEqual(
      expect.arrayContaining(['app.booking', 'app.event', 'app.event_2025', 'app.kept', 'app.columns_only']),
    )
    expect(identities('table')).not.toContain('app.internal')
    expect(identities('sequence')).toContain('app.counter')
    expect(identities('row security')).toEqual(['app.booking'])
    expect(identities('large objects').sort()).toEqual(['postgres', 'structure_owner'])
    for (const { grant } of unreadable) await server.psql('app', grant)
    expect(await asRole(findUnreadable)).toEqual([])
    await dump()
  })

  test('a long list has a short cure', async () => {
    await newRole()
    const statements = mendingStatements(await asRole(findUnreadable))
    const readAll = `GRANT pg_read_all_data TO ${QUOTED};`
    expect(statements).toHaveLength(major >= 14 ? 4 : statements.length)
    expect(statements.includes(readAll)).toBe(major >= 14)
    for (const statement of statements) await server.psql('app', statement)
    expect(await asRole(findUnreadable)).toEqual([])
    await dump()
  })

  test('a role that may read nothing still gets the inventory', async () => {
    await newRole()
    const inventory = await asRole(readInventory)
    expect(inventory.tables.map((table) => table.identity)).toContain('app.customer')
    expect(inventory.sequences.find((one) => one.name === 'counter')).toMatchObject({ lastValue: null, isCalled: null })
  })

  test('forced row security holds for the owner, and nothing does for a superuser', async () => {
    await newRole()
    await server.psql(
      'app',
      `grant pg_read_all_data to ${QUOTED}; create schema own authorization ${QUOTED}; set role ${QUOTED};
      create table own.forced (a integer); alter table own.forced enable row level security, force row level security;
      create table own.plain (a integer); alter table own.plain enable row level security`,
    )
    const unreadable = await asRole(findUnreadable)
    expect(
      unreadable
        .filter((one) => one.kind === 'row security')
        .map((one) => one.identity)
        .sort(),
    ).toEqual(['app.booking', 'own.forced'])
    url = server.url('app')
    expect(await asRole(findUnreadable)).toEqual([])
  })
})

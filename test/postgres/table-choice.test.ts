import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type pg from 'pg'
import { memoryLog } from '../../src/base/ports.ts'
import { parseConnection } from '../../src/postgres/connection.ts'
import { type Database, openDatabase } from '../../src/postgres/database.ts'
import { chooseTables, type TablePatterns } from '../../src/postgres/table-choice.ts'
import { patternExpressions } from '../../src/postgres/table-patterns.ts'
import { parseToc, sequenceSets, tableDataEntries } from '../../src/postgres/toc.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'

const run = promisify(execFile)

test.each([
  ['orders', ['^(orders)$']],
  ['Public.Ord*s?', ['^(public)$', '^(ord.*s.)$']],
  ['"S.x"."Ord*"', ['^(S\\.x)$', '^(Ord\\*)$']],
  ['a"B""c"d', ['^(aB"cd)$']],
  ['a$b[]', ['^(a\\$b\\[])$']],
  ['(a|b[0-9])+', ['^((a|b[0-9])+)$']],
  ['app.public.é', ['^(app)$', '^(public)$', '^(é)$']],
  ['.', ['^()$', '^()$']],
])('%s is understood as pg_dump does', (pattern, expressions) => {
  expect(patternExpressions(pattern)).toEqual(expressions)
})

const NAMES = ['a', 'ab', 'A', 'a.b', 'a$b', 'a[]', 'a*', 'a?', 'a"b', 'é', 'É', 'p g']
const SCHEMAS = ['public', 's', 'S', 's.t']
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

let server: TestServer
let temp: string
let database: Database
let client: pg.Client

beforeAll(async () => {
  temp = await mkdtemp(join(tmpdir(), 'lifeboat-choice-'))
  server = await startServer(availableMajors().at(-1) ?? 0)
  const url = await server.createDatabase('app')
  const tables = SCHEMAS.flatMap((schema) =>
    NAMES.map((name, index) => {
      const column = index % 3 === 0 ? 'x serial' : index % 3 === 1 ? 'x int generated always as identity' : 'x int'
      return `create table ${quoted(schema)}.${quoted(name)} (${column})`
    }),
  )
  const schemas = SCHEMAS.slice(1).map((schema) => `create schema ${quoted(schema)}`)
  const others = ['create view s.v as select 1', 'alter database app set search_path = s, public']
  await server.psql('app', [...schemas, ...tables, ...others].join(';'))
  database = await openDatabase(parseConnection(url, {}), { temp, log: memoryLog(), env: process.env })
  client = await database.connect('choice')
})

afterAll(async () => {
  await database?.close()
  await server?.stop()
  await rm(temp, { recursive: true, force: true })
})

/** What the patterns choose by pg_dump's own archive: OIDs in the dump, OIDs with rows or a value in it. */
async function chosenByPgDump({ tables, excludeTables, excludeTableData }: TablePatterns) {
  const directory = join(temp, 'dump')
  const args = [
    ...tables.map((pattern) => `--table=${pattern}`),
    ...excludeTables.map((pattern) => `--exclude-table=${pattern}`),
    ...excludeTableData.map((pattern) => `--exclude-table-data=${pattern}`),
  ]
  try {
    const all = ['--format=directory', '--compress=0', '--no-sync', `--file=${directory}`, ...args]
    await run(join(server.bin, 'pg_dump'), all, { env: await database.toolEnvironment({ searchPath: 'own' }) })
    const toc = parseToc(await readFile(join(directory, 'toc.dat')))
    // It would dump the server's own.
    if (toc.entries.some(({ namespace }) => /^(pg_catalog|information_schema)$/.test(namespace ?? ''))) return 'refused'
    const relations = toc.entries.filter(({ desc }) => ['TABLE', 'SEQUENCE'].includes(desc))
    const oids = new Map(relations.map(({ namespace, tag, oid }) => [JSON.stringify([namespace, tag]), oid]))
    const ofSequence = ({ schema, name }: { schema: string; name: string }) => oids.get(JSON.stringify([schema, name]))
    const read = [...tableDataEntries(toc).map(({ oid }) => oid), ...sequenceSets(toc).map(ofSequence)]
    return { dumped: [...oids.values()].sort(), read: read.sort() }
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string }
    if (/no matching tables|invalid regular expression|too many dotted names|cross-database/.test(stderr))
      return 'refused'
    throw error
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function chosenByUs(patterns: TablePatterns) {
  const sorted = (oids: ReadonlySet<number> | undefined) => [...(oids ?? [])].sort()
  return chooseTables(client, patterns, 'UTF8').then(
    ({ dumped, read }) => ({ dumped: sorted(dumped), read: sorted(read) }),
    (error: unknown) => {
      expect(error).toMatchObject({ code: expect.stringMatching(/^(bad-pattern|nothing-selected)$/) })
      return 'refused'
    },
  )
}

const piece = fc.constantFrom('a', 'A', 'b', '*', '?', '"', '""', '$', '[]', '[ab]', '(a|É)', 'é', '+', '\\', ' ', 'p')
const word = fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join(''))
const name = fc.oneof(word, fc.constantFrom(...NAMES).map(quoted), fc.constantFrom('*', 'a*', '?', '*_seq'))
const schema = fc.oneof(fc.constantFrom(...SCHEMAS), fc.constantFrom('*', '"S"', '"s.t"', 's*', '?'))
const pattern = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(schema, name).map((parts) => parts.join('.')) },
  { weight: 1, arbitrary: name },
)
const patterns = (minLength: number) => fc.array(pattern, { minLength, maxLength: 3 })

test('any patterns choose what pg_dump chooses', async () => {
  const seen = { chosen: 0, refused: 0 }
  await fc.assert(
    fc.asyncProperty(patterns(1), patterns(0), patterns(0), async (tables, excludeTables, excludeTableData) => {
      const asked = { tables, excludeTables, excludeTableData }
      const ours = await chosenByUs(asked)
      expect({ asked, ours }).toEqual({ asked, ours: await chosenByPgDump(asked) })
      seen[typeof ours === 'string' ? 'refused' : 'chosen'] += 1
    }),
    { numRuns: 12 },
  )
  expect(seen.chosen).toBeGreaterThan(0)
  const excluding = {
    tables: [],
    excludeTables: ['s.*', 'public.a_x_seq', 'public."A"'],
    excludeTableData: ['a*', '"S".*'],
  }
  expect(await chosenByUs(excluding)).toEqual(await chosenByPgDump(excluding))
})

test('what cannot be meant is refused, and what matches nothing is told', async () => {
  const choose = (given: Partial<TablePatterns>, encoding = 'UTF8') =>
    chooseTables(client, { tables: [], excludeTables: [], excludeTableData: [], ...given }, encoding)
  expect(await choose({})).toEqual({ dumped: undefined, read: undefined, idle: [] })
  const { idle } = await choose({ tables: ['a', 's.v', 'b.*'], excludeTables: ['a', 'customers'] })
  expect(idle).toEqual([
    { input: 'tables', pattern: 'b.*' },
    { input: 'exclude-tables', pattern: 'customers' },
  ])
  const refused = [
    [{ tables: ['nope'] }, 'nothing-selected', /given: nope/],
    [{ tables: ['a', 's.('] }, 'bad-pattern', /^tables: the pattern s\.\( cannot be read: invalid regular expression/],
    [{ excludeTables: ['a.b.c.d'] }, 'bad-pattern', /^exclude-tables: the pattern a\.b\.c\.d has too many dots/],
    [{ tables: ['a', '*'] }, 'bad-pattern', /^tables: the pattern \* takes in the system catalog \(pg_catalog\./],
  ] as const
  for (const [given, code, message] of refused) {
    await expect(choose(given)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  }
  await expect(choose({ tables: ['é'] }, 'LATIN1')).rejects.toMatchObject({ code: 'bad-pattern' })
  // The session is left as it was.
  expect((await client.query('show search_path')).rows).toEqual([{ search_path: '' }])
})

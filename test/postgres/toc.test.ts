import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { LifeboatError } from '../../src/base/errors.ts'
import { parseCopyStatement } from '../../src/postgres/copy-statement.ts'
import {
  archiveEncoding,
  buildArchiveToc,
  largeObjectIds,
  largeObjectsEntries,
  parseLargeObjectsFile,
  parseToc,
  sequenceSets,
  type Toc,
  type TocEntry,
  tableDataEntries,
  writeToc,
} from '../../src/postgres/toc.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'

const run = promisify(execFile)
const FIXTURE = new URL('../fixtures/structure.sql', import.meta.url)

let temp: string
beforeAll(async () => {
  temp = await mkdtemp(join(tmpdir(), 'lifeboat-toc-'))
})
afterAll(() => rm(temp, { recursive: true, force: true }))

const codes = ['damaged-toc', 'unknown-archive-version']

function parseOrCode(bytes: Buffer): Toc | string {
  try {
    return parseToc(bytes)
  } catch (error) {
    if (error instanceof LifeboatError && codes.includes(error.code)) return error.code
    throw error
  }
}

function codeOf(work: () => unknown): string | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return error instanceof LifeboatError ? error.code : String(error)
  }
}

describe.each(availableMajors())('archives of PostgreSQL %i', (major) => {
  let server: TestServer
  let directory: string
  let bytes: Buffer

  beforeAll(async () => {
    server = await startServer(major)
    const url = await server.createDatabase('source')
    await server.psql('source', await readFile(FIXTURE, 'utf8'))
    directory = join(temp, String(major))
    await run(join(server.bin, 'pg_dump'), ['-Fd', '-Z0', '-f', directory, url])
    bytes = await readFile(join(directory, 'toc.dat'))
  })
  afterAll(() => server?.stop())

  test('a real table of contents is written back byte for byte', () => {
    const toc = parseToc(bytes)
    expect(toc.version).toBe(major <= 15 ? '1.14' : major === 16 ? '1.15' : '1.16')
    expect(toc.database).toBe('source')
    expect(toc.serverVersion).toMatch(new RegExp(`^${major}\\.`))
    expect(toc.textEncoding).toBe('utf8')
    expect(writeToc(toc).equals(bytes)).toBe(true)
  })

  test('every table has a file, a target and its columns', async () => {
    const entries = tableDataEntries(parseToc(bytes))
    const weird = entries.find((entry) => entry.name === 'Ta.ble (x)')
    expect(weird).toMatchObject({
      schema: 'we.ird "schema',
      table: '"we.ird ""schema"."Ta.ble (x)"',
      columns: '("a ""b", "col.umn", "naïve ✓")',
      viaPartitionRoot: false,
    })
    // pg_dump leaves the columns of a table without columns out; in 18 the fixture gives it one.
    expect(entries.find((entry) => entry.name === 'nothing')?.columns).toBe(major >= 18 ? '(late)' : '')
    // Hash partitions by an enum are loaded by way of the root since the minor releases of 2023.
    expect(entries.find((entry) => entry.name === 'hashed_0')).toMatchObject({
      table: 'app.hashed',
      viaPartitionRoot: true,
    })
    for (const entry of entries) expect(existsSync(join(directory, entry.fileName))).toBe(true)
  })

  test('large objects and sequences are listed', async () => {
    const toc = parseToc(bytes)
    expect(largeObjectIds(toc)).toEqual([700001, 700002, 700003])
    const files = await Promise.all(
      largeObjectsEntries(toc).map((entry) => readFile(join(directory, entry.fileName), 'utf8')),
    )
    const listed = files.flatMap(parseLargeObjectsFile)
    expect(listed.map((file) => file.oid).sort()).toEqual([700001, 700002, 700003])
    for (const file of listed) expect(existsSync(join(directory, file.fileName))).toBe(true)
    const sequences = sequenceSets(toc).map(({ schema, name, lastValue, isCalled }) => [
      `${schema}.${name}`,
      lastValue,
      isCalled,
    ])
    expect(sequences).toContainEqual(['app.counter', '42', false])
    expect(sequences).toContainEqual(['app.free_sequence', '1', true])
    expect(archiveEncoding(toc)).toBe('UTF8')
  })

  test('pg_restore reads what was changed and written back', async () => {
    const toc = parseToc(bytes)
    const entries = toc.entries.filter((entry) => entry.tag !== 'booking')
    const changed = join(temp, `${major}-changed`)
    await mkdir(changed)
    await writeFile(join(changed, 'toc.dat'), writeToc({ ...toc, entries }))
    const { stdout } = await run(join(server.bin, 'pg_restore'), ['-l', changed])
    const listed = stdout.split('\n').filter((line) => /^\d+;/.test(line))
    expect(listed).not.toContainEqual(expect.stringMatching(/TABLE DATA app booking /))
    expect(listed).toContainEqual(expect.stringMatching(/TABLE DATA app customer /))
  })

  test('a database that is not UTF-8 keeps its bytes', async () => {
    const url = await server.createDatabase('latin', { encoding: 'LATIN1', collate: 'C', ctype: 'C' })
    await server.psql('latin', 'create table "été" ("ça" text)')
    const latin = join(temp, `${major}-latin`)
    await run(join(server.bin, 'pg_dump'), ['-Fd', '-Z0', '-f', latin, url], {
      env: { ...process.env, PGCLIENTENCODING: '' },
    })
    const original = await readFile(join(latin, 'toc.dat'))
    const toc = parseToc(original)
    expect(toc.textEncoding).toBe('latin1')
    expect(archiveEncoding(toc)).toBe('LATIN1')
    expect(tableDataEntries(toc)).toMatchObject([{ name: 'été', columns: '("ça")' }])
    expect(writeToc(toc).equals(original)).toBe(true)
  })

  test('damage is told, or harmless: flipped bits', () => {
    const flip = fc.record({ at: fc.nat(bytes.length - 1), bit: fc.nat(7) })
    fc.assert(
      fc.property(fc.array(flip, { minLength: 1, maxLength: 20 }), (flips) => {
        const damaged = Buffer.from(bytes)
        for (const { at, bit } of flips) damaged[at] = (damaged[at] ?? 0) ^ (1 << bit)
        const toc = parseOrCode(damaged)
        if (typeof toc !== 'string') expect(parseToc(writeToc(toc))).toEqual(toc)
      }),
      { numRuns: 300 },
    )
  })

  test('damage is told: every truncation, and bytes behind the end', () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), (length) => {
        expect(parseOrCode(bytes.subarray(0, length))).toBe('damaged-toc')
      }),
      { numRuns: 200 },
    )
    expect(parseOrCode(Buffer.concat([bytes, Buffer.of(0)]))).toBe('damaged-toc')
  })

  test('an archive of statements is run by pg_restore alone', async () => {
    const directory = join(temp, `${major}-statements`)
    await mkdir(directory)
    const role = `created'by"toc ü`
    const toc = buildArchiveToc({
      statements: [
        {
          tag: `role ${role}`,
          sql: `do $$ begin
            if not exists (select from pg_roles where rolname = 'created''by"toc ü') then
              create role "created'by""toc ü" nologin;
            end if;
          end $$`,
        },
        { tag: 'membership', sql: `grant pg_read_all_stats to "created'by""toc ü";` },
        { tag: 'setting', sql: `alter database statements set work_mem = '5MB'` },
      ],
    })
    await writeFile(join(directory, 'toc.dat'), toc)
    const url = await server.createDatabase('statements')
    for (const options of [
      [],
      ['--no-owner', '--no-acl', '--no-tablespaces'],
      ['-j', '2'],
      ['--exit-on-error'],
      ['-1'],
    ]) {
      const { stderr } = await run(join(server.bin, 'pg_restore'), [...options, '-d', url, directory])
      expect(stderr).not.toMatch(/error/)
    }
    const roles = await server.psql('postgres', `select count(*) from pg_roles where rolname = 'created''by"toc ü'`)
    expect(roles).toBe('1')
    expect(await server.psql('statements', 'show work_mem')).toBe('5MB')
  })
})

const text = fc.string({ unit: 'grapheme' }).map((value) => value.replaceAll('\0', '').toWellFormed())
const optional = fc.option(text)
const oid = fc.nat(0xffffffff)
const entry: fc.Arbitrary<TocEntry> = fc.record(
  {
    dumpId: fc.integer({ min: 1, max: 0x7fffffff }),
    hadDumper: fc.boolean(),
    tableOid: oid,
    oid,
    tag: text,
    desc: text,
    section: fc.constantFrom('none', 'pre-data', 'data', 'post-data'),
    defn: optional,
    dropStmt: optional,
    copyStmt: optional,
    namespace: optional,
    tablespace: optional,
    tableAm: optional,
    relkind: fc.constant(null),
    owner: optional,
    dependencies: fc.array(fc.nat(0x7fffffff)),
    fileName: fc.constantFrom('12.dat', 'blobs_3.toc'),
  },
  {
    requiredKeys: [
      'dumpId',
      'hadDumper',
      'tableOid',
      'oid',
      'tag',
      'desc',
      'section',
      'defn',
      'dropStmt',
      'copyStmt',
      'namespace',
      'tablespace',
      'tableAm',
      'relkind',
      'owner',
      'dependencies',
    ],
  },
)

test('what is written is read back', () => {
  const toc: fc.Arbitrary<Toc> = fc
    .record({
      version: fc.constantFrom('1.14', '1.15', '1.16'),
      compression: fc.integer({ min: 0, max: 9 }),
      database: text,
      entries: fc.array(entry),
    })
    .map(({ version, entries, ...rest }) => ({
      ...rest,
      version,
      format: 'directory',
      textEncoding: 'utf8',
      offsetSize: 8,
      createdAt: '2026-11-22T02:17:04',
      daylightSaving: 0,
      serverVersion: '17.12',
      dumpVersion: '17.12',
      entries: entries.map((one) => ({ ...one, relkind: version === '1.16' ? 'r' : null })),
    }))
  fc.assert(fc.property(toc, (one) => expect(parseToc(writeToc(one))).toEqual(one)))
})

test('arbitrary bytes behind a good header never crash or hang', () => {
  const header = buildArchiveToc({ statements: [] }).subarray(0, 60)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (rest) => {
      parseOrCode(Buffer.concat([header, rest]))
    }),
  )
})

test('a newer archive version is named', () => {
  const bytes = buildArchiveToc({ statements: [] })
  bytes[6] = 17
  expect(() => parseToc(bytes)).toThrow(/archive version 1\.17\.0/)
  expect(parseOrCode(bytes)).toBe('unknown-archive-version')
})

test('a count of two thousand million entries costs nothing', () => {
  const bytes = buildArchiveToc({ statements: [] })
  const count = bytes.indexOf(Buffer.from([0, 2, 0, 0, 0, 0, 1, 0, 0, 0]))
  expect(count).toBeGreaterThan(0)
  bytes.writeUInt32LE(0x7fffffff, count + 1)
  expect(parseOrCode(bytes)).toBe('damaged-toc')
})

test('file names that lead elsewhere are damage', () => {
  for (const fileName of ['../../etc/passwd', '/tmp/x', '.', 'a/b']) {
    const toc = parseToc(buildArchiveToc({ statements: [{ tag: 'x', sql: 'select 1' }] }))
    const entries = toc.entries.map((one) => ({ ...one, fileName }))
    expect(parseOrCode(writeToc({ ...toc, entries }))).toBe('damaged-toc')
  }
})

test('COPY statements with anything in quotes', () => {
  expect(parseCopyStatement('COPY public.t (a, b) FROM stdin;\n')).toEqual({ table: 'public.t', columns: '(a, b)' })
  expect(parseCopyStatement('COPY public.t  FROM stdin;\n')).toEqual({ table: 'public.t', columns: '' })
  const name = fc.string({
    unit: fc.constantFrom('a', '"', '.', '(', ')', ',', ' ', "'", 'ü', ';', '\n', ' FROM stdin;'),
    minLength: 1,
  })
  const quote = (value: string) => `"${value.replaceAll('"', '""')}"`
  fc.assert(
    fc.property(name, name, fc.array(name, { minLength: 1 }), (schema, table, columns) => {
      const target = { table: `${quote(schema)}.${quote(table)}`, columns: `(${columns.map(quote).join(', ')})` }
      expect(parseCopyStatement(`COPY ${target.table} ${target.columns} FROM stdin;\n`)).toEqual(target)
    }),
  )
})

test('COPY statements that pg_dump does not write are refused', () => {
  for (const statement of [
    '',
    'COPY t',
    'COPY public.t (a) FROM stdin; drop table x;',
    "COPY public.t (a) FROM PROGRAM 'id';",
    'COPY (select 1) FROM stdin;',
    'COPY public.t (a) TO stdout;',
    'COPY public."t (a) FROM stdin;',
    'COPY public.t (a; drop table x; --) FROM stdin;\nx',
  ]) {
    expect(codeOf(() => parseCopyStatement(statement))).toBe('damaged-toc')
  }
})

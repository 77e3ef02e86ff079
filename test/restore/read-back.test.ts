import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { memoryLog } from '../../src/base/ports.ts'
import { parseConnection } from '../../src/postgres/connection.ts'
import { copyOut } from '../../src/postgres/copy-out.ts'
import { type Database, openDatabase, withClient } from '../../src/postgres/database.ts'
import { pageRanges, readings, type TableRead } from '../../src/restore/read-back.ts'
import { addFingerprints, type Fingerprint, LineFingerprinter } from '../../src/streams/fingerprint.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'

const MIB = 2 ** 20

test('every page lies in exactly one range, also pages beyond those that were counted', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5_000 }),
      fc.integer({ min: 1, max: 40 }),
      fc.nat(6_000),
      (pages, count, page) => {
        const ranges = pageRanges(pages, count)
        expect(ranges.length).toBeLessThanOrEqual(count)
        const bound = (range: string, side: string) => {
          const found = new RegExp(`ctid ${side} '\\((\\d+),0\\)'`).exec(range)?.[1]
          return found === undefined ? undefined : Number(found)
        }
        const holds = ranges.filter((range) => {
          const [from, to] = [bound(range, '>=') ?? 0, bound(range, '<') ?? Number.POSITIVE_INFINITY]
          return page >= from && page < to
        })
        expect(holds).toHaveLength(1)
      },
    ),
  )
})

describe.each(availableMajors())('PostgreSQL %i', (major) => {
  const { signal } = new AbortController()
  let server: TestServer
  let temp: string
  let database: Database

  beforeAll(async () => {
    temp = await mkdtemp(join(tmpdir(), 'lifeboat-read-back-'))
    server = await startServer(major)
    const url = await server.createDatabase('rows')
    await server.psql(
      'rows',
      `create table "Large ""one" (i int, "a""b" text, doubled int generated always as (i * 2) stored);
       insert into "Large ""one" select i, repeat(md5(i::text), 1 + i % 3) from generate_series(1, 30000) i;
       create table child () inherits ("Large ""one"); insert into child values (0, 'of the child');
       create table small (i int); insert into small values (1), (2);
       create view seen as select 1 as i`,
    )
    database = await openDatabase(parseConnection(url, {}), { temp, log: memoryLog(), env: process.env })
  })
  afterAll(async () => {
    await database?.close()
    await server?.stop()
    await rm(temp, { recursive: true, force: true })
  })

  const group = (own: string, columns: string, bytes: number, condition = '') => ({
    reads: [{ own, columns, condition, encoding: 'UTF8', bytes } satisfies TableRead],
  })
  const large = (bytes: number, condition?: string) => group('public."Large ""one"', '(i, "a""b")', bytes, condition)

  async function plan(groups: readonly ReturnType<typeof group>[], jobs: number) {
    return withClient(database, 'test', (client) => readings(client, groups, jobs))
  }
  async function sumOf(statements: readonly string[]): Promise<Fingerprint> {
    return withClient(database, 'test', async (client) => {
      const sums: Fingerprint[] = []
      for (const statement of statements) {
        const lines = new LineFingerprinter()
        await copyOut(client, statement, lines, signal)
        sums.push(lines.digest())
      }
      return addFingerprints(...sums)
    })
  }

  test('a table that is most of all is read in ranges, and they add up to it, without its children', async () => {
    const small = group('public.small', '(i)', 10)
    const queue = await plan([small, large(100 * MIB)], 4)
    const ranges = queue.filter(({ of }) => of !== small).map(({ statement }) => statement)
    expect(ranges).toHaveLength(7)
    expect(ranges.every((statement) => statement.includes('ctid'))).toBe(true)
    expect(queue.at(-1)?.of).toBe(small)
    const [whole] = await plan([large(100 * MIB)], 1)
    expect(whole?.statement).toBe(`copy public."Large ""one" (i, "a""b") to stdout (encoding 'UTF8')`)
    const sum = await sumOf([whole?.statement ?? ''])
    expect(sum.rows).toBe(30_000)
    expect(await sumOf(ranges)).toEqual(sum)
  })

  test('what cannot be cut, or need not be, is read at once', async () => {
    const cases = [
      large(10 * MIB),
      large(100 * MIB, 'where i < 100'),
      group('public.seen', '(i)', 100 * MIB),
      group('public.missing', '(i)', 100 * MIB),
    ]
    for (const one of cases) expect(await plan([one], 4)).toHaveLength(1)
    const [condition] = await plan([large(100 * MIB, 'where i < 100')], 4)
    expect((await sumOf([condition?.statement ?? ''])).rows).toBe(99)
    // Half of all over two connections: each has one table to read.
    expect(await plan([large(100 * MIB), group('public.small', '(i)', 100 * MIB)], 2)).toHaveLength(2)
  })
})

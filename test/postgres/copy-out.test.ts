import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { memoryLog } from '../../src/base/ports.ts'
import { parseConnection } from '../../src/postgres/connection.ts'
import { copyOut, MessageFilter } from '../../src/postgres/copy-out.ts'
import { type Database, openDatabase, withClient } from '../../src/postgres/database.ts'
import { LineFingerprinter } from '../../src/streams/fingerprint.ts'
import { message } from '../streams/support.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'

/** Takes CopyData as the kernel does, but keeps it. */
class KeepingSink {
  readonly #lines = new LineFingerprinter()
  readonly taken: Buffer[] = []

  updateMessages(chunk: Buffer): number {
    const length = this.#lines.updateMessages(chunk)
    this.taken.push(chunk.subarray(0, length))
    return length
  }
}

test('a filter takes out CopyData and passes on every other message, whole and in order, whatever the chunks', () => {
  const kind = fc.oneof(fc.constant(0x64), fc.constantFrom(...Buffer.from('HNSEcCZ')))
  const messages = fc.array(fc.tuple(kind, fc.uint8Array({ maxLength: 40 })), { maxLength: 12 })
  fc.assert(
    fc.property(messages, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (all, sizes) => {
      const passed: Buffer[] = []
      const sink = new KeepingSink()
      const filter = new MessageFilter(sink, (bytes) => void passed.push(bytes))
      const framed = all.map(([kind, payload]) => ({ kind, bytes: message(kind, Buffer.from(payload)) }))
      const wire = Buffer.concat(framed.map(({ bytes }) => bytes))
      for (let at = 0, turn = 0; at < wire.length; turn += 1) {
        const size = sizes[turn % sizes.length] ?? 1
        filter.take(wire.subarray(at, at + size))
        at += size
      }
      const of = (copied: boolean) =>
        Buffer.concat(framed.flatMap(({ kind, bytes }) => ((kind === 0x64) === copied ? [bytes] : [])))
      expect(Buffer.concat(passed)).toEqual(of(false))
      expect(Buffer.concat(sink.taken)).toEqual(of(true))
    }),
    { numRuns: 300 },
  )
})

describe('with a server', () => {
  const major = availableMajors().at(-1) ?? 0
  const { signal } = new AbortController()
  let server: TestServer
  let temp: string
  let database: Database

  beforeAll(async () => {
    temp = await mkdtemp(join(tmpdir(), 'lifeboat-copy-out-'))
    server = await startServer(major)
    const url = await server.createDatabase('rows')
    await server.psql(
      'rows',
      `create table t as select i, repeat('x', i % 300) as text, case when i % 1000 = 0 then repeat('y', 300000) end as long
        from generate_series(1, 20000) i;
       create table none (i int)`,
    )
    database = await openDatabase(parseConnection(url, {}), { temp, log: memoryLog(), env: process.env })
  })
  afterAll(async () => {
    await database?.close()
    await server?.stop()
    await rm(temp, { recursive: true, force: true })
  })

  async function read(statement: string, onBytes: () => void = () => {}, until = signal) {
    return withClient(database, 'test', (client) => readOn(client, statement, onBytes, until))
  }
  async function readOn(
    client: Parameters<typeof copyOut>[0],
    statement: string,
    onBytes: () => void = () => {},
    until = signal,
  ) {
    const lines = new LineFingerprinter()
    const updateMessages = (chunk: Buffer) => {
      const taken = lines.updateMessages(chunk)
      onBytes()
      return taken
    }
    await copyOut(client, statement, { updateMessages }, until)
    return lines.digest()
  }
  /** The same rows by another way. */
  async function printed(query: string) {
    const lines = new LineFingerprinter()
    lines.update(Buffer.from(`${await server.psql('rows', `copy (${query}) to stdout`)}\n`))
    return lines.digest()
  }

  test('the rows are those that the server sends, one statement after another on one connection', async () => {
    await withClient(database, 'test', async (client) => {
      const whole = await printed('select * from t')
      expect(whole.rows).toBe(20_000)
      expect(await readOn(client, 'copy public.t to stdout')).toEqual(whole)
      expect(await readOn(client, 'copy public.none to stdout')).toMatchObject({ rows: 0, bytes: 0 })
      expect((await client.query('select count(*)::int as n from public.t')).rows).toEqual([{ n: 20_000 }])
      expect(await readOn(client, 'copy public.t (i) to stdout')).toEqual(await printed('select i from t'))
    })
  })

  test('notices between the rows reach pg, and are no rows', async () => {
    await server.psql(
      'rows',
      `create function loud(i int) returns int language plpgsql as $$ begin raise notice 'row %', i; return i; end $$`,
    )
    await withClient(database, 'test', async (client) => {
      const notices: string[] = []
      client.on('notice', ({ message = '' }) => void notices.push(message))
      const rows = await readOn(client, 'copy (select public.loud(i) from generate_series(1, 500) i) to stdout')
      expect(rows).toEqual(await printed('select i from generate_series(1, 500) i'))
      expect(notices).toEqual(Array.from({ length: 500 }, (_, index) => `row ${index + 1}`))
    })
  })

  test('an error after many rows is the error of the statement, and the connection goes on', async () => {
    await withClient(database, 'test', async (client) => {
      const broken = readOn(client, 'copy (select 1 / (15000 - i), text from public.t order by i) to stdout')
      await expect(broken).rejects.toMatchObject({ code: '22012' })
      await expect(readOn(client, 'copy public.missing to stdout')).rejects.toMatchObject({ code: '42P01' })
      expect(await readOn(client, 'copy public.t to stdout')).toEqual(await printed('select * from t'))
    })
  })

  test('an abort ends it at once, also while the server is silent', async () => {
    const stop = new AbortController()
    const endless = read('copy (select generate_series(1, 1000000000)) to stdout', () => stop.abort(), stop.signal)
    await expect(endless).rejects.toThrow()
    const silence = new AbortController()
    const silent = read('copy (select pg_sleep(300)) to stdout', () => {}, silence.signal)
    setTimeout(() => silence.abort(), 200)
    await expect(silent).rejects.toThrow()
    await expect(read('copy public.t to stdout', () => {}, silence.signal)).rejects.toThrow('aborted')
  })
})

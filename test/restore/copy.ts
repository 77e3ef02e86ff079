import { execFile } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type pg from 'pg'
import type { Contents, DumpedTable } from '../../src/backup-set/documents.ts'
import { type Finding, statusOf } from '../../src/base/findings.ts'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import { parseConnection } from '../../src/postgres/connection.ts'
import { type Database, openDatabase } from '../../src/postgres/database.ts'
import { applySettings, type OwnSetting } from '../../src/postgres/database-settings.ts'
import { type DatabaseSetting, type Inventory, readInventory } from '../../src/postgres/inventory.ts'
import { parseToc, type TableDataEntry, type Toc, tableDataEntries } from '../../src/postgres/toc.ts'
import type { PostgresTools } from '../../src/postgres/tools.ts'
import { examine } from '../../src/restore/examine.ts'
import { readLargeObjects } from '../../src/restore/large-objects.ts'
import { type RestoreError, runPgRestore } from '../../src/restore/pg-restore.ts'
import type { TableProof } from '../../src/restore/proof.ts'
import { RootRows } from '../../src/restore/root-rows.ts'
import { copyRows } from '../../src/streams/copy-file.ts'
import { LineFingerprinter } from '../../src/streams/fingerprint.ts'
import { countingMeter } from '../base/counting-meter.ts'
import type { TestServer } from '../support/postgres.ts'

const run = promisify(execFile)
const { signal } = new AbortController()

/** What the proof says: every finding of every check, and the tables. */
export interface Judgement {
  findings: (Finding & { check: string })[]
  tables: TableProof[]
}

/** A database, and what pg_dump and pg_restore made of it on the same server. */
export interface Copy {
  /** Of the source, when it was copied. */
  inventory: Inventory
  errors: RestoreError[]
  /** Of the copy as it is now. */
  readCopy(): Promise<Inventory>
  /** The whole proof of a restore test, on the copy as it is now. */
  judge(): Promise<Judgement>
  close(): Promise<void>
}

/** Copies `from` into the new database `to`; `temp` is a directory for the archive. */
export async function copyDatabase(server: TestServer, from: string, to: string, temp: string): Promise<Copy> {
  const open = (url: string) =>
    openDatabase(parseConnection(url, {}), { temp, log: memoryLog(), env: process.env, signal })
  const source = await open(server.url(from))
  const restored = await open(await server.createDatabase(to))
  const archive = join(temp, 'archive')
  await run(join(server.bin, 'pg_dump'), ['-Fd', '-Z0', '--no-sync', '-f', archive], {
    env: await source.toolEnvironment(),
  })
  const toc = parseToc(await readFile(join(archive, 'toc.dat')))
  const rootRows = new RootRows(tableDataEntries(toc))
  const contents = await describe(source, toc, archive, rootRows)
  const { databaseSettings } = contents.inventory as Inventory
  const refusedSettings = await withClient(restored, (client) => applySettings(client, to, databaseSettings.map(parse)))
  const errors: RestoreError[] = []
  const tools = toolsOf(server)
  for (const section of ['pre-data', 'data', 'post-data'] as const) {
    errors.push(...(await runPgRestore({ tools, target: restored, archive, section, signal })))
  }
  return {
    errors,
    inventory: contents.inventory as Inventory,
    readCopy: () => withClient(restored, readInventory),
    judge: async () => {
      const checks = { contents, toc, rootRows, target: restored, errors, refusedSettings, jobs: 1 }
      const meter = countingMeter()
      const examination = await examine({ ...checks, clock: systemClock, signal, meter })
      const { expected, added } = meter.seen
      const isWhole = examination.checks.every(({ id, status }) => id === 'structure' || status !== 'failed')
      if (isWhole && added !== expected) throw new Error(`${added} bytes were read back, and ${expected} announced`)
      const findings = examination.checks.flatMap(({ id, findings: found, status }) => {
        if (status !== 'not run' && status !== statusOf(found)) throw new Error(`${id} is ${status}`)
        return found.map((finding) => ({ ...finding, check: id }))
      })
      return { findings, tables: examination.tables }
    },
    close: async () => {
      await source.close()
      await restored.close()
    },
  }
}

/** The contents that a dump would have recorded. */
function describe(source: Database, toc: Toc, archive: string, rootRows: RootRows): Promise<Contents> {
  return withClient(source, async (client) => {
    await client.query('begin isolation level repeatable read read only')
    const inventory = await readInventory(client)
    const tables: DumpedTable[] = []
    for (const entry of tableDataEntries(toc)) tables.push(await describeTable(entry, archive, rootRows))
    const { encoding, localeProvider, collate, ctype, locale, icuRules } = inventory.database
    return {
      kind: 'pg-lifeboat contents',
      format: 1,
      database: 'test',
      id: 'test',
      files: [],
      tables,
      largeObjects: await readLargeObjects(client, signal),
      excluded: [],
      pins: [],
      databaseFacts: { encoding, localeProvider, collate, ctype, locale, icuRules, settings: [] },
      roles: inventory.roles,
      inventory,
    }
  })
}

function parse({ role, setting }: DatabaseSetting): OwnSetting {
  const [, name = '', value = ''] = /^([^=]*)=(.*)$/s.exec(setting) ?? []
  return { role, name, value }
}

async function withClient<T>(database: Database, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await database.connect('test')
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function describeTable(entry: TableDataEntry, archive: string, rootRows: RootRows): Promise<DumpedTable> {
  const { dumpId, schema, name, fileName, table } = entry
  const lines = new LineFingerprinter()
  for await (const chunk of rootRows.watch(entry, copyRows(createReadStream(join(archive, fileName))))) {
    lines.update(chunk)
  }
  return { dumpId, schema, name, file: fileName, loadsInto: table, fingerprint: lines.digest() }
}

function toolsOf({ major, bin }: TestServer): PostgresTools {
  return { major, version: `${major}`, bin, origin: 'test', path: (tool) => join(bin, tool) }
}

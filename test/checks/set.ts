import type { KeyObject } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Contents, Head, Manifest } from '../../src/backup-set/documents.ts'
import { readCatalog } from '../../src/backup-set/find.ts'
import { setsBefore } from '../../src/backup-set/history.ts'
import { newSetId } from '../../src/backup-set/layout.ts'
import type { Slice } from '../../src/backup-set/slices.ts'
import type { CheckResult } from '../../src/base/findings.ts'
import { type Clock, memoryLog, systemClock } from '../../src/base/ports.ts'
import { silentMeter } from '../../src/base/progress.ts'
import type { WatchedWorkflow } from '../../src/base/workflows.ts'
import { checksOf, type Mode, runChecks } from '../../src/checks/check.ts'
import type { Limits } from '../../src/checks/context.ts'
import { factsAbout } from '../../src/checks/facts.ts'
import { CHECKS } from '../../src/checks/modes.ts'
import { Bundler } from '../../src/dump/bundler.ts'
import { publishSet } from '../../src/dump/publish.ts'
import { SetWriter } from '../../src/dump/set-writer.ts'
import { type FileContent, sealFile } from '../../src/dump/table-files.ts'
import type { Inventory, TableFacts } from '../../src/postgres/inventory.ts'
import type { LiveDatabase } from '../../src/postgres/live-database.ts'
import { SESSION_PINS } from '../../src/postgres/pins.ts'
import { parseTablePattern } from '../../src/postgres/table-names.ts'
import { type Toc, type TocEntry, writeToc } from '../../src/postgres/toc.ts'
import type { Storage } from '../../src/storage/storage.ts'
import type { AgeIdentity } from '../../src/streams/age.ts'
import { addFingerprints } from '../../src/streams/fingerprint.ts'

const END = '\\.\n\n\n'
const SMALL = Buffer.from(`1\tone\n2\ttwo\n${END}`)
const LARGE = Buffer.from(`${Array.from({ length: 90_000 }, (_, n) => `${n}\trow ${n * 7}\n`).join('')}${END}`)
const OBJECT = Buffer.from('the content of a large object')

export interface SetOptions {
  takenAt: Date
  recipients?: readonly string[]
  signingKey?: KeyObject
  content?: Manifest['content']
  /** How much of the large table's rows there are. */
  share?: number
  segmentBytes?: number
  /** The text of roles.sql; null: there is none. */
  roles?: string | null
  /** Of the manifest, instead of what is usual. */
  source?: Partial<Manifest['source']>
  clockSkewSeconds?: number
  /** What a faulty dump would have written. */
  alter?: (parts: { contents: Contents; toc: Toc; inventory: Inventory }) => unknown
}

function entryOf(dumpId: number, tag: string, desc: string, more: Partial<TocEntry>): TocEntry {
  const nothing = {
    hadDumper: true,
    tableOid: 0,
    oid: 16_000 + dumpId,
    section: 'data',
    defn: '',
    dropStmt: '',
  } as const
  const rest = {
    copyStmt: null,
    namespace: 'public',
    tablespace: null,
    tableAm: null,
    relkind: '',
    owner: 'o',
  } as const
  return { dumpId, tag, desc, ...nothing, ...rest, dependencies: [], ...more }
}

function tocOf(): Toc {
  const copy = (table: string) => `COPY public.${table} (id, text) FROM stdin;\n`
  return {
    version: '1.16',
    format: 'directory',
    textEncoding: 'utf8',
    offsetSize: 8,
    compression: 0,
    createdAt: '2026-11-22T02:17:04',
    daylightSaving: 0,
    database: 'shop',
    serverVersion: '17.12',
    dumpVersion: '17.12',
    entries: [
      entryOf(10, 'small', 'TABLE DATA', { copyStmt: copy('small'), fileName: '10.dat' }),
      entryOf(11, 'large', 'TABLE DATA', { copyStmt: copy('large'), fileName: '11.dat' }),
      entryOf(12, '50000', 'BLOBS', { fileName: 'blobs_12.toc' }),
      entryOf(13, '50000', 'BLOB METADATA', { defn: '50000\n', section: 'pre-data' }),
      entryOf(14, 'counter', 'SEQUENCE SET', { defn: `SELECT pg_catalog.setval('public.counter', 7, true);\n` }),
    ],
  }
}

export function tableFacts(oid: number, name: string, more: Partial<TableFacts> = {}): TableFacts {
  return {
    oid,
    schema: 'public',
    name,
    identity: `public.${name}`,
    kind: 'r',
    persistence: 'p',
    owner: 'app',
    filenode: oid,
    snapshotFilenode: oid,
    parents: [],
    isPartition: false,
    rowSecurity: false,
    forceRowSecurity: false,
    approximateRows: 10,
    bytes: 8_192,
    populated: true,
    ...more,
  }
}

/** What the catalog of the database told that `buildSet` has dumped. */
export function inventoryOf(): Inventory {
  const place = { schema: 'public', name: 'counter', identity: 'public.counter', persistence: 'p' } as const
  const range = { increment: '1', minimum: '1', maximum: '9999', start: '1', cache: '1', cycle: false }
  const locale = { localeProvider: 'libc', collate: 'C', ctype: 'C', locale: null, icuRules: null } as const
  return {
    serverVersion: '17.12',
    database: {
      name: 'shop',
      owner: 'app',
      encoding: 'UTF8',
      ...locale,
      collationVersion: null,
      comment: null,
      acl: [],
    },
    tables: [
      tableFacts(16_010, 'small', { approximateRows: 2 }),
      tableFacts(16_011, 'large', { approximateRows: 90_000 }),
    ],
    sequences: [{ oid: 16_014, ...place, ...range, dataType: 'bigint', lastValue: '7', isCalled: true }],
    objects: ['small', 'large'].map((name) => ({ kind: 'table', identity: `public.${name}`, facts: { owner: 'app' } })),
    largeObjects: 1,
    largeObjectIds: [50_000],
    extensions: [],
    databaseSettings: [],
    roles: ['app', 'Odd "one"'],
    superuserRoles: [],
  }
}

const ROLES = 'CREATE ROLE app;\nALTER ROLE app WITH LOGIN;\nCREATE ROLE "Odd ""one""";\n'

/** Writes and publishes a small set with a table in a bundle, one in segments, and a large object. */
export async function buildSet(storage: Storage, options: SetOptions): Promise<Head> {
  const { takenAt, recipients = [], content = 'whole', share = 1, segmentBytes = 1 << 19 } = options
  const id = newSetId(takenAt, 'nightly')
  const { signal } = new AbortController()
  const writer = new SetWriter({ storage, database: 'shop', id, sealing: { level: 1, recipients }, signal })
  const bundles = new Map<string, string>()
  const bundler = new Bundler(writer.store, (bundle, names) => {
    for (const name of names) bundles.set(name, bundle)
  })
  const largeRows = LARGE.subarray(0, LARGE.indexOf('\n', Math.floor((LARGE.length - 10) * share)) + 1)
  const large = Buffer.concat([share === 1 ? LARGE.subarray(0, -END.length) : largeRows, Buffer.from(END)])
  const seal = (name: string, kind: FileContent, bytes: Buffer) => {
    const chunks = (async function* () {
      yield bytes
    })()
    return sealFile({ name, content: kind, chunks, store: writer.store, bundler, segmentBytes })
  }
  const sealed = [
    await seal('10.dat', { kind: 'rows' }, SMALL),
    await seal('11.dat', { kind: 'rows' }, large),
    await seal('blob_50000.dat', { kind: 'large object', oid: 50_000 }, OBJECT),
    await seal('blobs_12.toc', { kind: 'other' }, Buffer.from('50000 blob_50000.dat\n')),
  ]
  await bundler.flush()
  const fingerprint = (index: number) =>
    addFingerprints(...(sealed[index]?.fingerprint ? [sealed[index].fingerprint] : []))
  const tables = ['small', 'large'].map((name, index) => ({
    dumpId: 10 + index,
    schema: 'public',
    name,
    file: `${10 + index}.dat`,
    loadsInto: `public.${name}`,
    fingerprint: fingerprint(index),
  }))
  const inventory = inventoryOf()
  const contents: Contents = {
    kind: 'pg-lifeboat contents',
    format: 1,
    database: 'shop',
    id,
    files: sealed.map(({ file }) => {
      const bundle = bundles.get(file.name)
      return bundle === undefined ? file : { ...file, bundle }
    }),
    tables,
    largeObjects: { count: 1, fingerprint: fingerprint(2) },
    excluded: [],
    pins: SESSION_PINS.map(([name, value]) => [name, value]),
    databaseFacts: {
      encoding: 'UTF8',
      localeProvider: 'libc',
      collate: 'C',
      ctype: 'C',
      locale: null,
      icuRules: null,
      settings: [],
    },
    roles: inventory.roles,
    inventory,
  }
  const toc = tocOf()
  options.alter?.({ contents, toc, inventory })
  const tocBytes = (async function* () {
    yield writeToc(toc)
  })()
  await writer.store({ path: 'database/toc.dat', content: tocBytes })
  const { roles = ROLES } = options
  if (roles !== null) await writer.store({ path: 'roles.sql', content: Readable.from([Buffer.from(roles)]) })
  const rows = tables.reduce((sum, table) => sum + table.fingerprint.rows, 0)
  const plainBytes = sealed.reduce((sum, { file }) => sum + file.plainBytes, 0)
  const source = {
    systemIdentifier: '7412345678901234567',
    database: 'shop',
    serverVersion: '17.12',
    serverMajor: 17,
    standby: false,
    lsn: null,
    ...options.source,
  }
  const manifest = {
    kind: 'pg-lifeboat manifest' as const,
    format: 1 as const,
    database: 'shop',
    id,
    takenAt: takenAt.toISOString(),
    content,
    source,
    tools: { pgDump: '17.12', lifeboat: '0.1.0' },
    sealing: { compression: 'zstd' as const, level: 1, recipients: [...recipients] },
    dumpSeconds: 1,
    ...(options.clockSkewSeconds !== undefined && { clockSkewSeconds: options.clockSkewSeconds }),
  }
  const { signingKey } = options
  const history = content === 'whole' ? await setsBefore(storage, 'shop', takenAt) : []
  const publication = { contents, manifest, tables: tables.length, rows, plainBytes, history, attachesInLevels: false }
  return publishSet(writer, signingKey === undefined ? publication : { ...publication, signingKey })
}

export const NOW = new Date('2026-11-22T12:00:00Z')
export const clock: Clock = { ...systemClock, now: () => NOW }

export function hoursAgo(hours: number): Date {
  return new Date(NOW.getTime() - hours * 3_600_000)
}

export interface CheckOptions extends Partial<Limits> {
  identities?: readonly AgeIdentity[]
  verifyKeys?: readonly KeyObject[]
  newest?: boolean
  slice?: Slice
  tables?: readonly string[]
  live?: LiveDatabase
  workflows?: () => Promise<WatchedWorkflow[]>
}

export interface Checked {
  /** `id: status`, in the order in which the checks were carried out. */
  statuses: Record<string, string>
  summaries: Record<string, string>
  /** `id severity: message` */
  findings: string[]
  results: CheckResult[]
  bytesRead: number | undefined
}

/** Carries out the checks of a mode over a set. */
export async function check(storage: Storage, head: Head, mode: Mode, options: CheckOptions = {}): Promise<Checked> {
  const { identities = [], verifyKeys = [], newest = true, slice, tables = [], live, workflows, ...limits } = options
  const catalog = await readCatalog(storage, 'shop', verifyKeys)
  const { signal } = new AbortController()
  const facts = factsAbout({
    storage,
    catalog,
    head,
    identities,
    verifyKeys,
    tables: tables.map((text) => parseTablePattern(text)).filter((pattern) => pattern !== undefined),
    ...(slice && { slice }),
    progress: (work) => work(silentMeter),
    ...(live && { live: async () => live }),
    ...(workflows && { workflows }),
    signal,
  })
  const context = { storage, catalog, head, newest, looksAtServer: live !== undefined, ...(slice && { slice }) }
  const results = await runChecks(checksOf(mode, CHECKS), {
    ...context,
    ...LIMITS,
    ...limits,
    clock,
    log: memoryLog(),
    signal,
    ...facts,
  })
  return {
    statuses: Object.fromEntries(results.map(({ id, status }) => [id, status])),
    summaries: Object.fromEntries(results.map(({ id, summary }) => [id, summary])),
    findings: results.flatMap(({ id, findings }) =>
      findings.map(({ severity, message }) => `${id} ${severity}: ${message}`),
    ),
    results,
    bytesRead: mode === 'integrity' ? (await facts.reading().catch(() => undefined))?.bytesRead : undefined,
  }
}

/** What the inputs of action-verify are by default. */
export const LIMITS: Limits = {
  maxAge: 30 * 3_600,
  sizeChangeWarn: 0.2,
  sizeChangeFail: 0.5,
  maxRestoreTestAge: 35 * 86_400,
  walLagWarn: 300,
  walLagFail: 900,
  acceptSource: [],
  required: new Set(),
}

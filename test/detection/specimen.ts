import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import { silentMeter } from '../../src/base/progress.ts'
import { dumpDatabase } from '../../src/dump/dump.ts'
import { parseConnection } from '../../src/postgres/connection.ts'
import { type Database, openDatabase } from '../../src/postgres/database.ts'
import { type LiveDatabase, lookAtDatabase } from '../../src/postgres/live-database.ts'
import { type ScratchCluster, startScratchCluster } from '../../src/postgres/scratch-cluster.ts'
import { findTools, type PostgresTools } from '../../src/postgres/tools.ts'
import { openDirectory } from '../../src/storage/directory.ts'
import { type AgeIdentity, parseIdentities } from '../../src/streams/age.ts'
import { availableMajors, binDirectory, startServer, type TestServer } from '../support/postgres.ts'
import { Bench } from './bench.ts'

/** The same wherever it is there; the page names none. */
const MAJORS = availableMajors()
const MAJOR = MAJORS.includes(17) ? 17 : (MAJORS.at(-1) ?? 0)
const { signal } = new AbortController()

/** Two tables in parts of their own, with columns of the same types; one, the list and the large object in a bundle. */
const SHOP = `
  create role shop_owner;
  create table customers (id integer primary key, name text);
  insert into customers select n, 'customer ' || n from generate_series(1, 200) n;
  create table orders (id integer primary key, note text);
  insert into orders select n, 'order ' || n || repeat(' of things', 9) from generate_series(1, 12000) n;
  create table readings (id integer primary key, note text);
  insert into readings select n, 'reading ' || n || repeat(' of a meter', 9) from generate_series(1, 12000) n;
  create sequence invoices;
  select setval('invoices', 4711);
  select lo_from_bytea(50000, 'the content of a large object'), lo_from_bytea(50001, 'and of another');
  alter table customers owner to shop_owner;
  analyze;
`
const CRM = `
  create table contacts (id integer primary key, mail text);
  insert into contacts select n, 'somebody@example.org' from generate_series(1, 100) n;
`

/** Real sets, and what it takes to look at damaged copies of them. */
export interface Specimen {
  tools: PostgresTools
  /** One for all restores, each of which has a database of its own. */
  cluster: ScratchCluster
  temp: string
  identities: readonly AgeIdentity[]
  /** Of nobody who could read the sets. */
  otherIdentities: readonly AgeIdentity[]
  signingKey: KeyObject
  verifyKeys: readonly KeyObject[]
  /** What the server of `shop` says now: it has not changed since the dump. */
  live(): Promise<LiveDatabase>
  /** A copy of the storage; `remove()` it. */
  bench(): Promise<Bench>
  close(): Promise<void>
}

/**
 * Dumps two databases: `shop` twice, the first time 40 hours ago by what its documents say, and `crm`. The sets are
 * encrypted and signed.
 */
export async function makeSpecimen(): Promise<Specimen> {
  const temp = await mkdtemp(join(tmpdir(), 'lifeboat-detection-'))
  const log = memoryLog()
  const env = { PATH: process.env.PATH, LIFEBOAT_POSTGRES_DIRS: join(binDirectory(MAJOR), '..', '..') }
  const tools = await findTools({ major: MAJOR, need: 'server', env, log, install: false })
  const [server, cluster] = await Promise.all([
    startServer(MAJOR),
    startScratchCluster({ tools, parent: tmpdir(), log, env: process.env, signal }),
  ])
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const identity = await generateIdentity()
  const [identities, otherIdentities] = [
    await parseIdentities(identity),
    await parseIdentities(await generateIdentity()),
  ]
  const recipient = await identityToRecipient(identity)
  const original = join(temp, 'original')
  const access = { identities, recipients: [recipient], signingKey: privateKey }
  await dumpAll(server, { tools, temp, directory: original, recipient, signingKey: privateKey })
  const bench = await Bench.open(original, access)
  await bench.reseal({ id: bench.older }, (plain) => plain.date(new Date(Date.now() - 40 * 3_600_000)))
  const live = withSource(server, 'shop', temp, (database) =>
    lookAtDatabase({ database, tables: [], walLagSeconds: 300, clock: systemClock, signal }),
  )
  return {
    tools,
    cluster,
    temp,
    identities,
    otherIdentities,
    signingKey: privateKey,
    verifyKeys: [publicKey],
    live: () => live,
    bench: async () => {
      const directory = await mkdtemp(join(temp, 'copy-'))
      await cp(original, directory, { recursive: true })
      return Bench.open(directory, access)
    },
    close: async () => {
      await Promise.all([server.stop(), cluster.stop()])
      await rm(temp, { recursive: true, force: true })
    },
  }
}

interface Dumping {
  tools: PostgresTools
  temp: string
  directory: string
  recipient: string
  signingKey: KeyObject
}

async function dumpAll(server: TestServer, dumping: Dumping): Promise<void> {
  await Promise.all([server.createDatabase('shop'), server.createDatabase('crm')])
  await server.psql('shop', SHOP)
  await server.psql('crm', CRM)
  await dump(server, 'shop', dumping)
  await dump(server, 'shop', dumping)
  // The newest also among those of shop, where it is copied to.
  await dump(server, 'crm', dumping)
}

async function withSource<T>(
  server: TestServer,
  database: string,
  temp: string,
  work: (source: Database) => Promise<T>,
): Promise<T> {
  const settings = parseConnection(server.url(database), {})
  const source = await openDatabase(settings, { temp, log: memoryLog(), env: process.env, signal })
  try {
    return await work(source)
  } finally {
    await source.close()
  }
}

async function dump(server: TestServer, database: string, dumping: Dumping): Promise<void> {
  const { tools, directory, recipient, signingKey } = dumping
  const temp = await mkdtemp(join(dumping.temp, 'dump-'))
  await withSource(server, database, temp, (source) =>
    dumpDatabase({
      storage: openDirectory({ directory, url: 'file:///backups' }, { clock: systemClock }),
      source,
      tools,
      temp,
      database,
      label: 'nightly',
      selection: { content: 'all', tables: [], excludeTables: [], excludeTableData: [] },
      jobs: 2,
      compressionLevel: 1,
      recipients: [recipient],
      signingKey,
      spoolLimitBytes: 1 << 30,
      maxPauseSeconds: 60,
      lockWaitSeconds: 10,
      lifeboatVersion: '0.1.0',
      secrets: [],
      clock: systemClock,
      log: memoryLog(),
      signal,
      stage: (_id, _title, work) => work(silentMeter),
    }),
  )
}

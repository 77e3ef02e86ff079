import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import { memoryLog } from '../../src/base/ports.ts'
import { formatDuration } from '../../src/base/units.ts'
import { type ScratchCluster, startScratchCluster } from '../../src/postgres/scratch-cluster.ts'
import { findTools, type PostgresTools } from '../../src/postgres/tools.ts'
import { postgresDirectories } from '../lib/postgres-dirs.ts'
import { runScript } from './commands.ts'
import { DATABASES, type DatabaseName } from './databases.ts'
import { type BenchOptions, FOLDER } from './options.ts'

const LOCALE = { encoding: 'UTF8', localeProvider: 'libc', collate: 'C.UTF-8', ctype: 'C.UTF-8' } as const

/** What all experiments share: the source server, a directory, a key, what stops everything. */
export interface Workbench {
  readonly options: BenchOptions
  readonly tools: PostgresTools
  readonly source: ScratchCluster
  readonly signal: AbortSignal
  readonly recipient: string
  readonly identity: string
  readonly identityFile: string
  say(text: string): void
  /** A new, empty directory; removed in the end, if nobody did so before. */
  directory(name: string): Promise<string>
  /** Another server, empty, started with the very same settings. */
  startServer(): Promise<ScratchCluster>
  /** Makes the database if it is not there. */
  prepare(name: DatabaseName): Promise<void>
  /** Drops a database that nothing needs any more. */
  forget(name: DatabaseName): Promise<void>
  /** The PG* variables of a database of a server (default: the source), with a PATH that begins with its tools. */
  connection(database: string, server?: ScratchCluster): Record<string, string>
  /** What psql prints for these statements, unaligned. */
  query(database: string, sql: string): Promise<string>
  /** The variables by which the actions find PostgreSQL. */
  readonly toolEnvironment: Record<string, string>
  close(): Promise<void>
}

/** Starts the source server. Everything is stopped and removed by `close()`; the servers also if this process dies. */
export async function openWorkbench(options: BenchOptions, signal: AbortSignal): Promise<Workbench> {
  const toolEnvironment = { LIFEBOAT_POSTGRES_DIRS: postgresDirectories(process.env).join(':') }
  const env = { ...process.env, ...toolEnvironment }
  const log = memoryLog()
  const tools = await findTools({ major: options.major, need: 'server', env, log, signal, install: false })
  await mkdir(FOLDER, { recursive: true })
  const root = await mkdtemp(path.join(FOLDER, 'work-'))
  const startServer = () => startScratchCluster({ tools, parent: root, log, env, signal })
  try {
    const identity = await generateIdentity()
    const identityFile = path.join(root, 'identity.txt')
    await writeFile(identityFile, `${identity}\n`, { mode: 0o600 })
    const recipient = await identityToRecipient(identity)
    const source = await startServer()
    const facts = { options, tools, source, signal, recipient, identity, identityFile, toolEnvironment, startServer }
    return { ...facts, ...services({ ...facts, root }) }
  } catch (error) {
    await rm(root, { recursive: true, force: true })
    throw error
  }
}

type Facts = Pick<Workbench, 'options' | 'tools' | 'source' | 'signal'> & { root: string }

function services({ options, tools, source, signal, root }: Facts) {
  const made = new Set<string>()
  const connection = (database: string, server = source) => ({
    PATH: `${tools.bin}:${process.env.PATH ?? '/usr/bin:/bin'}`,
    LC_ALL: 'C.UTF-8',
    PGHOST: '127.0.0.1',
    PGPORT: String(server.port),
    PGUSER: 'postgres',
    PGPASSWORD: server.password,
    PGDATABASE: database,
  })
  const query = async (database: string, sql: string) => {
    const script = 'psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"'
    const { stdout } = await runScript({ script, args: [sql], env: connection(database), cwd: root, signal })
    return stdout.trim()
  }
  return {
    connection,
    query,
    say: (text: string) => console.log(text),
    directory: (name: string) => mkdtemp(path.join(root, `${name}-`)),
    prepare: async (name: DatabaseName) => {
      if (made.has(name)) return
      const began = performance.now()
      await createDatabase(source, name)
      await query(name, `begin; ${DATABASES[name](options.scale)} commit`)
      // As autovacuum would have left it: no reader writes hint bits, and the planner knows its tables.
      await query(name, 'vacuum (freeze, analyze)')
      made.add(name)
      const size = await query(name, 'select pg_size_pretty(pg_database_size(current_database()))')
      console.log(`  database ${name}: ${size}, made in ${formatDuration((performance.now() - began) / 1_000)}`)
    },
    forget: async (name: DatabaseName) => {
      if (made.delete(name)) await query('postgres', `drop database ${name} with (force)`)
    },
    close: async () => {
      await source.stop()
      await rm(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
    },
  }
}

/** An empty database as all of these are; its handle is closed: the actions and tools connect by themselves. */
export async function createDatabase(server: ScratchCluster, name: string): Promise<void> {
  const database = await server.createDatabase({ name, ...LOCALE })
  await database.close()
}

import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startServer, type TestServer } from '../support/postgres.ts'

const FIXTURES = new URL('../fixtures/gauntlet/', import.meta.url)

/** Capitals, quotes, spaces, a line end, what a shell or libpq would take for something else, and a leading dash. */
export const GAUNTLET_DATABASE = `-Gäuntlet "Q" 'x'\n$HOME {=} %0A 数据 \\`

/** Row content of the fixtures, which no run may show. */
export const CANARIES = ['canary-texts-5519', 'canary-index-7093', 'canary-grant-1168', 'canary-array-4426']

/** Runs the files of `test/fixtures/gauntlet` in one session of the superuser, with these psql variables. */
export async function runFixtures(
  server: TestServer,
  database: string,
  names: readonly string[],
  variables: Readonly<Record<string, string | number>> = {},
): Promise<void> {
  const texts = await Promise.all(names.map((name) => readFile(new URL(`${name}.sql`, FIXTURES), 'utf8')))
  const sets = Object.entries(variables).map(([name, value]) => `\\set ${name} ${value}\n`)
  await server.psql(database, [...sets, ...texts].join('\n'))
}

const FILES = ['gauntlet', 'names', 'values', 'tables', 'code', 'kinds']

const EXTENSION = `
  create table @extschema@.gauntlet_config (k text primary key, v text);
  insert into @extschema@.gauntlet_config values ('shipped', 'by the extension');
  create table @extschema@.gauntlet_all (id integer, v text);
  create table @extschema@.gauntlet_private (id integer);
  insert into @extschema@.gauntlet_private values (1);
  create sequence @extschema@.gauntlet_seq;
  select pg_catalog.pg_extension_config_dump('gauntlet_config', $$where k <> 'shipped'$$);
  select pg_catalog.pg_extension_config_dump('gauntlet_all', '');
  select pg_catalog.pg_extension_config_dump('gauntlet_seq', '');
`

export interface TestExtension {
  name: string
  remove(): Promise<void>
}

/**
 * Puts an extension of SQL alone where servers of these binaries look for extensions, under a name that nobody else has.
 * PostgreSQL before 18 looks in one directory only, so that this must be writable: as root, or in an unpacked server of
 * one's own.
 */
export async function installExtension(server: TestServer): Promise<TestExtension> {
  const share = await server.psql('postgres', `select setting from pg_config where name = 'SHAREDIR'`)
  return writeExtension(join(share, 'extension'))
}

/** The same in a new directory, for `extension_control_path` (PostgreSQL 18). */
export async function installExtensionApart(): Promise<TestExtension & { directory: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'lifeboat-gauntlet-'))
  await mkdir(join(directory, 'extension'))
  await chmod(directory, 0o755)
  const { name } = await writeExtension(join(directory, 'extension'))
  return { name, directory, remove: () => rm(directory, { recursive: true, force: true }) }
}

async function writeExtension(folder: string): Promise<TestExtension> {
  const name = `lifeboat_gauntlet_${process.pid}`
  const [control, script] = [join(folder, `${name}.control`), join(folder, `${name}--1.0.sql`)]
  await writeFile(control, `comment = 'for a test'\ndefault_version = '1.0'\nrelocatable = false\n`)
  await writeFile(script, EXTENSION)
  return { name, remove: async () => void (await Promise.all([rm(control), rm(script)])) }
}

/** The gauntlet's servers: one for each major, built when it is first asked for. */
export class Gauntlets {
  readonly #servers = new Map<number, Promise<TestServer>>()
  readonly #endings: (() => Promise<void>)[] = []

  server(major: number): Promise<TestServer> {
    const known = this.#servers.get(major)
    if (known) return known
    const server = this.#build(major)
    this.#servers.set(major, server)
    return server
  }

  async #build(major: number): Promise<TestServer> {
    const server = await startServer(major, { settings: { max_locks_per_transaction: '256', wal_level: 'logical' } })
    this.#endings.push(() => server.stop())
    const extension = await installExtension(server)
    this.#endings.push(extension.remove)
    await server.createDatabase(GAUNTLET_DATABASE)
    const files = [...FILES, ...(major >= 18 ? ['postgres-18'] : []), 'settings']
    await runFixtures(server, GAUNTLET_DATABASE, files, { extension: extension.name })
    return server
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#servers.values())
    await Promise.all(this.#endings.map((end) => end()))
  }
}

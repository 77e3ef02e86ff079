import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Log } from '../base/ports.ts'
import type { Database } from '../postgres/database.ts'
import { scrub } from '../postgres/scrub.ts'
import type { PostgresTools } from '../postgres/tools.ts'
import type { Source, StoreStream } from './set-writer.ts'

const run = promisify(execFile)

export interface RolesSourceOptions {
  tools: PostgresTools
  database: Database
  /** The roles that the schema names, for when the server lets nobody list them. */
  named: readonly string[]
  secrets: readonly string[]
  log: Log
  signal: AbortSignal
}

/** `roles.sql`: the cluster's roles and memberships, without password hashes. */
export class RolesSource implements Source {
  readonly name = 'roles'
  /** Why the roles are only those that the schema names; undefined if pg_dumpall gave them all. */
  incomplete: string | undefined
  readonly #options: RolesSourceOptions

  constructor(options: RolesSourceOptions) {
    this.#options = options
  }

  async pour(store: StoreStream): Promise<void> {
    await store({ path: 'roles.sql', content: single(await this.#read()) })
  }

  async #read(): Promise<Buffer> {
    const { tools, database, named, secrets, signal } = this.#options
    try {
      const { stdout } = await run(
        tools.path('pg_dumpall'),
        ['--roles-only', '--no-role-passwords', '--no-password', `--database=${conninfo(database.settings.database)}`],
        { env: await database.toolEnvironment(), encoding: 'buffer', maxBuffer: 64 << 20, signal },
      )
      return stdout
    } catch (error) {
      signal.throwIfAborted()
      const stderr = (error as { stderr?: Buffer }).stderr?.toString('utf8') ?? ''
      const lines = scrub(stderr, [...secrets])
        .trim()
        .split('\n')
      this.incomplete = lines.find((line) => line.includes('error: ')) || lines.at(-1) || 'pg_dumpall failed'
      return Buffer.from(named.map((role) => `CREATE ROLE ${pg.escapeIdentifier(role)};\n`).join(''))
    }
  }
}

/** pg_dumpall reads the name as a connection string: a database may be called `a=b`. */
function conninfo(database: string): string {
  return `dbname='${database.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

async function* single(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

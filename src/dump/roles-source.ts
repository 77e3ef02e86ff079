import type { Readable } from 'node:stream'
import pg from 'pg'
import { messageOf } from '../base/errors.ts'
import type { Log } from '../base/ports.ts'
import type { Database } from '../postgres/database.ts'
import { ProcessGroup } from '../postgres/process-group.ts'
import { scrub } from '../postgres/scrub.ts'
import type { PostgresTools } from '../postgres/tools.ts'
import type { Source, StoreStream } from './set-writer.ts'

const MOST_BYTES = 64 << 20

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
    const { named, secrets, signal } = this.#options
    const { bytes, stderr } = await this.#runPgDumpAll().catch((error: unknown) => ({
      bytes: undefined,
      stderr: messageOf(error),
    }))
    signal.throwIfAborted()
    if (bytes !== undefined) return bytes
    const lines = scrub(stderr, [...secrets])
      .trim()
      .split('\n')
    this.incomplete = lines.find((line) => line.includes('error: ')) || lines.at(-1) || 'pg_dumpall failed'
    return Buffer.from(named.map((role) => `CREATE ROLE ${pg.escapeIdentifier(role)};\n`).join(''))
  }

  /** What it wrote; without bytes if it failed, or wrote more than anybody's roles take. */
  async #runPgDumpAll(): Promise<{ bytes?: Buffer; stderr: string }> {
    const { tools, database, signal } = this.#options
    const args = ['--roles-only', '--no-role-passwords', '--no-password']
    args.push(`--database=${conninfo(database.settings.database)}`)
    const chunks: Buffer[] = []
    let size = 0
    const onOutput = (stdout: Readable) =>
      stdout.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size <= MOST_BYTES) chunks.push(chunk)
        else void group.stop()
      })
    const env = await database.toolEnvironment()
    const group = await ProcessGroup.start(tools.path('pg_dumpall'), args, { env, signal, onOutput })
    const { code, stderr } = await group.ended
    return code === 0 && size <= MOST_BYTES ? { bytes: Buffer.concat(chunks), stderr } : { stderr }
  }
}

/** pg_dumpall reads the name as a connection string: a database may be called `a=b`. */
function conninfo(database: string): string {
  return `dbname='${database.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

async function* single(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

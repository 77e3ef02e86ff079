import { randomInt } from 'node:crypto'
import pg from 'pg'
import { codeOf, LifeboatError } from '../base/errors.ts'
import type { ConnectionSettings } from './connection.ts'
import { connectionUrl } from './connection-url.ts'
import { type Database, type OpenOptions, openDatabase } from './database.ts'
import { createScratchDatabase, type DatabaseSpec, type Ground } from './scratch-database.ts'

const { escapeIdentifier, escapeLiteral } = pg

/** Names of databases are cut off there by the server, in bytes. */
const MOST_NAME_BYTES = 63
const MARK = 'pg-lifeboat restore test'
const DAY_MS = 86_400_000

/** What a run has made on a server of the user's, or is about to make: enough to find it again, and nothing else. */
export interface Made {
  database: string
  /** The comment on the database, and on the roles that were made for it. Nothing without it is ever dropped. */
  mark: string
}

/** What the backup says of the server that it was taken from. */
export interface DumpedServer {
  systemIdentifier: string | null
  serverMajor: number
}

export interface TargetOptions extends OpenOptions {
  /** What the user calls the database. */
  database: string
  source: DumpedServer
  now: Date
  /** Told what is going to be made, before it is: to be saved for a later clean-up. */
  onMaking: (made: Made) => void
}

/**
 * A server of the user's, on which one new database is made, and dropped again. Nothing else is written to: only roles
 * that the backup names and the server does not have are made, without LOGIN, and dropped with it.
 */
export class TargetServer {
  readonly made: Made
  /** Whether the role is no superuser there. */
  readonly restricted: boolean
  /** Whether the role may make others. */
  readonly makesRoles: boolean
  /** Names of databases that earlier restore tests left behind. */
  readonly leftBehind: readonly string[]
  readonly #maintenance: Database
  readonly #options: TargetOptions
  #database: Database | undefined

  private constructor(maintenance: Database, options: TargetOptions, facts: ServerFacts) {
    this.#maintenance = maintenance
    this.#options = options
    this.restricted = !facts.superuser
    this.makesRoles = facts.superuser || facts.createRole
    this.leftBehind = facts.leftBehind
    this.made = nameMade(options.database, options.now)
  }

  /**
   * Connects, looks at the server, and decides whether a database may be made there. Errors: those of `openDatabase`,
   * `target-is-source`, `target-too-old`, `target-is-standby`, `target-not-allowed`, `unknown-server`.
   */
  static async open(settings: ConnectionSettings, options: TargetOptions): Promise<TargetServer> {
    const maintenance = await openMaintenance(settings, options)
    try {
      const facts = await readFacts(maintenance, options.now)
      assertUsable(maintenance, options.source, facts)
      return new TargetServer(maintenance, options, facts)
    } catch (error) {
      await maintenance.close()
      throw error
    }
  }

  get major(): number {
    return this.#maintenance.serverMajor
  }

  get version(): string {
    return this.#maintenance.serverVersionText
  }

  /** `host:port`, without user and password. */
  get place(): string {
    return placeOf(this.#maintenance)
  }

  /** Creates and opens the database, whatever name `spec` has. Errors: `missing-locale`, `scratch-database-failed`. */
  async createDatabase(spec: DatabaseSpec): Promise<Database> {
    const { database: name, mark } = this.made
    const ground: Ground = { name: `the server ${this.place}`, remote: true }
    const own = escapeIdentifier(name)
    this.#options.onMaking(this.made)
    const client = await this.#maintenance.connect('restore test')
    try {
      await createScratchDatabase(client, { ...spec, name }, this.major, ground)
      await client.query(`comment on database ${own} is ${escapeLiteral(mark)}`)
      // Its functions run with the rights of whoever the backup says that they belong to.
      await client.query(`revoke all on database ${own} from public`)
      this.#database = await openDatabase({ ...this.#settings, database: name }, this.#options)
      return this.#database
    } finally {
      await client.end()
    }
  }

  /** The address of a database there; holds the password. */
  url(database: string): string {
    return connectionUrl(this.#maintenance.settings, database)
  }

  /** Closes the connections; what was made stays. */
  async close(): Promise<void> {
    await this.#database?.close()
    await this.#maintenance.close()
  }

  /** On this database's own connections: triggers on login are of the backup. */
  get #settings(): ConnectionSettings {
    const { settings } = this.#maintenance
    return this.major >= 17 && !this.restricted ? withOptions(settings, '-c event_triggers=off') : settings
  }
}

/** The database that the URL names, as the role that logs in, whatever the settings of a database or role say. */
function openMaintenance(settings: ConnectionSettings, options: OpenOptions): Promise<Database> {
  return openDatabase(withOptions(settings, '-c role=none'), options)
}

function withOptions(settings: ConnectionSettings, more: string): ConnectionSettings {
  return { ...settings, options: settings.options === undefined ? more : `${settings.options} ${more}` }
}

/**
 * Drops what a run has made: the database, if it carries the mark, and then roles with the mark of a database that is gone.
 * Resolves with what is still there, as statements that would drop it.
 */
export async function dropMade(settings: ConnectionSettings, options: OpenOptions, made: Made): Promise<string[]> {
  const maintenance = await openMaintenance(settings, options)
  try {
    const client = await maintenance.connect('clean-up')
    return await dropMarked(client, made).finally(() => client.end())
  } finally {
    await maintenance.close()
  }
}

async function dropMarked(client: pg.ClientBase, { database, mark }: Made): Promise<string[]> {
  const kept: string[] = []
  const drop = async (statement: string) => {
    await client.query(statement).catch((error: unknown) => {
      // A role that somebody else uses by now, for one; a lost connection is something else.
      if (!/^[0-9A-Z]{5}$/.test(codeOf(error) ?? '')) throw error
      kept.push(statement)
    })
  }
  const { rows } = await client.query<{ comment: string | null }>(
    `select shobj_description(oid, 'pg_database') as comment from pg_database where datname = $1`,
    [database],
  )
  const statement = `DROP DATABASE ${escapeIdentifier(database)} WITH (FORCE)`
  if (rows[0]?.comment === mark) await drop(statement)
  // Whoever was stopped between making it and marking it cannot tell any more whose it is.
  else if (rows[0] !== undefined) kept.push(statement)
  const roles = await client.query<{ name: string }>(ABANDONED_ROLES, [MARK])
  for (const { name } of roles.rows) await drop(`DROP ROLE ${escapeIdentifier(name)}`)
  return kept
}

/** Of this run, and of others that could not drop them because another one used them at the time: their databases are gone. */
const ABANDONED_ROLES = `
  select r.rolname as name from pg_roles r, shobj_description(r.oid, 'pg_authid') as mark
  where starts_with(mark, $1)
    and not exists (select from pg_database d where shobj_description(d.oid, 'pg_database') = mark)`

/** `shop_restore_test_k3v9qa2m`, and a comment that says what it is. */
function nameMade(database: string, now: Date): Made {
  const random = Array.from({ length: 8 }, () => randomInt(36).toString(36)).join('')
  const end = `_restore_test_${random}`
  const mark = `${MARK} ${random} of ${now.toISOString()}: dropped when the test is over`
  return { database: `${database.slice(0, MOST_NAME_BYTES - end.length)}${end}`, mark }
}

interface ServerFacts {
  superuser: boolean
  createDatabase: boolean
  createRole: boolean
  standby: boolean
  systemIdentifier: string | null
  leftBehind: string[]
}

const FACTS = `
  select rolsuper as superuser, rolcreatedb as "createDatabase", rolcreaterole as "createRole",
    pg_is_in_recovery() as standby
  from pg_roles where rolname = current_user`

const MARKED = `
  select datname as name, comment
  from pg_database, shobj_description(oid, 'pg_database') as comment
  where starts_with(comment, $1) order by 1`

async function readFacts(maintenance: Database, now: Date): Promise<ServerFacts> {
  const client = await maintenance.connect('target')
  try {
    const { rows } = await client.query<Omit<ServerFacts, 'systemIdentifier' | 'leftBehind'>>(FACTS)
    const [facts] = rows
    if (facts === undefined) throw new Error('the server does not list the role that is connected')
    const marked = await client.query<{ name: string; comment: string }>(MARKED, [MARK])
    const isOld = (comment: string) => now.getTime() - Date.parse(/ of (\S+):/.exec(comment)?.[1] ?? '') > DAY_MS
    const leftBehind = marked.rows.filter(({ comment }) => isOld(comment)).map(({ name }) => name)
    return { ...facts, systemIdentifier: await readIdentifier(client), leftBehind }
  } finally {
    await client.end()
  }
}

/** Null where the service keeps it to itself. */
async function readIdentifier(client: pg.ClientBase): Promise<string | null> {
  try {
    const sql = 'select system_identifier::text as id from pg_control_system()'
    return (await client.query<{ id: string }>(sql)).rows[0]?.id ?? null
  } catch (error) {
    if (codeOf(error) !== '42501' && codeOf(error) !== '0A000') throw error
    return null
  }
}

function placeOf({ label }: Database): string {
  return label.replace(/^.*@/, '').replace(/\/.*$/, '')
}

function assertUsable(maintenance: Database, source: DumpedServer, facts: ServerFacts): void {
  const where = `the server ${placeOf(maintenance)} of target-url`
  const refuse = (code: string, message: string, remedy: string) => {
    throw new LifeboatError(code, message, remedy)
  }
  if (facts.systemIdentifier === null || source.systemIdentifier === null) {
    const which = facts.systemIdentifier === null ? where : 'the server that was dumped'
    refuse(
      'unknown-server',
      `It cannot be told whether ${where} is the one that was dumped: ${which} does not tell its system identifier`,
      'Leave out `target-url`: a server on the runner is then made for the test. Production is never written to by a test.',
    )
  }
  if (facts.systemIdentifier === source.systemIdentifier) {
    refuse(
      'target-is-source',
      `${where} is the one that was dumped, a standby of it, or a physical copy`,
      'Give the address of another server: production is never written to by a test.',
    )
  }
  if (maintenance.serverMajor < source.serverMajor) {
    refuse(
      'target-too-old',
      `${where} runs PostgreSQL ${maintenance.serverMajor}, and the backup is of ${source.serverMajor}`,
      `Give the address of a server of PostgreSQL ${source.serverMajor} or newer.`,
    )
  }
  if (facts.standby) refuse('target-is-standby', `${where} is a standby`, 'Give the address of its primary.')
  if (!facts.superuser && !facts.createDatabase) {
    const role = maintenance.settings.user
    refuse(
      'target-not-allowed',
      `the role ${role} may not create databases on ${where}`,
      `Run once, as a superuser: ALTER ROLE ${escapeIdentifier(role)} CREATEDB; or give the URL of another role.`,
    )
  }
}

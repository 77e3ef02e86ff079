import pg from 'pg'
import type { Contents } from '../backup-set/documents.ts'
import { buildArchiveToc } from '../postgres/toc.ts'

/** Settings whose value is a list of names: quoted as a whole they would become one name. As in pg_dump's variable_is_guc_list_quote. */
const LISTS = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
])

/**
 * An archive of its own that makes the roles that the schema names (NOLOGIN, without a password) and sets the database's
 * settings: `pg_restore` restores neither from a dump of one database, and RESTORE.md has nothing but pg_restore.
 */
export function buildPrepareArchive(facts: Pick<Contents, 'roles' | 'databaseFacts'>): Buffer {
  const roles = facts.roles.map((role) => ({ tag: role, sql: createRole(role) }))
  const settings = facts.databaseFacts.settings.map((setting) => ({ tag: setting.name, sql: applySetting(setting) }))
  return buildArchiveToc({ statements: [...roles, ...settings] })
}

function createRole(role: string): string {
  const name = pg.escapeLiteral(role)
  return perform(
    `if not exists (select from pg_catalog.pg_roles where rolname = ${name}) then execute pg_catalog.format('create role %I nologin', ${name}); end if;`,
  )
}

function applySetting({ role, name, value }: Contents['databaseFacts']['settings'][number]): string {
  const subject =
    role === null
      ? `pg_catalog.format('alter database %I set %I to ', pg_catalog.current_database())`
      : `pg_catalog.format('alter role %I in database %I set %I to ', ${pg.escapeLiteral(role)}, pg_catalog.current_database())`
  const text = subject.replace('current_database())', `current_database(), ${pg.escapeLiteral(name)})`)
  return perform(`execute ${text} || ${pg.escapeLiteral(settingValue(name, value))};`)
}

/** The value as ALTER … SET takes it. */
export function settingValue(name: string, value: string): string {
  if (!LISTS.has(name.toLowerCase())) return pg.escapeLiteral(value)
  const names = value.match(/"(?:[^"]|"")*"|[^,\s]+/g) ?? []
  if (names.length === 0) return "''"
  return names.map((item) => pg.escapeLiteral(item.replace(/^"|"$/g, '').replaceAll('""', '"'))).join(', ')
}

function perform(statement: string): string {
  // A tag that cannot be in the text ends it.
  let tag = '$do$'
  while (statement.includes(tag)) tag = `$do${tag.length}$`
  return `do ${tag} begin ${statement} end ${tag};\n`
}

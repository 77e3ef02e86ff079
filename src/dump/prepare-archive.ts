import pg from 'pg'
import type { Contents } from '../backup-set/documents.ts'
import { archiveText } from '../postgres/archive-text.ts'
import type { Inventory } from '../postgres/inventory.ts'
import { settingLiterals } from '../postgres/setting-values.ts'
import { buildArchiveToc, type Toc } from '../postgres/toc.ts'

/**
 * An archive of its own that makes the roles that the schema names (NOLOGIN, without a password) and sets the database's
 * settings: `pg_restore` restores neither from a dump of one database, and RESTORE.md has nothing but pg_restore.
 * `schemas`: those that the archive of a partial set takes for granted.
 */
export function buildPrepareArchive(
  contents: Pick<Contents, 'roles' | 'databaseFacts' | 'inventory'>,
  schemas: readonly string[] = [],
): Buffer {
  const superusers = new Set((contents.inventory as Inventory).superuserRoles)
  const roles = contents.roles.map((role) => ({ tag: role, sql: createRole(role, superusers.has(role)) }))
  const settings = contents.databaseFacts.settings.map((setting) => ({ tag: setting.name, sql: applySetting(setting) }))
  const made = schemas.map((name) => ({ tag: name, sql: `create schema if not exists ${pg.escapeIdentifier(name)}` }))
  return buildArchiveToc({ statements: [...roles, ...made, ...settings] })
}

/** The schemas of what an archive makes that it does not make itself: `pg_dump --table` leaves them out. */
export function schemasTakenForGranted(toc: Toc): string[] {
  const text = archiveText(toc)
  const made = toc.entries.filter(({ desc }) => desc === 'SCHEMA').map(({ tag }) => text(tag))
  const used = toc.entries.flatMap(({ section, namespace }) =>
    section === 'pre-data' && namespace !== null ? [text(namespace)] : [],
  )
  return [...new Set(used)].filter((name) => name !== '' && name !== 'public' && !made.includes(name)).sort()
}

/** What only superusers may own (event triggers, for one) cannot be given to a role that is none. */
function createRole(role: string, isSuperuser: boolean): string {
  const name = pg.escapeLiteral(role)
  const mayMakeSuperusers = '(select rolsuper from pg_catalog.pg_roles where rolname = current_user)'
  const attributes = isSuperuser
    ? `case when ${mayMakeSuperusers} then 'nologin superuser' else 'nologin' end`
    : "'nologin'"
  return perform(
    `if not exists (select from pg_catalog.pg_roles where rolname = ${name}) then execute pg_catalog.format('create role %I ', ${name}) || ${attributes}; end if;`,
  )
}

function applySetting({ role, name, value }: Contents['databaseFacts']['settings'][number]): string {
  const database = 'pg_catalog.current_database()'
  const subject =
    role === null
      ? `pg_catalog.format('alter database %I set %I to ', ${database}, ${pg.escapeLiteral(name)})`
      : `pg_catalog.format('alter role %I in database %I set %I to ', ${pg.escapeLiteral(role)}, ${database}, ${pg.escapeLiteral(name)})`
  return perform(`execute ${subject} || ${pg.escapeLiteral(settingLiterals(name, value))};`)
}

function perform(statement: string): string {
  // A tag that cannot be in the text ends it.
  let tag = '$do$'
  while (statement.includes(tag)) tag = `$do${tag.length}$`
  return `do ${tag} begin ${statement} end ${tag};\n`
}

import pg from 'pg'
import type { Contents } from '../backup-set/documents.ts'
import { codeOf, LifeboatError } from '../base/errors.ts'
import type { Log } from '../base/ports.ts'
import { type CatalogSession, withCatalogSession } from '../postgres/catalog-session.ts'
import type { Database } from '../postgres/database.ts'
import { applySettings, type OwnSetting } from '../postgres/database-settings.ts'
import type { Inventory } from '../postgres/inventory.ts'
import type { Place } from './place.ts'

/**
 * Makes a database like the source's: encoding and locale, roles, settings. Resolves with the settings that the server
 * does not take. Errors: `missing-locale`, `missing-extension`, `missing-roles`, `scratch-database-failed`.
 */
export async function prepareDatabase(
  place: Place,
  contents: Contents,
  log: Log,
): Promise<{ target: Database; refusedSettings: OwnSetting[] }> {
  const inventory = contents.inventory as Inventory
  const { encoding, localeProvider, collate, ctype, locale, icuRules, settings } = contents.databaseFacts
  const target = await place.createDatabase({
    name: inventory.database.name,
    encoding,
    localeProvider,
    collate,
    ctype,
    locale: locale ?? undefined,
    icuRules: icuRules ?? undefined,
  })
  const { database: name } = target.settings
  log.info(`database ${JSON.stringify(name)} (${encoding}, ${collate}), ${contents.roles.length} roles`)
  const refusedSettings = await inCatalogSession(target, async ({ client }) => {
    await createRoles(client, place, place.restricted ? namedByPolicies(inventory) : contents.roles, inventory)
    // As this session spells it: like those of roles, the name is bytes, and was given to the server in UTF-8.
    const { rows } = await client.query<{ spelt: string }>('select current_database() as spelt')
    return applySettings(client, rows[0]?.spelt ?? name, settings)
  })
  // A setting of the database may say where extensions are.
  await assertExtensions(target, inventory, place)
  return { target, refusedSettings }
}

/** What the server cannot create is not the backup's fault: then nothing can be said of the backup. */
async function assertExtensions(target: Database, { extensions }: Inventory, place: Place): Promise<void> {
  // In the database itself: since PostgreSQL 18 a setting of its own says where extensions are.
  const client = await target.connect('extensions')
  const { rows } = await client
    .query<{ name: string }>('select name from pg_available_extensions')
    .finally(() => client.end())
  const available = new Set(rows.map(({ name }) => name))
  const missing = extensions.filter(({ name }) => !available.has(name)).map(({ name }) => name)
  if (missing.length === 0) return
  throw new LifeboatError(
    'missing-extension',
    `The database needs ${missing.length === 1 ? 'the extension' : 'extensions'} ${missing.join(', ')}, which ${place.name} does not have`,
    place.remote
      ? 'Install it on that server, or leave out `target-url` and install its package on the runner.'
      : `Install the package in a step before this one, e.g. \`sudo apt-get install postgresql-${target.serverMajor}-${missing[0]}\`.`,
  )
}

/**
 * NOLOGIN, without a password. What only a superuser may own makes its owner one, where a superuser restores. Error:
 * `missing-roles` where they are not there and cannot be made.
 */
async function createRoles(
  client: pg.ClientBase,
  place: Place,
  roles: readonly string[],
  inventory: Inventory,
): Promise<void> {
  const superusers = new Set(place.restricted ? [] : inventory.superuserRoles)
  const { rows } = await client.query<{ rolname: string }>('select rolname from pg_roles')
  const existing = new Set(rows.map(({ rolname }) => rolname))
  const missing = roles.filter((name) => !existing.has(name))
  if (missing.length > 0 && place.roles === undefined) throw missingRoles(missing, place)
  for (const role of missing) {
    const name = pg.escapeIdentifier(role)
    const { mark } = place.roles ?? {}
    const comment = mark === undefined ? '' : `; comment on role ${name} is ${pg.escapeLiteral(mark)}`
    // Both or neither: what carries no mark is never dropped.
    const made = client.query(`create role ${name} nologin${superusers.has(role) ? ' superuser' : ''}${comment}`)
    await made.catch((error: unknown) => {
      // Another run that restores into the same server made it at this very moment.
      if (!['42710', '23505'].includes(codeOf(error) ?? '')) throw error
    })
  }
}

function missingRoles(roles: readonly string[], place: Place): LifeboatError {
  const statements = roles.map((role) => `CREATE ROLE ${pg.escapeIdentifier(role)} NOLOGIN;`)
  return new LifeboatError(
    'missing-roles',
    `Policies of the database name roles that ${place.name} does not have, and that the role of target-url may not make: ${roles.join(', ')}`,
    `Give that role CREATEROLE, or run once: ${statements.join(' ')}`,
  )
}

/** Without owners and grants, nothing else of a schema names a role. */
function namedByPolicies({ objects, roles }: Inventory): string[] {
  const named = new Set(
    objects.flatMap(({ kind, facts }) => (kind === 'policy' && Array.isArray(facts.roles) ? facts.roles : [])),
  )
  return roles.filter((role) => named.has(role) || named.has(pg.escapeIdentifier(role)))
}

/** In the database itself: the names of roles are bytes in no encoding, and its statements spell them in its own. */
async function inCatalogSession<T>(target: Database, work: (session: CatalogSession) => Promise<T>): Promise<T> {
  const connection = await target.connect('roles')
  return withCatalogSession(connection, work).finally(() => connection.end())
}

import pg from 'pg'
import { codeOf } from '../base/errors.ts'
import { settingLiterals } from './setting-values.ts'

const { escapeIdentifier } = pg

/** One ALTER DATABASE … SET or, with a role, ALTER ROLE … IN DATABASE … SET; the value as `pg_db_role_setting` has it. */
export interface OwnSetting {
  role?: string | null | undefined
  name: string
  value: string
}

/** A throw-away server loads no libraries because a dump says so; one that is missing would refuse every connection. */
const LIBRARY_SETTINGS = new Set(['session_preload_libraries', 'local_preload_libraries', 'shared_preload_libraries'])

/**
 * Gives the database its settings. Resolves with those that the server refused, or that a rehearsal does not take
 * (libraries to load). The roles exist. Values are not shown: applications keep secrets there.
 */
export async function applySettings(
  client: pg.ClientBase,
  database: string,
  settings: readonly OwnSetting[],
): Promise<OwnSetting[]> {
  const refused: OwnSetting[] = []
  for (const setting of settings) if (!(await applySetting(client, database, setting))) refused.push(setting)
  return refused
}

/** `work_mem`, `work_mem of the role anna`: for people. */
export function describeSetting({ role, name }: Pick<OwnSetting, 'role' | 'name'>): string {
  return role === null || role === undefined ? name : `${name} of the role ${role}`
}

async function applySetting(client: pg.ClientBase, database: string, setting: OwnSetting): Promise<boolean> {
  const { role, name, value } = setting
  if (LIBRARY_SETTINGS.has(name.toLowerCase())) return false
  const own = `DATABASE ${escapeIdentifier(database)}`
  const subject = role === null || role === undefined ? own : `ROLE ${escapeIdentifier(role)} IN ${own}`
  try {
    await client.query(`ALTER ${subject} SET ${escapeIdentifier(name)} TO ${settingLiterals(name, value)}`)
    return true
  } catch (error) {
    // A lost connection is no refusal.
    if (!/^[0-9A-Z]{5}$/.test(codeOf(error) ?? '')) throw error
    return false
  }
}

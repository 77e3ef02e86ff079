import pg from 'pg'

/** Settings whose value is a list of names, of which each is quoted by itself (variable_is_guc_list_quote in pg_dump). */
const LISTS = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
])

/**
 * What follows `SET name TO` in an ALTER DATABASE or ALTER ROLE, for a value as `pg_db_role_setting` has it. Quoted as a
 * whole, a list of names would become one name.
 */
export function settingLiterals(name: string, value: string): string {
  const values = LISTS.has(name.toLowerCase()) ? splitNames(value) : [value]
  return values.map((item) => pg.escapeLiteral(item)).join(', ')
}

/** The names of a list such as `"$user", public`, unquoted; one empty name for an empty list. */
function splitNames(list: string): string[] {
  const names = [...list.matchAll(/"((?:[^"]|"")*)"|([^\s,"][^,"]*)/g)].map(([, quoted, bare]) =>
    quoted === undefined ? (bare ?? '').trim() : quoted.replaceAll('""', '"'),
  )
  return names.length === 0 ? [''] : names
}

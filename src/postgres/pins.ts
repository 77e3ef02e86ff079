/**
 * The settings of every session that dumps, feeds or proves. Equal settings on both sides are what makes the text of a
 * value, and so a fingerprint, comparable; pg_dump itself leaves TimeZone, bytea_output, lc_monetary and xmloption to
 * the server. The timeouts are 0 because a timeout on a snapshot holder ends the dump.
 */
export const SESSION_PINS: readonly (readonly [name: string, value: string])[] = [
  ['TimeZone', 'UTC'],
  ['bytea_output', 'hex'],
  ['DateStyle', 'ISO, MDY'],
  ['IntervalStyle', 'postgres'],
  ['extra_float_digits', '3'],
  ['lc_monetary', 'C'],
  ['xmloption', 'content'],
  // Off, it makes a text of NULL in an array that is read.
  ['array_nulls', 'on'],
  ['quote_all_identifiers', 'off'],
  ['standard_conforming_strings', 'on'],
  ['search_path', ''],
  ['row_security', 'off'],
  // A database may make its sessions read-only; a restore into a copy of it writes.
  ['default_transaction_read_only', 'off'],
  ['statement_timeout', '0'],
  ['lock_timeout', '0'],
  ['idle_in_transaction_session_timeout', '0'],
]

/** The pins that a server of this `server_version_num` knows. */
export function sessionPins(serverVersion: number): readonly (readonly [name: string, value: string])[] {
  return [
    ...SESSION_PINS,
    ...(serverVersion >= 140_000 ? [['idle_session_timeout', '0'] as const] : []),
    ...(serverVersion >= 170_000 ? [['transaction_timeout', '0'] as const] : []),
  ]
}

/** One SELECT that pins the session; works in a read-only transaction and on a standby. */
export function pinStatement(serverVersion: number): string {
  const calls = sessionPins(serverVersion).map(([name, value]) => `pg_catalog.set_config('${name}', '${value}', false)`)
  return `SELECT ${calls.join(', ')}`
}

/**
 * The pins in the syntax of libpq's `options` (PGOPTIONS), after the user's own options: the last one wins. With the
 * search_path of the role's `own` the tool must set its own, as pg_dump does once it has looked up its patterns.
 */
export function pinOptions(
  serverVersion: number,
  ownOptions?: string,
  searchPath: 'pinned' | 'own' = 'pinned',
): string {
  const pins = sessionPins(serverVersion).filter(([name]) => searchPath === 'pinned' || name !== 'search_path')
  const words = pins.map(([name, value]) => `-c ${name}=${escapeOption(value)}`)
  return [...(ownOptions ? [ownOptions] : []), ...words].join(' ')
}

/** The server splits options at white space, and a backslash keeps the next character (pg_split_opts). */
function escapeOption(value: string): string {
  return value.replaceAll(/[\s\\]/g, '\\$&')
}

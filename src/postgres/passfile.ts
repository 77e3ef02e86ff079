import { readFileSync, statSync } from 'node:fs'

export interface Passfile {
  /** The password for one server, as libpq's passwordFromFile finds it; undefined if no line matches. */
  find(host: string, port: number, database: string, user: string): string | undefined
  /** Why the file is not used, although it is there. */
  refused?: string
}

const EMPTY: Passfile = { find: () => undefined }

/**
 * Reads a password file (https://www.postgresql.org/docs/current/libpq-pgpass.html). Like libpq it passes over one that
 * does not exist or is no plain file, and refuses one that others may read.
 */
export function readPassfile(path: string): Passfile {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (!stats?.isFile()) return EMPTY
  if ((stats.mode & 0o077) !== 0) return { ...EMPTY, refused: `${path} (others may read it: chmod 0600)` }
  const lines = readFileSync(path, 'utf8').split(/\r?\n/)
  const entries = lines.filter((line) => line !== '' && !line.startsWith('#')).map(splitFields)
  return {
    find: (host, port, database, user) => {
      const wanted = [host, String(port), database, user]
      return entries.find((fields) => wanted.every((value, index) => matches(fields[index], value)))?.[4]?.text
    },
  }
}

/** One line that gives this password to every server: the environment names the server. */
export function passfileLine(password: string): string {
  return `*:*:*:*:${password.replaceAll('\\', '\\\\').replaceAll(':', '\\:')}\n`
}

interface Field {
  text: string
  /** A bare `*`; an escaped one is a name. */
  any: boolean
}

/** Four fields end at an unescaped colon; the fifth runs to the next one too, as in libpq. */
function splitFields(line: string): Field[] {
  return line.split(/(?<!(?<!\\)(?:\\\\)*\\):/).map((raw) => ({
    text: raw.replaceAll(/\\(.)/g, '$1'),
    any: raw === '*',
  }))
}

function matches(field: Field | undefined, value: string): boolean {
  return field !== undefined && (field.any || field.text === value)
}

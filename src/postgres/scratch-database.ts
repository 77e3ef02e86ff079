import pg from 'pg'
import { codeOf, LifeboatError, messageOf } from '../base/errors.ts'

const { escapeIdentifier, escapeLiteral } = pg

export interface DatabaseSpec {
  name: string
  /** As `pg_encoding_to_char` says: `UTF8`, `LATIN1`. */
  encoding: string
  localeProvider: 'libc' | 'icu' | 'builtin'
  collate: string
  ctype: string
  /** The locale of an icu or builtin database. */
  locale?: string | undefined
  icuRules?: string | undefined
}

/** CREATE DATABASE from template0 for a server of that major (13 or newer). */
export function createDatabaseStatement(spec: DatabaseSpec, major: number): string {
  const clauses = [
    'TEMPLATE template0',
    `ENCODING ${escapeLiteral(spec.encoding)}`,
    `LC_COLLATE ${escapeLiteral(spec.collate)}`,
    `LC_CTYPE ${escapeLiteral(spec.ctype)}`,
  ]
  if (major >= 15) clauses.push(`LOCALE_PROVIDER ${spec.localeProvider}`)
  if (spec.localeProvider === 'icu' && spec.locale !== undefined) {
    clauses.push(`ICU_LOCALE ${escapeLiteral(spec.locale)}`)
    if (spec.icuRules !== undefined && major >= 16) clauses.push(`ICU_RULES ${escapeLiteral(spec.icuRules)}`)
  }
  if (spec.localeProvider === 'builtin' && spec.locale !== undefined) {
    clauses.push(`BUILTIN_LOCALE ${escapeLiteral(spec.locale)}`)
  }
  return `CREATE DATABASE ${escapeIdentifier(spec.name)} ${clauses.join(' ')}`
}

/** Whose server it is that a database is created on, for what is said of it. */
export interface Ground {
  /** In a sentence: `the scratch server`. */
  name: string
  /** Whether it is on another machine, where nothing can be installed from here. */
  remote: boolean
}

/** Creates the database, without its settings. Errors: `missing-locale`, `scratch-database-failed`. */
export async function createScratchDatabase(
  client: pg.ClientBase,
  spec: DatabaseSpec,
  major: number,
  ground: Ground = { name: 'the scratch server', remote: false },
): Promise<void> {
  const missing = (reason: string, cause?: unknown) => missingLocale(spec, ground, reason, cause)
  if (spec.localeProvider === 'icu' && major < 15) throw missing(`PostgreSQL ${major} has no ICU databases`)
  if (spec.localeProvider === 'builtin' && major < 17)
    throw missing(`PostgreSQL ${major} has no builtin locale provider`)
  try {
    await client.query(createDatabaseStatement(spec, major))
  } catch (error) {
    if (isMissingLocale(error)) throw missing(messageOf(error), error)
    throw new LifeboatError(
      'scratch-database-failed',
      `${ground.name} cannot create database ${spec.name}: ${messageOf(error)}`,
      'Look at the message; where it names a locale or an encoding, install that locale on the machine of that server.',
      { cause: error },
    )
  }
}

/** 42809 and 22023 are what the server says of names that it, its C library or ICU does not know [tried on 15, 17, 18]. */
function isMissingLocale(error: unknown): boolean {
  const code = codeOf(error)
  if (code === '0A000') return /ICU/.test(messageOf(error))
  if (code !== '42809' && code !== '22023' && code !== 'XX000') return false
  return /locale name|could not open collator|ICU locale|could not create locale/.test(messageOf(error))
}

/** A locale that the server's machine does not have. */
export class MissingLocaleError extends LifeboatError {
  /** Its name, if it is the C library's: such a one can be made. */
  readonly locale: string | undefined

  constructor(message: string, remedy: string, locale: string | undefined, options: ErrorOptions) {
    super('missing-locale', message, remedy, options)
    this.locale = locale
  }
}

function missingLocale(spec: DatabaseSpec, ground: Ground, reason: string, cause: unknown): MissingLocaleError {
  const { localeProvider, collate, ctype, locale } = spec
  const named = /"([^"]+)"/.exec(reason)?.[1] ?? (localeProvider === 'libc' ? collate : (locale ?? collate))
  const here = ground.remote ? `for ${ground.name}` : 'on this machine'
  const isOfLibrary = named === collate || named === ctype
  return new MissingLocaleError(
    `the source database’s locale ${named} (provider ${localeProvider}) does not exist ${here}: ${reason}`,
    localeRemedy(named, isOfLibrary, ground),
    isOfLibrary ? named : undefined,
    { cause },
  )
}

function localeRemedy(name: string, isOfLibrary: boolean, { remote }: Ground): string {
  if (remote)
    return 'Take a server that has it, or leave out `target-url`: a server on the runner is then made for the test.'
  return isOfLibrary
    ? `Install it in a step before this one: sudo locale-gen ${name} (Ubuntu) or sudo apt-get install -y locales-all (Debian).`
    : 'Use the source’s own major, in a build with ICU (Debian’s, Ubuntu’s and PGDG’s packages have it).'
}

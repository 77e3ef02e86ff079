import { LifeboatError } from '../base/errors.ts'

/** The target of a COPY statement, in the statement's own spelling. */
export interface CopyTarget {
  /** Schema-qualified and quoted as in the statement: `public."My T"`. */
  table: string
  /** The parenthesised column list verbatim, '' if there is none (a table without columns). */
  columns: string
}

const IDENTIFIER = /(?:"(?:[^"]|"")+"|[^\s"'().,;]+)/y
const COLUMN_LIST = /\((?:"(?:[^"]|"")+"|[^"()])*\)/y
const BEFORE = /COPY /y
const AFTER = / *FROM stdin;\s*$/y

/**
 * Takes pg_dump's `COPY schema.table (columns) FROM stdin;` apart. Identifiers may hold anything inside their quotes.
 * Throws LifeboatError `damaged-toc` for any other text: the statement is about to be run.
 */
export function parseCopyStatement(statement: string): CopyTarget {
  let position = 0
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = position
    const match = pattern.exec(statement)?.[0]
    position += match?.length ?? 0
    return match
  }
  const takeDot = () => statement[position] === '.' && ++position > 0
  if (take(BEFORE) === undefined) fail()
  const schema = take(IDENTIFIER) ?? fail()
  const name = takeDot() ? (take(IDENTIFIER) ?? fail()) : undefined
  take(/ */y)
  const columns = take(COLUMN_LIST) ?? ''
  if (take(AFTER) === undefined) fail()
  return { table: name === undefined ? schema : `${schema}.${name}`, columns }
}

function fail(): never {
  throw new LifeboatError(
    'damaged-toc',
    'toc.dat has a COPY statement that pg_dump does not write',
    'Take another backup set; the integrity mode of action-verify says which parts of this one are damaged.',
  )
}

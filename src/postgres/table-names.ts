import type { TableFacts } from './inventory-types.ts'

/** What names tables: `orders`, `sales.orders`, `sales.*`, `"Sales"."Order"`. */
export interface TablePattern {
  /** As it was written. */
  text: string
  /** Undefined: in any schema. */
  schema?: RegExp
  name: RegExp
}

export interface TableName {
  schema: string
  name: string
}

/** What `parseTablePattern` takes, for people. */
export const TABLE_PATTERNS_ACCEPTED =
  'names such as orders, sales.orders or "Sales"."Order", where * stands for any characters and ? for one'

/**
 * Reads a pattern as SQL reads names: what is not quoted is folded to lower case; what is quoted stands for itself, `*`
 * and `?` included. Undefined if the text is none.
 */
export function parseTablePattern(text: string): TablePattern | undefined {
  const parts = splitName(text.trim())
  const [first, second, ...more] = parts ?? []
  if (first === undefined || more.length > 0) return undefined
  return second === undefined ? { text, name: first } : { text, schema: first, name: second }
}

export function matchesTable(pattern: TablePattern, { schema, name }: TableName): boolean {
  return pattern.name.test(name) && (pattern.schema === undefined || pattern.schema.test(schema))
}

/** The tables that any of the patterns names, with the partitions of those that are partitioned. */
export function selectTables(tables: readonly TableFacts[], patterns: readonly TablePattern[]): TableFacts[] {
  const isNamed = (table: TableFacts) => patterns.some((pattern) => matchesTable(pattern, table))
  const named = new Set(tables.filter(isNamed).map(({ oid }) => oid))
  let before: number
  do {
    before = named.size
    for (const { oid, isPartition, parents } of tables) {
      if (isPartition && parents.some((parent) => named.has(parent))) named.add(oid)
    }
  } while (named.size > before)
  return tables.filter(({ oid }) => named.has(oid))
}

/** Names that somebody may have meant, the likeliest first. */
export function nearTables(pattern: TablePattern, tables: readonly TableName[]): TableName[] {
  const meant = pattern.text.replaceAll(/["*?]/g, '').toLowerCase().split('.').at(-1) ?? ''
  return tables
    .map((table) => ({ table, distance: distanceBetween(meant, table.name.toLowerCase()) }))
    .filter(({ table, distance }) => distance <= Math.max(2, meant.length / 3) || isWithin(meant, table.name))
    .sort((a, b) => a.distance - b.distance)
    .map(({ table }) => table)
}

function isWithin(meant: string, name: string): boolean {
  const [short, long] = [meant, name.toLowerCase()].sort((a, b) => a.length - b.length)
  return short !== undefined && short.length >= 3 && (long?.includes(short) ?? false)
}

function splitName(text: string): RegExp[] | undefined {
  const parts: string[] = ['']
  let rest = text
  while (rest !== '') {
    const quoted = /^"((?:[^"]|"")+)"/.exec(rest)
    const last = parts.length - 1
    if (quoted?.[1] !== undefined) {
      parts[last] += RegExp.escape(quoted[1].replaceAll('""', '"'))
      rest = rest.slice(quoted[0].length)
      continue
    }
    const [character = ''] = rest
    if (character === '"' || /\s/.test(character)) return undefined
    if (character === '.') parts.push('')
    else parts[last] += WILDCARDS[character] ?? RegExp.escape(character.toLowerCase())
    rest = rest.slice(character.length)
  }
  return parts.includes('') ? undefined : parts.map((part) => new RegExp(`^${part}$`, 'su'))
}

const WILDCARDS: Record<string, string> = { '*': '.*', '?': '.' }

/** How many characters have to be put in, left out or replaced to get from one to the other (Levenshtein). */
function distanceBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (const [index, letter] of [...a].entries()) {
    const next = [index + 1]
    for (let at = 1; at <= b.length; at += 1) {
      const replaced = (row[at - 1] ?? 0) + (b[at - 1] === letter ? 0 : 1)
      next.push(Math.min(replaced, (row[at] ?? 0) + 1, (next[at - 1] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}

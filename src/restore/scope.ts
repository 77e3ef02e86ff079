import type { Contents } from '../backup-set/documents.ts'
import type { Finding } from '../base/findings.ts'
import { archiveText } from '../postgres/archive-text.ts'
import type { Inventory, InventoryDifference, TableFacts } from '../postgres/inventory.ts'
import { relationOf } from '../postgres/inventory-lawful.ts'
import type { TablePattern } from '../postgres/table-names.ts'
import type { Toc, TocEntry } from '../postgres/toc.ts'
import { EMPTY_FINGERPRINT } from '../streams/fingerprint.ts'
import { chooseEntries } from './choose-entries.ts'
import { chooseTables } from './choose-tables.ts'

/** What of a set is restored, where it is not all of it. */
export interface Scope {
  /** The tables, partitioned ones and sequences that come back complete, by identity. */
  relations: ReadonlySet<string>
  /** Foreign keys that do not come back, as `table.name`, unquoted. */
  leftOut: ReadonlySet<string>
  /** What is to be told of it. */
  notes: Finding[]
}

/** Contents and archive of a set, cut down to some of its tables. */
export interface Part {
  contents: Contents
  toc: Toc
  scope: Scope
}

/**
 * Cuts a set down to the tables that the patterns choose and what they need: whoever works with the result restores and
 * compares nothing else. No large objects. Error: InputError for a pattern that chooses nothing.
 */
export function narrow(contents: Contents, toc: Toc, patterns: readonly TablePattern[]): Part {
  const inventory = contents.inventory as Inventory
  const tables = chooseTables(inventory, toc, patterns)
  const text = archiveText(toc)
  const identities = new Map(tables.map(({ oid, identity }) => [oid, identity]))
  const loose = looseKeys(inventory, new Set(identities.values()))
  const entries = chooseEntries(toc, {
    oids: new Set(identities.keys()),
    isNeeded: neededUnseen(inventory, toc, tables),
    isHeld: (table, key) => !loose.has(`${identities.get(table)}.${text(key)}`),
  })
  const sequences = new Set(entries.flatMap(({ desc, oid }) => (desc === 'SEQUENCE' ? [oid] : [])))
  const ownedBy = inventory.sequences.filter(({ oid }) => sequences.has(oid))
  return {
    toc: { ...toc, entries },
    contents: contentsOf(contents, entries, text),
    scope: {
      relations: new Set([...tables, ...ownedBy].map(({ identity }) => identity)),
      leftOut: new Set(loose.keys()),
      notes: [...loose.values()],
    },
  }
}

function contentsOf(contents: Contents, entries: readonly TocEntry[], text: (text: string) => string): Contents {
  const inventory = contents.inventory as Inventory
  const extensions = new Set(entries.flatMap(({ desc, tag }) => (desc === 'EXTENSION' ? [text(tag)] : [])))
  const names = new Set(entries.flatMap(({ desc, fileName }) => (desc === 'TABLE DATA' ? [fileName] : [])))
  return {
    ...contents,
    files: contents.files.filter(({ name }) => names.has(name)),
    tables: contents.tables.filter(({ file }) => names.has(file)),
    largeObjects: { count: 0, fingerprint: EMPTY_FINGERPRINT },
    inventory: { ...inventory, extensions: inventory.extensions.filter(({ name }) => extensions.has(name)) },
  }
}

/** The foreign keys of the chosen tables that lead to others, each with a note: `table.name`, the name unquoted. */
function looseKeys({ objects }: Inventory, identities: ReadonlySet<string>): Map<string, Finding> {
  const keys = objects.flatMap(({ kind, identity, facts }): [string, Finding][] => {
    const table = relationOf(identity)
    const refersTo = String(facts.references)
    if (kind !== 'constraint' || facts.type !== 'f' || !identities.has(table) || identities.has(refersTo)) return []
    const name = unquoted(identity.slice(table.length + 1))
    const message = `the foreign key ${name} of ${table} was left out, for ${refersTo} is not restored`
    return [[`${table}.${name}`, { severity: 'note', message }]]
  })
  return new Map(keys)
}

/**
 * Entries that tables need although the archive has no dependency on record: the extension of a table of one, and what
 * brings the operator classes of keys, which are constraints and not indexes there.
 */
function neededUnseen(
  { objects, extensions }: Inventory,
  toc: Toc,
  tables: readonly TableFacts[],
): (entry: TocEntry) => boolean {
  const text = archiveText(toc)
  const identities = new Set(tables.map(({ identity }) => identity))
  const keys = objects.flatMap(({ kind, facts }) =>
    kind === 'index' && identities.has(String(facts.table)) && Array.isArray(facts.keys) ? facts.keys.map(String) : [],
  )
  const hasKey = (name: string) => keys.some((key) => key.includes(` ${name}`))
  const schemas = extensions.filter(({ schema }) => hasKey(`${schema}.`) || hasKey(`"${schema}".`))
  const names = new Set([...tables.map(({ extension }) => extension), ...schemas.map(({ name }) => name)])
  return ({ desc, tag, namespace }) => {
    if (desc === 'EXTENSION') return names.has(text(tag))
    return desc === 'OPERATOR CLASS' && (hasKey(`${text(namespace ?? '')}.`) || hasKey(`"${text(namespace ?? '')}".`))
  }
}

const RELATIONS = ['table', 'partitioned table', 'foreign table', 'view', 'materialized view', 'sequence']
const PARTS = ['column', 'constraint', 'not-null constraint', 'trigger', 'rule', 'policy']

/**
 * The differences that say something of a part: those of its relations, and of whatever else has come back. What it did
 * not need is missing lawfully, and a definition that came along for its sake alone is not complete.
 */
export function withinScope(
  differences: readonly InventoryDifference[],
  source: Pick<Inventory, 'objects'>,
  { relations, leftOut }: Scope,
): InventoryDifference[] {
  const objects = new Map(source.objects.map((object) => [`${object.kind} ${object.identity}`, object]))
  const relationIn = ({ kind, identity }: InventoryDifference): string | undefined => {
    if (RELATIONS.includes(kind)) return identity
    if (PARTS.includes(kind)) return relationOf(identity)
    const table = objects.get(`${kind} ${identity}`)?.facts.table
    return typeof table === 'string' ? table : undefined
  }
  return differences.filter((difference) => {
    const { kind, identity } = difference
    if (difference.difference === 'extra') return true
    const relation = relationIn(difference)
    // An operator may have another one to go with it, a family more members, which nobody needed.
    if (relation === undefined) return difference.difference === 'changed' && !kind.startsWith('operator')
    if (!relations.has(relation)) return false
    return kind !== 'constraint' || !leftOut.has(`${relation}.${unquoted(identity.slice(relation.length + 1))}`)
  })
}

function unquoted(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name
}

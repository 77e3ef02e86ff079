import { isDeepStrictEqual } from 'node:util'
import type { Inventory, InventoryDifference, InventoryObject } from './inventory-types.ts'

export interface CompareOptions {
  /**
   * Compare deparsed definitions too. Right for a server and its own past; wrong for a restored copy, where the same
   * view may read differently.
   */
  definitions?: boolean
}

/** Things that are named `<relation>.<name>` and vanish with their relation. */
const PARTS: readonly string[] = ['column', 'constraint', 'trigger', 'rule', 'policy']

/**
 * The differences between two inventories, by identity and by fact. What a restore changes lawfully is either left out
 * (OIDs, sizes, file numbers, sequence values, the database itself) or marked `expected`: another version of an
 * extension, a subscription, an index that was invalid. The parts of a missing table are not listed one by one.
 */
export function compareInventories(
  source: Pick<Inventory, 'serverVersion' | 'objects'>,
  restored: Pick<Inventory, 'serverVersion' | 'objects'>,
  options: CompareOptions = {},
): InventoryDifference[] {
  const otherMajor = majorOf(source.serverVersion) !== majorOf(restored.serverVersion)
  const before = index(source.objects)
  const after = index(restored.objects)
  const differences: InventoryDifference[] = []
  for (const [key, object] of before) {
    const counterpart = after.get(key)
    if (counterpart === undefined) differences.push(absent(object, 'missing', otherMajor))
    else differences.push(...compareFacts(object, counterpart, { ...options, otherMajor }))
  }
  for (const [key, object] of after) {
    if (!before.has(key)) differences.push(absent(object, 'extra', otherMajor))
  }
  return withoutParts(differences, new Map([...after, ...before]))
}

function majorOf(version: string): string {
  return version.split('.')[0] ?? version
}

function index(objects: readonly InventoryObject[]): Map<string, InventoryObject> {
  return new Map(objects.map((object) => [`${object.kind} ${object.identity}`, object]))
}

function absent(object: InventoryObject, difference: 'missing' | 'extra', otherMajor: boolean): InventoryDifference {
  const { kind, identity, facts } = object
  const lawful =
    // A restore into a rehearsal leaves subscriptions out, and pg_dump saves them for superusers only.
    kind === 'subscription' ||
    // pg_dump leaves out an index that a failed CREATE INDEX CONCURRENTLY left behind.
    (kind === 'index' && difference === 'missing' && facts.invalid === true && facts.partitioned !== true) ||
    // NOT NULL became a constraint with a name in PostgreSQL 18.
    (kind === 'constraint' && facts.type === 'n' && otherMajor)
  return { kind, identity, difference, ...(lawful ? { expected: true } : {}) }
}

function compareFacts(
  source: InventoryObject,
  restored: InventoryObject,
  { definitions, otherMajor }: CompareOptions & { otherMajor: boolean },
): InventoryDifference[] {
  const { kind, identity } = source
  const names = [...new Set([...Object.keys(source.facts), ...Object.keys(restored.facts)])].sort()
  const differences: InventoryDifference[] = []
  for (const fact of names) {
    if (fact === 'definition' && !definitions) continue
    const [before, after] = [source.facts[fact], restored.facts[fact]].map((value) =>
      comparable(value, fact, otherMajor),
    )
    if (isDeepStrictEqual(before, after)) continue
    const lawful = kind === 'subscription' || (kind === 'extension' && fact === 'version')
    const values = {
      ...(before === undefined ? {} : { source: before }),
      ...(after === undefined ? {} : { restored: after }),
    }
    differences.push({ kind, identity, difference: 'changed', fact, ...values, ...(lawful ? { expected: true } : {}) })
  }
  return differences
}

/** `GRANT ALL` means more in a newer version: PostgreSQL 17 added MAINTAIN. */
function comparable(value: unknown, fact: string, otherMajor: boolean): unknown {
  if (!otherMajor || fact !== 'acl' || !Array.isArray(value)) return value
  return value.map((grant) => String(grant).replace(/,MAINTAIN\*?(?=[,/])|(?<==)MAINTAIN\*?,/, ''))
}

function withoutParts(
  differences: InventoryDifference[],
  objects: Map<string, InventoryObject>,
): InventoryDifference[] {
  const gone = new Set<string>()
  for (const { difference, kind, identity } of differences) {
    if (difference !== 'changed' && !PARTS.includes(kind)) gone.add(`${difference} ${identity}`)
  }
  return differences.filter(({ difference, kind, identity }) => {
    const table = objects.get(`${kind} ${identity}`)?.facts.table
    const whole = PARTS.includes(kind) ? relationOf(identity) : typeof table === 'string' ? table : undefined
    return difference === 'changed' || whole === undefined || !gone.has(`${difference} ${whole}`)
  })
}

/** `public."a.b"` of `public."a.b"."c.d"`. */
function relationOf(identity: string): string {
  return /^(?:"(?:[^"]|"")+"|[^".]+)\.(?:"(?:[^"]|"")+"|[^".]+)/.exec(identity)?.[0] ?? identity
}

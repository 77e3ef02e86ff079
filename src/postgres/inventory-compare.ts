import { isDeepStrictEqual } from 'node:util'
import { Lawful, relationOf } from './inventory-lawful.ts'
import type { Inventory, InventoryDifference, InventoryObject } from './inventory-types.ts'

export interface CompareOptions {
  /**
   * Compare deparsed definitions too. Right for a server and its own past; wrong for a restored copy, where the same
   * view may read differently.
   */
  definitions?: boolean
}

const NOT_NULL_CONSTRAINTS = 18

/** Things that are named `<relation>.<name>` and vanish with their relation. */
const PARTS: readonly string[] = ['column', 'constraint', 'not-null constraint', 'trigger', 'rule', 'policy']

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
  const [major, newMajor] = [majorOf(source.serverVersion), majorOf(restored.serverVersion)]
  const otherMajor = major !== newMajor
  const before = index(source.objects, newMajor)
  const after = index(restored.objects, major)
  const lawful = new Lawful(before)
  const differences: InventoryDifference[] = []
  for (const [key, object] of before) {
    const counterpart = after.get(key)
    if (counterpart === undefined) differences.push(absent(object, 'missing', lawful))
    else differences.push(...compareFacts(object, counterpart, { ...options, otherMajor, lawful }))
  }
  for (const [key, object] of after) {
    if (!before.has(key)) differences.push(absent(object, 'extra', lawful))
  }
  return withoutParts(differences, new Map([...after, ...before]))
}

function majorOf(version: string): number {
  return Number.parseInt(version, 10)
}

/** Without what the `other` server, by its major, does not know as objects: NOT NULL is a constraint since 18. */
function index(objects: readonly InventoryObject[], other: number): Map<string, InventoryObject> {
  const known = objects.filter(({ kind }) => kind !== 'not-null constraint' || other >= NOT_NULL_CONSTRAINTS)
  return new Map(known.map((object) => [`${object.kind} ${object.identity}`, object]))
}

function absent(object: InventoryObject, difference: 'missing' | 'extra', lawful: Lawful): InventoryDifference {
  const { kind, identity } = object
  return { kind, identity, difference, ...(lawful.isAbsence(object, difference) ? { expected: true } : {}) }
}

function compareFacts(
  source: InventoryObject,
  restored: InventoryObject,
  { definitions, otherMajor, lawful }: CompareOptions & { otherMajor: boolean; lawful: Lawful },
): InventoryDifference[] {
  const { kind, identity } = source
  const names = [...new Set([...Object.keys(source.facts), ...Object.keys(restored.facts)])].sort()
  const differences: InventoryDifference[] = []
  for (const fact of names) {
    if (fact === 'definition' && !definitions) continue
    const [before, after] = [source.facts[fact], restored.facts[fact]].map((value) =>
      comparable(value, fact, otherMajor),
    )
    const change = { source, restored, fact, before, after }
    if (isDeepStrictEqual(before, after) || lawful.isNothing(change)) continue
    const values = {
      ...(before === undefined ? {} : { source: before }),
      ...(after === undefined ? {} : { restored: after }),
      ...(lawful.isChange(change) ? { expected: true } : {}),
    }
    differences.push({ kind, identity, difference: 'changed', fact, ...values })
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

import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import {
  compareInventories,
  type InventoryDifference,
  type InventoryObject,
  relationOf,
} from '../postgres/inventory.ts'
import type { Check } from './check.ts'
import { type Beside, besideServer } from './database.ts'

/** One object of the schema that is not as it was. */
interface Drift {
  kind: string
  identity: string
  change: string
  /** Partitions come and go by themselves. */
  isPartition: boolean
}

const LISTED = 5
/** The digest of a text is longer, and says nothing. */
const SHOWN_CHARACTERS = 60

export const schemaDriftCheck: Check = {
  id: 'schema-drift',
  title: 'The schema is that of the backup',
  modes: ['database'],
  run: besideServer((beside, { head }) => {
    const drift = findDrift(beside)
    const objects = `${formatCount(beside.live.inventory.objects.length)} objects`
    if (drift.length === 0) return { summary: `${objects}, none of them changed`, findings: [] }
    const names = drift.slice(0, LISTED).map(({ kind, identity, change }) => `${kind} ${identity} (${change})`)
    const more = drift.length > LISTED ? ` and ${formatCount(drift.length - LISTED)} more` : ''
    const finding: Finding = {
      severity: drift.every(({ isPartition }) => isPartition) ? 'note' : 'warning',
      message: `The schema has changed since ${head.id}: ${names.join(', ')}${more}`,
      remedy: 'Take a new dump, so that a restore brings back the schema that the application knows.',
    }
    const details = {
      title: `What changed in the schema (${formatCount(drift.length)})`,
      columns: [{ title: 'Kind' }, { title: 'Object', code: true }, { title: 'Change' }],
      rows: drift.map(({ kind, identity, change }) => [kind, identity, change]),
    }
    return { summary: `${objects}, ${formatCount(drift.length)} changed`, findings: [finding], details }
  }),
}

/** A server and its own past: the text of definitions counts, too, as long as the same major writes it. */
function findDrift(beside: Beside): Drift[] {
  const { inventory, live } = beside
  const major = (version: string) => version.split('.')[0]
  const definitions = major(inventory.serverVersion) === major(live.inventory.serverVersion)
  const objects = new Map([...live.inventory.objects, ...inventory.objects].map((object) => [keyOf(object), object]))
  const isWanted = aboutNamed(beside, objects)
  const differences = compareInventories(inventory, live.inventory, { definitions }).filter(isWanted)
  return [...Map.groupBy(differences, keyOf)].map(([key, group]) => {
    const { kind = '', identity = '', facts = {} } = objects.get(key) ?? {}
    const isPartition = facts.bound !== undefined && group.every(({ difference }) => difference !== 'changed')
    return { kind, identity, change: group.map(describe).join(', '), isPartition }
  })
}

function keyOf({ kind, identity }: Pick<InventoryObject, 'kind' | 'identity'>): string {
  return `${kind} ${identity}`
}

/** How many large objects there are is no matter of the schema. Of named tables, what is theirs. */
function aboutNamed({ inventory, live, named }: Beside, objects: ReadonlyMap<string, InventoryObject>) {
  const tables = [...inventory.tables, ...live.inventory.tables]
  const identities = named && new Set(tables.filter(named.has).map(({ identity }) => identity))
  return (difference: InventoryDifference) => {
    if (difference.kind === 'large objects') return false
    const table = objects.get(keyOf(difference))?.facts.table
    const relation = typeof table === 'string' ? table : relationOf(difference.identity)
    return identities === undefined || identities.has(relation)
  }
}

function describe({ difference, fact = '', source, restored }: InventoryDifference): string {
  if (difference === 'missing') return 'dropped since'
  if (difference === 'extra') return 'created since'
  const [before, after] = [shown(source), shown(restored)]
  return before === undefined || after === undefined ? fact : `${fact}: ${before} → ${after}`
}

/** A fact that is one short word; a list or a digest is none. */
function shown(value: unknown): string | undefined {
  if (value === undefined) return 'none'
  const text = typeof value === 'object' ? '' : String(value)
  return text === '' || text.length > SHOWN_CHARACTERS ? undefined : text
}

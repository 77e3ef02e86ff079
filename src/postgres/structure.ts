import type { ClientBase } from 'pg'
import type { InventoryObject } from './inventory-types.ts'
import { CATALOG_QUERIES } from './structure-catalog.ts'
import { CODE_QUERIES } from './structure-code.ts'
import { RELATION_QUERIES } from './structure-relations.ts'

/**
 * Every object of the database that users made, with facts that one dump and restore does not change. The fact
 * `definition` is the exception: a digest of deparsed text, which one round trip may change, but which is good for
 * comparing a server with its own past. Reads the catalog alone, in the caller's transaction; a few queries whatever
 * the number of objects. `version` is `server_version_num`.
 */
export async function readStructure(client: ClientBase, version: number): Promise<InventoryObject[]> {
  const objects: InventoryObject[] = []
  for (const query of [...CATALOG_QUERIES, ...CODE_QUERIES, ...RELATION_QUERIES]) {
    const { rows } = await client.query<InventoryObject>(query(version))
    for (const { kind, identity, facts } of rows) objects.push({ kind, identity, facts })
  }
  return objects.sort(byKindAndIdentity)
}

function byKindAndIdentity(a: InventoryObject, b: InventoryObject): number {
  if (a.kind !== b.kind) return a.kind < b.kind ? -1 : 1
  return a.identity < b.identity ? -1 : a.identity > b.identity ? 1 : 0
}

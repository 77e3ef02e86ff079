import type { Contents } from '../backup-set/documents.ts'
import { isAcceptedSource, isSameSource } from '../backup-set/source.ts'
import type { Inventory } from '../postgres/inventory.ts'
import type { LiveDatabase } from '../postgres/live-database.ts'
import type { TableName } from '../postgres/table-names.ts'
import type { Check, CheckOutcome } from './check.ts'
import type { CheckContext } from './context.ts'
import type { NamedTables } from './name-tables.ts'

/** A set beside the server that it was taken from. */
export interface Beside {
  contents: Contents
  inventory: Inventory
  live: LiveDatabase
  /** Whether it is the very cluster: then OIDs and transactions of both mean the same. */
  sameCluster: boolean
  /** The tables that this run is about; undefined: all of them. */
  named?: NamedTables
  /** Whether this run is about a table. */
  isAbout(table: TableName): boolean
}

/**
 * A check that holds the set against the server: `not run` where its contents cannot be read, or where the server is
 * another one, of which the check of the identity tells.
 */
export function besideServer(look: (beside: Beside, context: CheckContext) => CheckOutcome): Check['run'] {
  return async (context) => {
    const live = await context.live()
    const { source } = (await context.openSet()).manifest
    const same = isSameSource(source, live)
    if (same === false && !isAcceptedSource(live, context.acceptSource)) {
      return { status: 'not run', summary: 'this is not the server that the backup is of', findings: [] }
    }
    const contents = await context.contents()
    if (contents === undefined) {
      return { status: 'not run', summary: 'encrypted, and no identity was given', findings: [] }
    }
    const named = await context.named()
    const isAbout: Beside['isAbout'] = named === undefined ? () => true : named.has
    const inventory = contents.inventory as Inventory
    const beside = { contents, inventory, live, sameCluster: same === true, isAbout, ...(named && { named }) }
    return look(beside, context)
  }
}

import type { KeyObject } from 'node:crypto'
import type { Head } from '../backup-set/documents.ts'
import type { Catalog } from '../backup-set/find.ts'
import { setsBeforeHead } from '../backup-set/history.ts'
import { layout } from '../backup-set/layout.ts'
import { noIdentity, openSet, readContents } from '../backup-set/open-set.ts'
import { partsOfSlice, type Slice } from '../backup-set/slices.ts'
import type { Meter } from '../base/progress.ts'
import type { WatchedWorkflow } from '../base/workflows.ts'
import type { LiveDatabase } from '../postgres/live-database.ts'
import type { TablePattern } from '../postgres/table-names.ts'
import type { Storage } from '../storage/storage.ts'
import type { AgeIdentity } from '../streams/age.ts'
import type { Facts } from './context.ts'
import { nameTables } from './name-tables.ts'
import { type ReadOptions, readParts } from './reading.ts'

export interface FactOptions {
  storage: Storage
  catalog: Catalog
  head: Head
  identities: readonly AgeIdentity[]
  verifyKeys: readonly KeyObject[]
  /** Empty: the run is about all tables. */
  tables: readonly TablePattern[]
  slice?: Slice
  /** Shows how far the reading is. */
  progress<T>(work: (meter: Meter) => Promise<T>): Promise<T>
  /** Looks at the server; undefined: this run has none to look at. */
  live?: () => Promise<LiveDatabase>
  /** Asks GitHub about the workflows that are to be watched; undefined: none are. */
  workflows?: () => Promise<WatchedWorkflow[]>
  signal: AbortSignal
}

/** Facts about a set that are found out when somebody asks, and only once. */
export function factsAbout(options: FactOptions): Facts {
  const { storage, head, identities, verifyKeys, signal } = options
  const opened = once(() => openSet(storage, head, verifyKeys))
  const contents = once(async () => {
    const set = await opened()
    return set.encrypted && identities.length === 0 ? undefined : readContents(set, identities, signal)
  })
  const live = once(async () => {
    if (options.live === undefined) throw new Error('this mode looks at no server')
    return options.live()
  })
  const named = once(async () => {
    if (options.tables.length === 0) return undefined
    const known = await contents()
    if (known === undefined) throw noIdentity(head.id)
    const server = options.live === undefined ? undefined : await live().catch(() => undefined)
    return nameTables(options.tables, known, server?.inventory)
  })
  const { previous, oldest } = earlierSets(options)
  const { manifest } = head
  const version = manifest.versionId === undefined ? {} : { versionId: manifest.versionId }
  return {
    openSet: opened,
    stored: once(() => listStored(storage, head, signal)),
    contents,
    named,
    reading: once(async () => {
      const set = await opened()
      const parts = (await named())?.parts ?? slicePaths(set.manifest.parts, options.slice)
      const readOptions: ReadOptions = { identities, signal, ...(parts && { parts }) }
      return options.progress((meter) => readParts(set, { ...readOptions, meter }))
    }),
    previous,
    oldest,
    posture: once(() =>
      storage.posture({ key: layout.manifest(head.database, head.id), ...version }, `${head.database}/`, { signal }),
    ),
    live,
    workflows: once(async () => options.workflows?.()),
  }
}

function slicePaths(parts: Parameters<typeof partsOfSlice>[0], slice: Slice | undefined): Set<string> | undefined {
  return slice === undefined ? undefined : new Set(partsOfSlice(parts, slice).map(({ path }) => path))
}

function earlierSets({ catalog, head }: FactOptions): Pick<Facts, 'previous' | 'oldest'> {
  const earlier = once(() => setsBeforeHead(catalog, head))
  const previous = once(async () => {
    for (const set of (await earlier()).toReversed()) if (!(await catalog.evidence.isDamaged(set.id))) return set
    return undefined
  })
  return { previous, oldest: async () => (await earlier())[0] }
}

async function listStored(storage: Storage, head: Head, signal: AbortSignal): Promise<Map<string, number>> {
  const prefix = layout.set(head.database, head.id)
  const stored = new Map<string, number>()
  for await (const { key, bytes } of storage.list(prefix, { signal })) stored.set(key.slice(prefix.length), bytes)
  return stored
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined
  return () => {
    result ??= work()
    return result
  }
}

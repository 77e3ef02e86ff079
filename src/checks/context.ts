import type { Contents, Head, PastSet } from '../backup-set/documents.ts'
import type { Catalog } from '../backup-set/find.ts'
import type { OpenSet } from '../backup-set/open-set.ts'
import type { Slice } from '../backup-set/slices.ts'
import type { Clock, Log } from '../base/ports.ts'
import type { WatchedWorkflow } from '../base/workflows.ts'
import type { LiveDatabase } from '../postgres/live-database.ts'
import type { Posture } from '../storage/posture.ts'
import type { Storage } from '../storage/storage.ts'
import type { NamedTables } from './name-tables.ts'
import type { Reading } from './reading.ts'

/** What is right and what is not, as the inputs say. */
export interface Limits {
  /** Seconds. */
  maxAge: number
  /** Fractions. */
  sizeChangeWarn: number
  sizeChangeFail: number
  /** Seconds. */
  maxRestoreTestAge: number
  /** Seconds. */
  walLagWarn: number
  walLagFail: number
  /** Bytes; undefined: nobody said. */
  storageQuota?: number
  /** Where backups may come from although others came from elsewhere, as `describeSource` says it. */
  acceptSource: readonly string[]
  /** Ids of the checks that have to be carried out. */
  required: ReadonlySet<string>
}

/** What costs something to know: asked for when it is needed, once, and shared. */
export interface Facts {
  /** Manifest and signature. Rejects as `openSet` does. */
  openSet(): Promise<OpenSet>
  /** What lies in the set's folder: sizes by path. */
  stored(): Promise<ReadonlyMap<string, number>>
  /** Undefined where the set is encrypted and no identity was given. */
  contents(): Promise<Contents | undefined>
  /** The tables that this run is about; undefined: all of them. */
  named(): Promise<NamedTables | undefined>
  /** The stored bytes that this run is about, read. */
  reading(): Promise<Reading>
  /** The newest whole set before this one of which no damage is known; it may have been deleted since. */
  previous(): Promise<PastSet | undefined>
  /** The oldest of the whole sets before this one that are still told of. */
  oldest(): Promise<PastSet | undefined>
  posture(): Promise<Posture>
  /** What the server says now. In the modes that look at it. */
  live(): Promise<LiveDatabase>
  /** The workflows that are to be watched, as GitHub knows them; undefined: none are. */
  workflows(): Promise<WatchedWorkflow[] | undefined>
}

/** What checks may look at. */
export interface CheckContext extends Limits, Facts {
  storage: Storage
  catalog: Catalog
  /** The set under examination. */
  head: Head
  /** Whether the set was chosen as the newest one: only then does its age say anything. */
  newest: boolean
  /** Whether this run looks at the server: then there is something to ask `live` for. */
  looksAtServer: boolean
  /** The share of the parts that is read; undefined: all of them. */
  slice?: Slice
  clock: Clock
  log: Log
  signal: AbortSignal
}

import { LifeboatError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import { type Head, headSchema, parseDocument } from './documents.ts'
import { type EvidenceName, listEvidence, stateOf } from './evidence.ts'
import { layout, parseSetId, type SetId } from './layout.ts'

/** What a reader asked for: `latest`, `proven`, a set's id, or a time. */
export type SetChoice = { kind: 'latest' } | { kind: 'proven' } | { kind: 'id'; id: string } | { kind: 'at'; at: Date }

/** Every set of a database that exists, newest first, with all evidence: two listings, no object is read. */
export interface Catalog {
  database: string
  sets: SetId[]
  evidence: EvidenceName[]
}

/** The one database in a storage, for readers that were not told which. Errors: `no-set`, `which-database`. */
export async function onlyDatabase(storage: Storage): Promise<string> {
  const names = await databasesIn(storage)
  const [first, ...others] = names
  if (first === undefined) throw noSet(storage, undefined)
  if (others.length === 0) return first
  throw new LifeboatError(
    'which-database',
    `${storage.url} holds the backups of ${names.length} databases: ${names.join(', ')}`,
    'Say which one with the input `database`.',
  )
}

/** Lists what is there. A key that is not named like a head is not a set. */
export async function readCatalog(storage: Storage, database: string): Promise<Catalog> {
  const sets: SetId[] = []
  const prefix = layout.heads(database)
  for await (const { key } of storage.list(prefix)) {
    const id = key.endsWith('.json') ? parseSetId(key.slice(prefix.length, -'.json'.length)) : undefined
    if (id) sets.push(id)
  }
  sets.sort((a, b) => b.takenAt.getTime() - a.takenAt.getTime() || (a.id < b.id ? 1 : -1))
  return { database, sets, evidence: await listEvidence(storage, database) }
}

/** The head of one set, checked against the path it was read from. Errors: `no-set`, `unknown-format`, `damaged-document`. */
export async function readHead(storage: Storage, database: string, id: string): Promise<Head> {
  const key = layout.head(database, id)
  const bytes = await storage.read(key, { limit: 1 << 20 })
  const head = parseDocument(headSchema, bytes, `${storage.url}/${key}`)
  if (head.id !== id || head.database !== database) {
    throw new LifeboatError(
      'foreign-document',
      `${key} says that it is the head of ${head.database}/${head.id}`,
      'The object was copied or renamed: remove it, and find out who can write to the storage.',
    )
  }
  return head
}

/**
 * Chooses a set. `latest` is the newest whole set that is not damaged; `proven` the newest whole set whose last restore
 * test passed; a time chooses the newest whole set taken at or before it. An id is taken as it is, damaged or partial.
 * Error: `no-set`, which says what is there instead.
 */
export async function chooseSet(storage: Storage, catalog: Catalog, choice: SetChoice): Promise<Head> {
  if (choice.kind === 'id') {
    if (!catalog.sets.some((set) => set.id === choice.id)) throw noSet(storage, catalog, `the id ${choice.id}`)
    return readHead(storage, catalog.database, choice.id)
  }
  const wanted = catalog.sets.filter((set) => {
    const state = stateOf(set.id, catalog.evidence)
    if (choice.kind === 'proven') return state === 'proven'
    if (choice.kind === 'at' && set.takenAt > choice.at) return false
    return state !== 'damaged'
  })
  for await (const head of wholeHeads(storage, catalog.database, wanted)) return head
  const asked = { latest: 'no damage on record', proven: 'a passed restore test', at: 'a snapshot that early' }
  throw noSet(storage, catalog, asked[choice.kind])
}

/**
 * The heads of the whole sets among `sets`, in their order, read one by one as they are asked for. One that retention has
 * deleted since the listing is passed over.
 */
export async function* wholeHeads(storage: Storage, database: string, sets: readonly SetId[]): AsyncGenerator<Head> {
  for (const { id } of sets) {
    const head = await readHead(storage, database, id).catch((error: unknown) => {
      if (error instanceof LifeboatError && error.code === 'no-object') return undefined
      throw error
    })
    if (head?.content === 'whole') yield head
  }
}

/** How many folders are looked into, and how many at a time; each is one request. */
const MOST_FOLDERS = 1_000
const FOLDERS_AT_ONCE = 16

/** The folders that hold sets: the storage may be a place of other things, too. Error: `which-database`. */
async function databasesIn(storage: Storage): Promise<string[]> {
  const folders = (await storage.folders('')).filter((name) => /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(name))
  if (folders.length > MOST_FOLDERS) {
    throw new LifeboatError(
      'which-database',
      `${storage.url} holds ${folders.length} folders, too many to find out which of them is a database`,
      'Say which one with the input `database`.',
    )
  }
  const found: string[] = []
  while (folders.length > 0) {
    const some = folders.splice(0, FOLDERS_AT_ONCE)
    const hold = await Promise.all(some.map((name) => holdsAnything(storage, layout.heads(name))))
    found.push(...some.filter((_, index) => hold[index]))
  }
  return found
}

async function holdsAnything(storage: Storage, prefix: string): Promise<boolean> {
  for await (const { key } of storage.list(prefix)) return key !== ''
  return false
}

function noSet(storage: Storage, catalog: Catalog | undefined, asked?: string): LifeboatError {
  const [newest] = catalog?.sets ?? []
  if (catalog === undefined || newest === undefined) {
    const where = catalog === undefined ? storage.url : `${storage.url} for the database ${catalog.database}`
    return new LifeboatError(
      'no-set',
      `There is no backup set in ${where}`,
      'Run action-dump first, or correct `storage`, `s3-endpoint` or `database`.',
    )
  }
  return new LifeboatError(
    'no-set',
    `None of the ${catalog.sets.length} backup sets of ${catalog.database} in ${storage.url} has ${asked}`,
    `The newest one is ${newest.id} (${stateOf(newest.id, catalog.evidence)}): give its id as \`backup\`, or take a new dump.`,
  )
}

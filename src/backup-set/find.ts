import type { KeyObject } from 'node:crypto'
import { LifeboatError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import { damagedDocument, type Head, headSchema, parseDocument } from './documents.ts'
import { evidenceAmong } from './evidence.ts'
import { EvidenceBook } from './evidence-book.ts'
import { layout, newestFirst, parseHeadKey, type SetId } from './layout.ts'

/** What a reader asked for: `latest`, `proven`, a set's id, or a time. */
export type SetChoice = { kind: 'latest' } | { kind: 'proven' } | { kind: 'id'; id: string } | { kind: 'at'; at: Date }

/** Every set of a database that exists, newest first, with all evidence: one listing; objects are read when asked for. */
export interface Catalog {
  database: string
  sets: SetId[]
  evidence: EvidenceBook
  /** As `readHead`; each is read once. */
  head(id: string): Promise<Head>
}

/** The one database in a storage, for readers that were not told which. Errors: `no-set`, `which-database`. */
export async function onlyDatabase(storage: Storage): Promise<string> {
  const names = await databasesIn(storage)
  const [first, ...others] = names
  if (first === undefined) throw noSetAtAll(storage.url)
  if (others.length === 0) return first
  throw new LifeboatError(
    'which-database',
    `${storage.url} holds the backups of ${names.length} databases: ${names.join(', ')}`,
    'Say which one with the input `database`.',
  )
}

/** Lists what is there; with `verifyKeys` only evidence that one of them signed counts. */
export async function readCatalog(
  storage: Storage,
  database: string,
  verifyKeys: readonly KeyObject[],
): Promise<Catalog> {
  const keys = await listBeforeSets(storage, database)
  const [sets, names] = [setsAmong(keys, database), evidenceAmong(keys, database)]
  const heads = new Map<string, Promise<Head>>()
  const head = (id: string) => {
    const known = heads.get(id) ?? readHead(storage, database, id)
    heads.set(id, known)
    return known
  }
  return { database, sets, evidence: new EvidenceBook({ storage, database, names, verifyKeys, head }), head }
}

/** Evidence and heads in one listing: by their names both come before the parts of sets, which are many more. */
async function listBeforeSets(storage: Storage, database: string): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of storage.list(`${database}/`)) {
    if (key.startsWith(layout.sets(database))) break
    keys.push(key)
  }
  return keys
}

/** The sets of a database that exist, newest first. */
export async function listSets(storage: Storage, database: string): Promise<SetId[]> {
  const objects = await Array.fromAsync(storage.list(layout.heads(database)))
  return setsAmong(
    objects.map(({ key }) => key),
    database,
  )
}

/** A key that is not named like a head is not a set. */
function setsAmong(keys: readonly string[], database: string): SetId[] {
  return keys.flatMap((key) => parseHeadKey(key, database) ?? []).sort(newestFirst)
}

/** What ends every document; nothing else tells of a head that it is whole. */
const LINE_END = 0x0a

/** The head of one set, checked against the path it was read from. Errors: `no-set`, `unknown-format`, `damaged-document`. */
export async function readHead(storage: Storage, database: string, id: string): Promise<Head> {
  const key = layout.head(database, id)
  const bytes = await storage.read(key, { limit: 1 << 20 })
  const head = parseDocument(headSchema, bytes, `${storage.url}/${key}`)
  if (bytes.at(-1) !== LINE_END) throw damagedDocument(`${storage.url}/${key}`, 'it is cut')
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
    if (!catalog.sets.some((set) => set.id === choice.id)) throw await noSet(storage, catalog, `the id ${choice.id}`)
    return catalog.head(choice.id)
  }
  for (const { id, takenAt } of catalog.sets) {
    if (choice.kind === 'at' && takenAt > choice.at) continue
    const { evidence } = catalog
    const isWanted = choice.kind === 'proven' ? await evidence.isProven(id) : !(await evidence.isDamaged(id))
    const head = isWanted ? await wholeHead(catalog.head, id) : undefined
    if (head) return head
  }
  const asked = { latest: 'no damage on record', proven: 'a passed restore test', at: 'a snapshot that early' }
  throw await noSet(storage, catalog, asked[choice.kind])
}

/**
 * The newest set whose last restore test passed, by the evidence that counts: only whole sets are restore tested. `judged`
 * is known better than the evidence tells yet.
 */
export async function newestProven(
  { sets, evidence }: Catalog,
  judged?: { id: string; isProven: boolean },
): Promise<SetId | undefined> {
  for (const set of sets) {
    if (set.id === judged?.id ? judged.isProven : await evidence.isProven(set.id)) return set
  }
  return undefined
}

/**
 * The heads of the whole sets among `sets`, in their order, read one by one as they are asked for. One that retention has
 * deleted since the listing is passed over.
 */
export async function* wholeHeads(storage: Storage, database: string, sets: readonly SetId[]): AsyncGenerator<Head> {
  for (const { id } of sets) {
    const head = await wholeHead((one) => readHead(storage, database, one), id)
    if (head) yield head
  }
}

/** The head of a set as `read` gives it, or undefined where the set is partial, or has been deleted since it was listed. */
export async function wholeHead(read: Catalog['head'], id: string): Promise<Head | undefined> {
  const head = await read(id).catch((error: unknown) => {
    if (error instanceof LifeboatError && error.code === 'no-object') return undefined
    throw error
  })
  return head?.content === 'whole' ? head : undefined
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
  // Whether it holds any is what its reader finds out first.
  if (folders.length === 1) return folders
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

async function noSet(storage: Storage, catalog: Catalog, asked: string): Promise<LifeboatError> {
  const [newest] = catalog.sets
  if (newest === undefined) return noSetAtAll(`${storage.url} for the database ${catalog.database}`)
  return new LifeboatError(
    'no-set',
    `None of the ${catalog.sets.length} backup sets of ${catalog.database} in ${storage.url} has ${asked}`,
    `The newest one is ${newest.id} (${await catalog.evidence.stateOf(newest.id)}): give its id as \`backup\`, or take a new dump.`,
  )
}

function noSetAtAll(where: string): LifeboatError {
  return new LifeboatError(
    'no-set',
    `There is no backup set in ${where}`,
    'Run action-dump first, or correct `storage`, `s3-endpoint` or `database`.',
  )
}

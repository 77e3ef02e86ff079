import type { KeyObject } from 'node:crypto'
import type { Verdict } from '../base/findings.ts'
import type { Storage } from '../storage/storage.ts'
import { type Evidence, serializeDocument } from './documents.ts'
import { compactTime, layout, randomName } from './layout.ts'
import { signDocument } from './signature.ts'
import { parseSlice, type Slice, wholesOfSlices } from './slices.ts'

/** What the name of one piece of evidence says: listing names is enough to know a set's state. */
export interface EvidenceName {
  key: string
  id: string
  at: Date
  test: Evidence['test']
  /** Which share of the parts was read; absent: all of them. */
  slice?: Slice
  verdict: Verdict
  /** Whether a signature lies beside it; by whom, its name does not say. */
  signed: boolean
}

/** `written` → `intact` (integrity passed) → `proven` (a whole restore test passed); a later failure makes it `damaged`. */
export type SetState = 'written' | 'intact' | 'proven' | 'damaged'

const NAME =
  /^(.+)\/(\d{8}T\d{6}Z)-(stored-bytes|integrity|restore-test)(?:-(\d{1,3})of(\d{1,3}))?-(passed|failed|unverified)-[a-z0-9]{6}\.json$/

/** What the key of a piece of evidence ends in to give that of its signature. */
const SIGNATURE_SUFFIX = '.sig'

/** Where the detached signature of a piece of evidence lies: Ed25519, over its bytes as they are stored. */
export function evidenceSignature(key: string): string {
  return `${key}${SIGNATURE_SUFFIX}`
}

/** Stores one immutable record of one verify or restore test, signed where there is a key; what its name says. */
export async function writeEvidence(
  storage: Storage,
  evidence: Evidence,
  signingKey?: KeyObject,
): Promise<EvidenceName> {
  const { database, id, test, slice, verdict } = evidence
  const at = new Date(evidence.at)
  const key = `${layout.evidence(database, id)}${compactTime(at)}-${kindOf(evidence)}-${verdict}-${randomName()}.json`
  const bytes = serializeDocument(evidence)
  // The signature first: whoever sees the evidence shall never take it for unsigned.
  if (signingKey) await storage.put(evidenceSignature(key), signDocument(bytes, signingKey))
  await storage.put(key, bytes)
  // Its name tells seconds: this one shall be no newer than it looks to others.
  at.setUTCMilliseconds(0)
  return { key, id, at, test, ...(slice && { slice }), verdict, signed: signingKey !== undefined }
}

/** The names of all evidence of a database (or of one set), oldest first. What is not named like evidence is passed over. */
export async function listEvidence(storage: Storage, database: string, id?: string): Promise<EvidenceName[]> {
  const objects = await Array.fromAsync(storage.list(layout.evidence(database, id)))
  return evidenceAmong(
    objects.map(({ key }) => key),
    database,
  )
}

/** The same, of keys that were listed already. */
export function evidenceAmong(keys: readonly string[], database: string): EvidenceName[] {
  const root = layout.evidence(database)
  const names: EvidenceName[] = []
  const signatures = new Set<string>()
  for (const key of keys) {
    const parsed = key.startsWith(root) ? parseEvidenceKey(key, root) : undefined
    if (parsed) names.push(parsed)
    else if (key.endsWith(SIGNATURE_SUFFIX)) signatures.add(key)
  }
  for (const name of names) name.signed = signatures.has(evidenceSignature(name.key))
  return names.sort((a, b) => a.at.getTime() - b.at.getTime())
}

function parseEvidenceKey(key: string, root: string): EvidenceName | undefined {
  const match = NAME.exec(key.slice(root.length))
  if (!match) return undefined
  const [, id = '', time = '', test, number, of, verdict] = match
  const slice = number === undefined ? undefined : parseSlice(`${number}/${of}`)
  if (number !== undefined && slice === undefined) return undefined
  const at = new Date(time.replace(/(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z/, '$1-$2-$3T$4:$5:$6Z'))
  if (Number.isNaN(at.getTime())) return undefined
  const kind = { test: test as Evidence['test'], ...(slice && { slice }) }
  return { key, id, at, ...kind, verdict: verdict as Verdict, signed: false }
}

/** Whoever read and recomputed everything has read every stored byte, too. */
const COVERS: Record<Evidence['test'], readonly Evidence['test'][]> = {
  'stored-bytes': ['stored-bytes'],
  integrity: ['integrity', 'stored-bytes'],
  'restore-test': ['restore-test'],
}

/**
 * The newest evidence of each kind about one set: what its state rests on. `unverified` evidence says nothing about the
 * set; of two in the same second the failure counts.
 */
export function newestOfEachKind(id: string, evidence: readonly EvidenceName[]): Map<string, EvidenceName> {
  const told = evidence.filter((item) => item.id === id && item.verdict !== 'unverified')
  const newest = new Map<string, EvidenceName>()
  for (const item of [...told, ...wholesOfSlices(told)]) {
    for (const kind of item.verdict === 'passed' ? coveredKinds(item, told) : [kindOf(item)]) {
      const known = newest.get(kind)
      const later = item.at.getTime() - (known?.at.getTime() ?? Number.NEGATIVE_INFINITY)
      if (later > 0 || (later === 0 && item.verdict === 'failed')) newest.set(kind, item)
    }
  }
  return newest
}

/**
 * The state of one set by that of its evidence which counts; an EvidenceBook knows which does. A damaged set recovers when
 * what found the damage passes.
 */
export function stateOf(id: string, evidence: readonly EvidenceName[]): SetState {
  const newest = newestOfEachKind(id, evidence)
  if ([...newest.values()].some((item) => item.verdict === 'failed')) return 'damaged'
  if (newest.has('restore-test')) return 'proven'
  return newest.has('integrity') ? 'intact' : 'written'
}

/** `integrity`, `integrity-3of7`. */
function kindOf({ test, slice }: Pick<Evidence, 'test' | 'slice'>): string {
  return slice === undefined ? test : `${test}-${slice.number}of${slice.of}`
}

/** A pass of the whole is one of every slice, too; that of a slice is one of this slice alone. */
function coveredKinds({ test, slice }: EvidenceName, told: readonly EvidenceName[]): string[] {
  const kinds = COVERS[test].map((covered) => kindOf({ test: covered, ...(slice && { slice }) }))
  if (slice !== undefined) return kinds
  return [...kinds, ...told.filter((item) => item.slice && COVERS[test].includes(item.test)).map(kindOf)]
}

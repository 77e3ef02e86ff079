import type { Verdict } from '../base/findings.ts'
import type { Storage } from '../storage/storage.ts'
import { type Evidence, serializeDocument } from './documents.ts'
import { compactTime, layout, randomName } from './layout.ts'

/** What the name of one piece of evidence says: listing names is enough to know a set's state. */
export interface EvidenceName {
  key: string
  id: string
  at: Date
  test: Evidence['test']
  verdict: Verdict
}

/** `written` → `intact` (integrity passed) → `proven` (a whole restore test passed); a later failure makes it `damaged`. */
export type SetState = 'written' | 'intact' | 'proven' | 'damaged'

const NAME = /^(.+)\/(\d{8}T\d{6}Z)-(stored-bytes|integrity|restore-test)-(passed|failed|unverified)-[a-z0-9]{6}\.json$/

/** Stores one immutable record of one verify or restore test; its key. */
export async function writeEvidence(storage: Storage, evidence: Evidence): Promise<string> {
  const name = `${compactTime(new Date(evidence.at))}-${evidence.test}-${evidence.verdict}-${randomName()}.json`
  const key = `${layout.evidence(evidence.database, evidence.id)}${name}`
  await storage.put(key, serializeDocument(evidence))
  return key
}

/** The names of all evidence of a database (or of one set), oldest first. What is not named like evidence is passed over. */
export async function listEvidence(storage: Storage, database: string, id?: string): Promise<EvidenceName[]> {
  const root = layout.evidence(database)
  const names: EvidenceName[] = []
  for await (const { key } of storage.list(layout.evidence(database, id))) {
    const parsed = parseEvidenceKey(key, root)
    if (parsed) names.push(parsed)
  }
  return names.sort((a, b) => a.at.getTime() - b.at.getTime())
}

function parseEvidenceKey(key: string, root: string): EvidenceName | undefined {
  const match = NAME.exec(key.slice(root.length))
  if (!match) return undefined
  const [, id = '', time = '', test, verdict] = match
  const at = new Date(time.replace(/(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z/, '$1-$2-$3T$4:$5:$6Z'))
  if (Number.isNaN(at.getTime())) return undefined
  return { key, id, at, test: test as Evidence['test'], verdict: verdict as Verdict }
}

/** Whoever read and recomputed everything has read every stored byte, too. */
const COVERS: Record<Evidence['test'], readonly Evidence['test'][]> = {
  'stored-bytes': ['stored-bytes'],
  integrity: ['integrity', 'stored-bytes'],
  'restore-test': ['restore-test'],
}

/**
 * The state of one set by the newest evidence of each kind. `unverified` evidence says nothing about the set. A damaged
 * set recovers when what found the damage passes; of two in the same second the failure counts.
 */
export function stateOf(id: string, evidence: readonly EvidenceName[]): SetState {
  const newest = new Map<Evidence['test'], EvidenceName>()
  for (const item of evidence) {
    if (item.id !== id || item.verdict === 'unverified') continue
    for (const kind of item.verdict === 'passed' ? COVERS[item.test] : [item.test]) {
      const known = newest.get(kind)
      const later = item.at.getTime() - (known?.at.getTime() ?? Number.NEGATIVE_INFINITY)
      if (later > 0 || (later === 0 && item.verdict === 'failed')) newest.set(kind, item)
    }
  }
  if ([...newest.values()].some((item) => item.verdict === 'failed')) return 'damaged'
  if (newest.has('restore-test')) return 'proven'
  return newest.has('integrity') ? 'intact' : 'written'
}

import type { EvidenceName } from './evidence.ts'

/** So many restore tests are looked back on. */
const REHEARSALS = 30

/**
 * Whether a key is that of a piece of evidence (or of its signature) that outlives its set: of the restore tests that
 * passed last, whatever became of what they restored. When one last did, and how long it took over time, is to be known
 * for longer than sets are kept. `evidence` is all of a database, oldest first.
 */
export function historyOf(evidence: readonly EvidenceName[]): (key: string) => boolean {
  const rehearsals = evidence.filter(({ test, verdict }) => test === 'restore-test' && verdict === 'passed')
  const keys = new Set(rehearsals.slice(-REHEARSALS).map(({ key }) => key))
  return (key) => keys.has(key.replace(/\.sig$/, ''))
}

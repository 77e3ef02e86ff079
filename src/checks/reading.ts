import { isDamage } from '../backup-set/damage.ts'
import type { Contents, Manifest } from '../backup-set/documents.ts'
import { type OpenSet, readContents } from '../backup-set/open-set.ts'
import type { Finding } from '../base/findings.ts'
import { type Meter, silentMeter } from '../base/progress.ts'
import type { Toc } from '../postgres/toc.ts'
import type { AgeIdentity } from '../streams/age.ts'
import type { Fingerprint } from '../streams/fingerprint.ts'
import type { Check, CheckOutcome } from './check.ts'
import { planJobs, type ReadContext } from './read-parts.ts'

/** What reading stored bytes of a set brought to light. */
export interface Reading {
  /** Stored bytes that were read and whose digests are right. */
  bytesRead: number
  partsRead: number
  /** How many parts were to be read. */
  partsExpected: number
  /** Damage to stored bytes: digests, lengths, decryption, decompression. */
  damage: Finding[]
  /** Undefined where the set is encrypted and no identity was given. */
  inside?: Inside
}

/** What is inside of the parts. */
export interface Inside {
  manifest: Manifest
  contents: Contents
  /** Names of the files that hold rows. */
  tableFiles: ReadonlySet<string>
  toc?: Toc
  /** The text of `roles.sql`, in the database's encoding. */
  roles?: Buffer
  /** The archive that makes the roles that the schema names. */
  prepare?: Toc
  /** Recomputed from the rows, by file. */
  fingerprints: Map<string, Fingerprint>
  /** Files that came out of the parts, by name, with their plain length. */
  files: Map<string, number>
  /** By path: the segments of files of which not every segment was to be read. */
  segments: Map<string, { plainBytes: number; fingerprint?: Fingerprint }>
  /** Whether a part was to be read. */
  covers(path: string): boolean
}

export interface ReadOptions {
  identities: readonly AgeIdentity[]
  signal: AbortSignal
  /** Is told of stored bytes. */
  meter?: Meter
  /** Paths of the parts to read; default: all of them. What describes the set is read in any case. */
  parts?: ReadonlySet<string>
}

const AT_ONCE = 4

/** Small, and without them nothing else can be judged. */
const ALWAYS_READ = /^(database\/toc\.dat|contents\.json|roles\.sql|prepare\.dat)\.zst/

/** A check of what is inside of the parts: `not run` where they could not be opened. */
export function lookInside(look: (inside: Inside) => CheckOutcome): Check['run'] {
  return async (context) => {
    const { inside, damage } = await context.reading()
    if (inside) return look(inside)
    const summary = damage.length > 0 ? 'the contents cannot be read' : 'encrypted, and no identity was given'
    return { status: 'not run', summary, findings: [] }
  }
}

/**
 * Reads parts once each, several at a time: digests always; what is inside, where it can be opened. Damage is collected;
 * what keeps from reading (the storage, a wrong identity) rejects.
 */
export async function readParts(
  set: OpenSet,
  { identities, signal, meter = silentMeter, parts }: ReadOptions,
): Promise<Reading> {
  const covers = (path: string) => parts === undefined || parts.has(path) || ALWAYS_READ.test(path)
  const expected = set.manifest.parts.filter(({ path }) => covers(path))
  meter.expect(
    expected.reduce((sum, part) => sum + part.bytes, 0),
    'exactly',
  )
  const reading: Reading = { bytesRead: 0, partsRead: 0, partsExpected: expected.length, damage: [] }
  const open = !set.encrypted || identities.length > 0
  if (open)
    await attempt(reading, async () => {
      const contents = await readContents(set, identities, signal)
      reading.inside = openInside(set.manifest, contents, covers)
    })
  const context: ReadContext = { set, inside: reading.inside, identities, signal, meter, reading }
  const jobs = planJobs(expected, context, covers)
  const work = async () => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await attempt(reading, job)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return reading
}

function openInside(manifest: Manifest, contents: Contents, covers: Inside['covers']): Inside {
  const tableFiles = new Set(contents.tables.map(({ file }) => file))
  return { manifest, contents, tableFiles, fingerprints: new Map(), files: new Map(), segments: new Map(), covers }
}

async function attempt(reading: Reading, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!isDamage(error)) throw error
    reading.damage.push({ severity: 'failure', message: error.message, remedy: error.remedy })
  }
}

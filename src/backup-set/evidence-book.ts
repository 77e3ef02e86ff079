import type { KeyObject } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { LifeboatError } from '../base/errors.ts'
import type { Finding } from '../base/findings.ts'
import type { Storage } from '../storage/storage.ts'
import { isDamage } from './damage.ts'
import { type Evidence, evidenceSchema, type Head, parseDocument } from './documents.ts'
import { type EvidenceName, evidenceSignature, newestOfEachKind, type SetState, stateOf } from './evidence.ts'
import { compactTime } from './layout.ts'
import { isSignedBy } from './signature.ts'
import { describeSlice } from './slices.ts'

const LARGEST_EVIDENCE = 4 << 20
/** A storage full of copies shall not be read through for a number that is only shown. */
const MOST_TRIES = 5

export interface BookOptions {
  storage: Storage
  database: string
  /** As listed, oldest first. */
  names: readonly EvidenceName[]
  /** With keys only what one of them signed counts. */
  verifyKeys: readonly KeyObject[]
  /** The head of a set of that database. */
  head: (id: string) => Promise<Head>
}

/**
 * All evidence of a database, and what of it counts. Without keys that is all of it, by its names, and nothing is read.
 * With keys a piece counts if its signature was made by one of them and it says of itself what its name and the head of
 * its set say: a copy from another set, a renamed one, one about an earlier set of the same id do not. What is asked for
 * decides what is read, each piece once. A storage that cannot be read rejects: nothing is decided on half of the evidence.
 */
export class EvidenceBook {
  readonly #options: BookOptions
  readonly #names: EvidenceName[]
  /** What this run has found itself: it needs no proof of that. */
  readonly #own = new Map<string, Evidence>()
  readonly #examined = new Map<string, Promise<Evidence | undefined>>()
  readonly #refused = new Map<string, Finding>()

  constructor(options: BookOptions) {
    this.#options = options
    this.#names = [...options.names]
  }

  /** The names of all evidence, of whatever worth, oldest first. */
  get names(): readonly EvidenceName[] {
    return this.#names
  }

  /** Takes up what this run has found and stored. */
  add(name: EvidenceName, evidence: Evidence): void {
    this.#names.push(name)
    this.#own.set(name.key, evidence)
  }

  /** The same book as it would be if nothing had ever failed. */
  withoutFailures(): EvidenceBook {
    const names = this.#names.filter(({ verdict }) => verdict !== 'failed')
    const book = new EvidenceBook({ ...this.#options, names })
    for (const [key, evidence] of this.#own) book.#own.set(key, evidence)
    return book
  }

  /** The state of a set by the evidence that counts. */
  async stateOf(id: string): Promise<SetState> {
    let candidates = this.#names.filter((name) => name.id === id)
    for (;;) {
      // Of slices that amount to the whole, each decides.
      const deciding = [...new Set(newestOfEachKind(id, candidates).values())].filter((name) =>
        candidates.includes(name),
      )
      const verdicts = await Promise.all(deciding.map((name) => this.#counts(name)))
      if (verdicts.every(Boolean)) return stateOf(id, candidates)
      const refused = new Set(deciding.filter((_, index) => !verdicts[index]))
      candidates = candidates.filter((name) => !refused.has(name))
    }
  }

  /** Reads nothing of a set of which no name tells that it failed. */
  async isDamaged(id: string): Promise<boolean> {
    return this.#mentions(id, ({ verdict }) => verdict === 'failed') && (await this.stateOf(id)) === 'damaged'
  }

  /** Reads nothing of a set of which no name tells that it was restored. */
  async isProven(id: string): Promise<boolean> {
    return this.#mentions(id, isPassedRehearsal) && (await this.stateOf(id)) === 'proven'
  }

  /** The name of the newest restore test that passed, of whatever set, and counts. */
  async lastRehearsal(): Promise<EvidenceName | undefined> {
    for (const name of this.#rehearsals()) if (await this.#counts(name)) return name
    return undefined
  }

  /** The same as a document. Without keys, too, it must agree with its name and the head of its set. */
  async readLastRehearsal(): Promise<Evidence | undefined> {
    const unsigned = new Set(this.#unsigned(this.#rehearsals()))
    const candidates = this.#rehearsals().filter((name) => !unsigned.has(name))
    for (const name of candidates.slice(0, MOST_TRIES)) {
      const evidence = await this.#read(name)
      if (evidence) return evidence
    }
    return undefined
  }

  /** What does not count, and why. Of pieces that were not looked at only the lack of a signature is known. */
  findings(): Finding[] {
    const unsigned = this.#unsigned(this.#names).length
    const findings = [...this.#refused.values()]
    if (unsigned === 0) return findings
    const pieces = unsigned === 1 ? '1 piece of evidence is' : `${unsigned} pieces of evidence are`
    const count = unsigned === 1 ? 'does' : 'do'
    return [
      ...findings,
      {
        severity: 'note',
        message: `${pieces} not signed and ${count} not count`,
        remedy:
          'Give action-verify and action-restore-test the input `signing-key`: what they find from then on counts.',
      },
    ]
  }

  /** How many restore tests passed and do not count for want of a signature. */
  get unsignedRehearsals(): number {
    return this.#unsigned(this.#rehearsals()).length
  }

  #unsigned(names: readonly EvidenceName[]): EvidenceName[] {
    if (this.#options.verifyKeys.length === 0) return []
    return names.filter(({ key, signed }) => !signed && !this.#own.has(key))
  }

  #rehearsals(): EvidenceName[] {
    return this.#names.filter(isPassedRehearsal).reverse()
  }

  #mentions(id: string, says: (name: EvidenceName) => boolean): boolean {
    return this.#names.some((name) => name.id === id && says(name))
  }

  async #counts(name: EvidenceName): Promise<boolean> {
    return this.#options.verifyKeys.length === 0 || (await this.#read(name)) !== undefined
  }

  /** The document, or undefined where it does not count. */
  async #read(name: EvidenceName): Promise<Evidence | undefined> {
    const own = this.#own.get(name.key)
    if (own) return own
    if (this.#unsigned([name]).length > 0) return undefined
    const known = this.#examined.get(name.key) ?? this.#examine(name)
    this.#examined.set(name.key, known)
    return known
  }

  async #examine(name: EvidenceName): Promise<Evidence | undefined> {
    const { storage, verifyKeys } = this.#options
    const [bytes, signature] = await Promise.all([
      readIfThere(storage, name.key),
      verifyKeys.length > 0 ? readIfThere(storage, evidenceSignature(name.key)) : undefined,
    ])
    // Deleted since it was listed.
    if (bytes === undefined) return undefined
    if (verifyKeys.length > 0 && !(signature && isSignedBy(bytes, signature, verifyKeys))) {
      return this.#refuse(name, 'was signed by none of the given keys')
    }
    let evidence: Evidence
    try {
      evidence = parseDocument(evidenceSchema, bytes, `${storage.url}/${name.key}`)
    } catch (error) {
      if (isDamage(error)) return this.#refuse(name, 'cannot be read')
      throw error
    }
    const problem = this.#contradiction(name, evidence) ?? (await this.#contradictionOfHead(evidence))
    return problem === undefined ? evidence : this.#refuse(name, problem)
  }

  #refuse({ key }: EvidenceName, problem: string): undefined {
    this.#refused.set(key, {
      severity: 'warning',
      message: `${key} does not count: it ${problem}`,
      remedy:
        'Find out who can write to the storage; where a signing key was replaced, give its old public half in `verify-key` as well.',
    })
    return undefined
  }

  /** Names are what anybody who can write may give; what is inside was written by whoever tested. */
  #contradiction(name: EvidenceName, evidence: Evidence): string | undefined {
    const { database, id, test, slice, verdict, at } = evidence
    if (database !== this.#options.database || id !== name.id) return `says that it is about ${database}/${id}`
    const same = test === name.test && verdict === name.verdict && isDeepStrictEqual(slice, name.slice)
    if (same && compactTime(new Date(at)) === compactTime(name.at)) return undefined
    return `says that it is of ${at}, ${test}${slice ? ` (slice ${describeSlice(slice)})` : ''}, ${verdict}`
  }

  /** Evidence outlives its set, and then tells what once was; about a set that is there it must mean that very set. */
  async #contradictionOfHead({ id, manifestSha256 }: Evidence): Promise<string | undefined> {
    let head: Head
    try {
      head = await this.#options.head(id)
    } catch (error) {
      if (!isDamage(error)) throw error
      return error.code === 'no-object' ? undefined : 'is about a set whose head is damaged'
    }
    return head.manifest.sha256 === manifestSha256 ? undefined : 'is about another manifest than the one that is there'
  }
}

function isPassedRehearsal({ test, verdict }: EvidenceName): boolean {
  return test === 'restore-test' && verdict === 'passed'
}

async function readIfThere(storage: Storage, key: string): Promise<Buffer | undefined> {
  try {
    return await storage.read(key, { limit: LARGEST_EVIDENCE })
  } catch (error) {
    if (!(error instanceof LifeboatError)) throw error
    if (error.code === 'no-object') return undefined
    // No evidence is that long: then it is none.
    if (error.code === 'object-too-large') return Buffer.alloc(0)
    throw error
  }
}

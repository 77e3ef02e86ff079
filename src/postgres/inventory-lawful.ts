import type { InventoryObject } from './inventory-types.ts'

/** One fact of an object that came back with another value. */
export interface Change {
  source: InventoryObject
  restored: InventoryObject
  fact: string
  before: unknown
  after: unknown
}

/** What one round trip changes in a healthy database. Each case is tested by name in `test/restore`. */
export class Lawful {
  readonly #source: ReadonlyMap<string, InventoryObject>
  readonly #parents: ReadonlyMap<string, readonly string[]>

  /** `source`: its objects by `kind identity`. */
  constructor(source: ReadonlyMap<string, InventoryObject>) {
    this.#source = source
    const inherited = [...source.values()].filter(({ facts }) => Array.isArray(facts.parents))
    this.#parents = new Map(inherited.map(({ identity, facts }) => [identity, facts.parents as string[]]))
  }

  /** Whether an object may be missing from the copy, or be there in addition. */
  isAbsence({ kind, identity, facts }: InventoryObject, difference: 'missing' | 'extra'): boolean {
    return (
      // A restore into a rehearsal leaves subscriptions out, and pg_dump saves them for superusers only.
      kind === 'subscription' ||
      // pg_dump leaves out an index that a failed CREATE INDEX CONCURRENTLY left behind.
      (kind === 'index' && difference === 'missing' && facts.invalid === true && facts.partitioned !== true) ||
      // Every new database has them; a dump does not tell that the source has dropped them.
      (difference === 'extra' && ['schema public', 'extension plpgsql'].includes(`${kind} ${identity}`))
    )
  }

  /** Whether a change is to be told, but is no fault of the backup: pg_dump saves this in no other way. */
  isChange({ source: { kind, identity, facts }, fact, before, after }: Change): boolean {
    if (kind === 'subscription') return true
    if (kind === 'extension') return fact === 'version'
    // PostgreSQL 16 began to spell them the BCP 47 way; what pg_upgrade brought along is spelt anew.
    if (kind === 'collation') return fact === 'locale' && facts.provider === 'i'
    // pg_dump leaves out a name that looks like the server's own choice; if another table has it by now, it is another.
    if (kind === 'not-null constraint' && fact === 'name') return true
    // A child that went back to the default of its type: pg_dump says nothing of it, and it takes over its parent's.
    if (kind === 'column' && ['storage', 'compression'].includes(fact)) {
      return before === undefined && this.#parentsOfPart(identity).length > 0
    }
    // What comes from the parent is made with the parent, and pg_dump leaves it out with its comment.
    if (['constraint', 'not-null constraint', 'trigger'].includes(kind) && fact === 'comment' && after === undefined) {
      const table = relationOf(identity)
      const name = identity.slice(table.length)
      return this.#parentsOfPart(identity).some((parent) => this.#source.has(`${kind} ${parent}${name}`))
    }
    return false
  }

  /** Whether a change is none: the value means nothing in the copy. */
  isNothing({ fact, before, after }: Change): boolean {
    // A table keeps its TOAST table, and options, after the last long column was dropped; the copy gets none.
    return fact === 'toastOptions' && (before === undefined || after === undefined)
  }

  #parentsOfPart(identity: string): readonly string[] {
    return this.#parents.get(relationOf(identity)) ?? []
  }
}

/** `public."a.b"` of `public."a.b"."c.d"`. */
export function relationOf(identity: string): string {
  return /^(?:"(?:[^"]|"")+"|[^".]+)\.(?:"(?:[^"]|"")+"|[^".]+)/.exec(identity)?.[0] ?? identity
}

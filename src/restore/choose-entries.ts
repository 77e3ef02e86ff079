import type { Toc, TocEntry } from '../postgres/toc.ts'

/** What is known of the tables besides the archive; names are in its own spelling, unquoted. */
export interface Knowledge {
  /** OIDs of the tables that come back. */
  oids: ReadonlySet<number>
  /** Whether an entry is needed although nothing on record depends on it. */
  isNeeded(entry: TocEntry): boolean
  /** Whether a foreign key of the table with that OID leads to one that comes back, too. */
  isHeld(table: number, key: string): boolean
}

const ALWAYS = ['ENCODING', 'STDSTRINGS', 'SEARCHPATH']
const TABLES = ['TABLE', 'FOREIGN TABLE']
/** On one relation, whose name their tag begins with. */
const NAMED_AFTER = ['DEFAULT', 'CONSTRAINT', 'CHECK CONSTRAINT', 'FK CONSTRAINT', 'TRIGGER', 'RULE', 'POLICY']
/** On one table, the only one that they depend on. */
const ON_TABLE = ['ROW SECURITY', 'INDEX', 'STATISTICS', 'SEQUENCE']
/** Come where all that they are about has come. */
const FOLLOW = ['TABLE ATTACH', 'INDEX ATTACH', 'COMMENT', 'ACL', 'SEQUENCE OWNED BY', 'SEQUENCE SET']

/**
 * The entries of an archive that bring back some tables, in the archive's order: the tables with rows and everything that
 * is on them, and the definitions alone of whatever these depend on. Foreign keys come where both of their ends do.
 */
export function chooseEntries(toc: Toc, knowledge: Knowledge): TocEntry[] {
  return new Choice(toc, knowledge).make()
}

class Choice {
  readonly #toc: Toc
  readonly #knowledge: Knowledge
  readonly #byId: Map<number, TocEntry>
  readonly #schemas: Map<string, TocEntry>
  readonly #chosen = new Set<TocEntry>()
  /** What comes with an extension is in no archive, but its number is. */
  readonly #ofExtensions = new Set<number>()

  constructor(toc: Toc, knowledge: Knowledge) {
    this.#toc = toc
    this.#knowledge = knowledge
    this.#byId = new Map(toc.entries.map((entry) => [entry.dumpId, entry]))
    this.#schemas = new Map(toc.entries.flatMap((entry) => (entry.desc === 'SCHEMA' ? [[entry.tag, entry]] : [])))
  }

  make(): TocEntry[] {
    for (const entry of this.#toc.entries) if (this.#isWanted(entry)) this.#add(entry)
    // A grant on a column waits for the one on its table, and that for the table.
    for (let before = -1; before < this.#chosen.size; ) {
      before = this.#chosen.size
      for (const entry of this.#toc.entries) if (this.#mayFollow(entry)) this.#chosen.add(entry)
    }
    return this.#toc.entries.filter((entry) => this.#chosen.has(entry))
  }

  #isWanted(entry: TocEntry): boolean {
    const { desc } = entry
    const { oids, isNeeded, isHeld } = this.#knowledge
    if (ALWAYS.includes(desc) || isNeeded(entry)) return true
    if (TABLES.includes(desc) || desc === 'TABLE DATA') return oids.has(entry.oid)
    if (NAMED_AFTER.includes(desc)) {
      const table = this.#relationOf(entry)
      if (table === undefined || !this.#isChosenTable(table)) return false
      return desc !== 'FK CONSTRAINT' || isHeld(table.oid, entry.tag.slice(table.tag.length + 1))
    }
    return ON_TABLE.includes(desc) && this.#known(entry).some((other) => this.#isChosenTable(other))
  }

  #isChosenTable({ desc, oid }: TocEntry): boolean {
    return TABLES.includes(desc) && this.#knowledge.oids.has(oid)
  }

  #relationOf({ tag, namespace, dependencies }: TocEntry): TocEntry | undefined {
    const known = dependencies.flatMap((id) => this.#byId.get(id) ?? [])
    return known.find((other) => other.namespace === namespace && tag.startsWith(`${other.tag} `) && isRelation(other))
  }

  /** With all that it depends on. */
  #add(entry: TocEntry): void {
    if (this.#chosen.has(entry)) return
    this.#chosen.add(entry)
    if (entry.desc === 'TABLE DATA') for (const id of entry.dependencies) this.#ofExtensions.add(id)
    const schema = this.#schemas.get(entry.namespace ?? '')
    for (const needed of [...this.#known(entry), ...(schema === undefined ? [] : [schema])]) this.#add(needed)
    // A view that two others need in a circle is made empty, and completed by its rule.
    if (entry.desc === 'VIEW') for (const rule of this.#rulesOf(entry)) this.#add(rule)
  }

  #rulesOf(view: TocEntry): TocEntry[] {
    return this.#toc.entries.filter((entry) => entry.desc === 'RULE' && this.#relationOf(entry) === view)
  }

  #known({ dependencies }: TocEntry): TocEntry[] {
    return dependencies.flatMap((id) => this.#byId.get(id) ?? [])
  }

  #mayFollow(entry: TocEntry): boolean {
    if (!FOLLOW.includes(entry.desc) || this.#chosen.has(entry)) return false
    // Every database has it, so that it is in no archive.
    if (entry.tag === 'SCHEMA public' && this.#known(entry).length === 0) return true
    return entry.dependencies.every((id) => {
      const other = this.#byId.get(id)
      return other === undefined ? this.#ofExtensions.has(id) : this.#chosen.has(other)
    })
  }
}

function isRelation({ desc }: TocEntry): boolean {
  return TABLES.includes(desc) || desc === 'VIEW' || desc === 'MATERIALIZED VIEW'
}

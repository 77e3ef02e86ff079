/**
 * Which files of large objects pg_dump has closed. It names each in a list once it has closed it, but the list is
 * buffered and shows up some 200 objects late, or at the end: a writer that is paused for want of space would never get
 * there. What is known besides: the objects of one entry of the archive are written by one process, one after the other
 * (tried on 15.20, 17.12 and 18.6), so an object is closed as soon as another one of its entry was begun after it.
 */
export class LargeObjectProgress {
  readonly #listed = new Set<string>()
  /** The look at the directory that saw the file for the first time. */
  readonly #seen = new Map<string, number>()
  readonly #groups = new Map<string, number>()
  /** How many files of the group no list names yet. */
  readonly #unlisted = new Map<number, number>()
  /** The latest look that saw a new file of the group. */
  readonly #newest = new Map<number, number>()

  /** The list of an entry names the file. */
  list(name: string): void {
    if (this.#listed.has(name)) return
    this.#listed.add(name)
    const group = this.#groups.get(name)
    if (group !== undefined) this.#unlisted.set(group, (this.#unlisted.get(group) ?? 0) - 1)
  }

  /** Whether all files of the entry that this one belongs to are listed, so that its list does not grow any more. */
  isWholeGroupListed(name: string): boolean {
    return this.#unlisted.get(this.#groups.get(name) ?? -1) === 0
  }

  see(name: string, look: number): void {
    this.#seen.set(name, look)
    this.#note(name, look)
  }

  /** Which files belong to one entry of the archive, entry by entry. */
  group(groups: readonly (readonly string[])[]): void {
    groups.forEach((names, group) => {
      for (const name of names) this.#groups.set(name, group)
      this.#unlisted.set(group, names.filter((name) => !this.#listed.has(name)).length)
    })
    for (const [name, look] of this.#seen) this.#note(name, look)
  }

  isClosed(name: string): boolean {
    if (this.#listed.has(name)) return true
    const seen = this.#seen.get(name)
    const newest = this.#newest.get(this.#groups.get(name) ?? -1)
    // Two looks, since one may miss a file that was made while it went on: what the second misses is younger than the first.
    return seen !== undefined && newest !== undefined && newest >= seen + 2
  }

  /** Whether there are files that may be closed without our being able to tell. */
  mayBeClosed(): boolean {
    return this.#seen.size > this.#listed.size
  }

  #note(name: string, look: number): void {
    const group = this.#groups.get(name)
    if (group !== undefined) this.#newest.set(group, Math.max(look, this.#newest.get(group) ?? 0))
  }
}

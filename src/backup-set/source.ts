/** Where a set was taken from. */
export interface Source {
  /** Of the cluster; null where the role may not read it. */
  systemIdentifier: string | null
  /** As the server names it. */
  database: string
}

/** `7412345678901234567/shop`: how `accept-source` names one. */
export function describeSource({ systemIdentifier, database }: Source): string {
  return `${systemIdentifier ?? 'unknown'}/${database}`
}

/** Whether two sets, or a set and a server, are of the same database; undefined: nobody can tell. */
export function isSameSource(one: Source, other: Source): boolean | undefined {
  if (one.database !== other.database) return false
  if (one.systemIdentifier === null || other.systemIdentifier === null) return undefined
  return one.systemIdentifier === other.systemIdentifier
}

/** Whether somebody said that sets may come from there; a system identifier alone accepts every database of the cluster. */
export function isAcceptedSource(source: Source, accepted: readonly string[]): boolean {
  return accepted.some((name) => name === describeSource(source) || name === source.systemIdentifier)
}

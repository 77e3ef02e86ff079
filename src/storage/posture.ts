/** Why a fact about a storage is not known. */
export type Unknown = 'not implemented' | 'not allowed' | 'no answer' | 'does not apply'

/** A fact about a storage, or why nobody knows; `permission` is what asking takes. */
export type Told<T> = { value: T } | { unknown: Unknown; permission?: string }

export type LockMode = 'COMPLIANCE' | 'GOVERNANCE'

/** What a bucket's own rules do to stored objects after a while, whatever their owner thinks. */
export interface LifecycleRule {
  id: string
  does: 'expire' | 'archive'
  /** After so many days; undefined where the rule names a date. */
  days?: number
  date?: Date
  /** Where to, if it archives: `GLACIER`. */
  storageClass?: string
}

/** How a storage keeps what was put there: found out without writing or deleting anything. */
export interface Posture {
  /** Whether the object that was looked at is kept as a version of its own. */
  versioned: Told<boolean>
  /** What locks that version; null: nothing. */
  lock: Told<{ mode: LockMode; until: Date } | null>
  /** The lock that new objects get by themselves; null: none, though the storage could; `off`: it cannot lock. */
  lockDefault: Told<{ mode: LockMode; days: number } | null | 'off'>
  /** The service's own word for its encryption at rest: `AES256`, `aws:kms`. */
  encryption: Told<string>
  /** Whether that object can be read without any credentials from here. */
  publiclyReadable: Told<boolean>
  /** Rules that expire or archive what begins with the prefix that was asked about. */
  lifecycle: Told<LifecycleRule[]>
  /** What the file system has left. */
  freeBytes: Told<number>
}

import type { Database } from '../postgres/database.ts'
import type { DatabaseSpec } from '../postgres/scratch-database.ts'

/** A server to restore into. A database is made there for it, and nothing that was there before is touched. */
export interface Place {
  /** In a sentence: `the PostgreSQL 17 server on this machine`. */
  readonly name: string
  /** Whether it is a server of the user's, which things cannot be installed on from here. */
  readonly remote: boolean
  /**
   * Whether whoever restores is no superuser there: then owners and grants are left out, and what is refused for want of
   * rights says nothing of the backup.
   */
  readonly restricted: boolean
  /** How roles are made that the backup names and the server does not have; undefined: they are not. */
  readonly roles?: {
    /** The comment that they get, by which they are found again; undefined where they go with the server. */
    readonly mark?: string
  }
  /**
   * Creates and opens a database like the source's, without its settings; the name may be another. Errors: `missing-locale`,
   * `scratch-database-failed`.
   */
  createDatabase(spec: DatabaseSpec): Promise<Database>
  /** The address of a database there; holds the password. */
  url(database: string): string
}

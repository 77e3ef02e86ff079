/** A relation whose rows a dump may hold. All OIDs are those of the server that was read. */
export interface TableFacts {
  oid: number
  schema: string
  name: string
  /** Schema-qualified and quoted as `quote_ident` does: usable in SQL. */
  identity: string
  /** r table · p partitioned table · m materialized view · f foreign table. */
  kind: 'r' | 'p' | 'm' | 'f'
  /** p permanent · u unlogged. Temporary relations are never listed. */
  persistence: 'p' | 'u'
  owner: string
  /** `pg_relation_filenode(oid)`: the file *now*, whatever the snapshot; null where there is no file. */
  filenode: number | null
  /** `pg_class.relfilenode` as the snapshot sees it. Differs from `filenode` after a rewrite since the snapshot. */
  snapshotFilenode: number | null
  /** Inheritance parents or the partitioned table, in order. */
  parents: number[]
  isPartition: boolean
  /** The extension that owns the table, if one does. */
  extension?: string
  /** Set where pg_dump saves rows of an extension's table: its WHERE clause, '' for all rows. */
  configCondition?: string
  rowSecurity: boolean
  forceRowSecurity: boolean
  /** `reltuples`: -1 where it was never counted. */
  approximateRows: number
  /** Main fork and TOAST, without indexes. */
  bytes: number
  /** False for a materialized view WITH NO DATA. */
  populated: boolean
}

export interface SequenceFacts {
  oid: number
  schema: string
  name: string
  identity: string
  dataType: string
  /** int8 as text; null if the role may not read it (privileges.ts tells). */
  lastValue: string | null
  isCalled: boolean | null
  increment: string
  minimum: string
  maximum: string
  start: string
  cache: string
  cycle: boolean
  persistence: 'p' | 'u'
  /** `schema.table.column`, quoted, of OWNED BY or an identity column. */
  ownedBy?: string
  extension?: string
  /** Set where pg_dump saves the value of an extension's sequence. */
  configCondition?: string
}

export interface DatabaseFacts {
  name: string
  owner: string
  encoding: string
  localeProvider: 'libc' | 'icu' | 'builtin'
  collate: string
  ctype: string
  /** Locale of the icu or builtin provider. */
  locale: string | null
  icuRules: string | null
  collationVersion: string | null
  /** SHA-256 of the comment, null if there is none. */
  comment: string | null
  acl: string[]
}

/** One object of the database: facts survive a dump and restore unchanged, the identity has no OID in it. */
export interface InventoryObject {
  kind: string
  identity: string
  facts: Record<string, unknown>
}

export interface ExtensionFacts {
  name: string
  version: string
  schema: string
}

export interface DatabaseSetting {
  /** null: for every role. */
  role: string | null
  /** `name=value` as pg_db_role_setting has it. */
  setting: string
}

/** What the catalog says the database holds, in one snapshot. Plain JSON. */
export interface Inventory {
  /** `17.12`, as `server_version` says without the packager's addition. */
  serverVersion: string
  database: DatabaseFacts
  tables: TableFacts[]
  sequences: SequenceFacts[]
  objects: InventoryObject[]
  /** Number of large objects. */
  largeObjects: number
  /** Their OIDs, ascending. */
  largeObjectIds: number[]
  extensions: ExtensionFacts[]
  databaseSettings: DatabaseSetting[]
  /** Every role that owns, is granted, grants, or is named by a policy, default ACL, user mapping or setting. */
  roles: string[]
  /** Those of them that own what only superusers may own: ALTER … OWNER TO fails for any other role. */
  superuserRoles: string[]
}

export interface InventoryDifference {
  kind: string
  identity: string
  difference: 'missing' | 'extra' | 'changed'
  /** Which fact, where `changed`. */
  fact?: string
  source?: unknown
  restored?: unknown
  /** True where a restore into another minor version or machine brings it about lawfully: tell, do not fail. */
  expected?: boolean
}

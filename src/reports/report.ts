import type { CheckResult, Finding, Verdict } from '../base/findings.ts'

/** What every report says, whichever action made it. Times are ISO 8601 in UTC, durations are seconds, sizes bytes. */
export interface ReportBase {
  format: 1
  verdict: Verdict
  /** What the user calls the database: its folder in the storage. `unknown` if the run ended before that was known. */
  database: string
  /** The storage's URL without secrets. */
  storage: string
  /** The set that this run wrote or examined. A dump sets it only once the set's head is written: the set exists. */
  backupId?: string
  startedAt: string
  seconds: number
  /** Where the run's log is. */
  runUrl?: string
  checks: CheckResult[]
  /** What belongs to no single check: storage posture, retention, things that were left out. */
  findings: Finding[]
  /** What ended the run before it was through. */
  error?: ReportError
  /** What it would cost to lose the database at the end of this run; undefined where the storage could not be asked. */
  lossBudget?: LossBudget
  /** Undefined where nothing is known of earlier runs. */
  trends?: Trends
}

/** What a loss of the database would cost now, by what has been proven. Sizes and times as in the report. */
export interface LossBudget {
  /** How many sets there are, of whatever worth. */
  backups: number
  /** Whether a restore test has ever passed, be it of a set that is no more. */
  everProven: boolean
  /** The newest proven set: what was written after its snapshot would be lost. */
  proven?: { backupId: string; takenAt: string; lossSeconds: number }
  /** The newest restore test that passed. */
  rehearsal?: { testedAt: string; rtoSeconds: number }
  rpoTarget: number
  rtoTarget: number
  /** In how many seconds the recovery time passes its target, if all goes on as it does; only where that means something. */
  rtoPassesTargetIn?: number
}

/** How things have developed, oldest first, at most 30 entries each. */
export interface Trends {
  /** Whole sets, those that retention has deleted included. */
  backups: BackupPoint[]
  /** Restore tests that passed. */
  rehearsals: RehearsalPoint[]
}

export interface BackupPoint {
  takenAt: string
  plainBytes: number
  storedBytes: number
  rows: number
  dumpSeconds: number
}

export interface RehearsalPoint {
  testedAt: string
  rtoSeconds: number
  restoreSeconds?: number
  /** Of the set that was restored. */
  plainBytes?: number
}

export interface ReportError {
  code: string
  message: string
  remedy: string
}

/** One part of the run and how long it took; stages follow one another. */
export interface StageTime {
  id: string
  title: string
  seconds: number
}

/** What one run of action-dump did. What is undefined was not reached. */
export interface DumpReport extends ReportBase {
  kind: 'dump'
  label: string
  content: 'all' | 'schema' | 'data'
  /** Why the set is not a whole one, e.g. `only the tables that "tables" names`; undefined for a whole set. */
  partial?: string
  /** The moment that the snapshot shows. */
  takenAt?: string
  /** `host` is a label without secrets: `db.example.org:5432`. */
  server?: { version: string; host: string }
  /** `origin` tells where the client tools came from: `/usr/lib/postgresql/17/bin`. */
  tools?: { version: string; origin: string }
  totals?: DumpTotals
  /** The largest tables by plain bytes, largest first, at most 10. */
  largest: { table: string; rows: number; plainBytes: number }[]
  stages: StageTime[]
  /** To how many recipients the parts are encrypted; 0: not encrypted. */
  encryptedTo: number
  signed: boolean
  /** Until when Object Lock keeps the set. */
  lockedUntil?: string
  /** What became of older backups; undefined where it was not asked for, or not reached. */
  retention?: RetentionReport
  /** How long production held the snapshot and the locks. */
  snapshotHeldSeconds?: number
  /** How long pg_dump was paused because the spool was full. */
  pausedSeconds: number
}

/** What retention made of the backups of one database. */
export interface RetentionReport {
  /** `plan`: nothing was deleted. */
  mode: 'after-dump' | 'after-verify' | 'plan'
  policy: { keepLast: number; keepDaily: number; keepWeekly: number; keepMonthly: number; keepPartial: number }
  /** Newest first. */
  sets: RetentionRow[]
  /** What the deletions freed, or would free. */
  freedBytes: number
}

export interface RetentionRow {
  id: string
  takenAt: string
  /** Undefined where its head could not be read. */
  content?: 'whole' | 'schema' | 'data' | 'filtered'
  /** What its evidence says. */
  state: string
  /** As stored. */
  bytes: number
  outcome: 'kept' | 'deleted' | 'would be deleted' | 'retained' | 'not deleted' | 'left alone'
  /** Why, the most telling reason first. */
  reasons: string[]
}

export interface DumpTotals {
  tables: number
  rows: number
  /** What pg_dump wrote. */
  plainBytes: number
  /** What the storage keeps: compressed, encrypted. */
  storedBytes: number
  parts: number
  largeObjects: number
}

/** What one run of action-verify found. What is undefined was not reached. */
export interface VerifyReport extends ReportBase {
  kind: 'verify'
  mode: 'smoke' | 'integrity' | 'database' | 'full'
  /** The share of the parts that was read, if not all of them were. */
  slice?: { number: number; of: number }
  /** The tables that the run was narrowed to, as they were named. */
  tables?: string[]
  /** The server that the backup was held against. `host` is a label without secrets. */
  server?: { version: string; host: string }
  /** Age of the set's snapshot when the run began. */
  backupAgeSeconds?: number
  /** The state that the set has after this run. */
  state?: 'written' | 'intact' | 'proven' | 'damaged'
  set?: SetFacts
  /**
   * One sentence for the headline: what this run could not look at, e.g. `The backup is encrypted and no identity was
   * given: its contents were not read.`
   */
  limitation?: string
  /** How many bytes were fetched and digested; 0 in the modes that read no parts. */
  bytesRead: number
  /** What became of older backups; undefined where it was not asked for, or not reached. */
  retention?: RetentionReport
}

/** What the manifest of the examined set says. */
export interface SetFacts {
  takenAt: string
  label: string
  whole: boolean
  serverVersion: string
  tables: number
  rows: number
  plainBytes: number
  storedBytes: number
  parts: number
  encrypted: boolean
  /** `not checked`: there is a signature and no key was given to check it. */
  signature: 'verified' | 'not checked' | 'wrong' | 'none'
}

/** What one restore test came to. What is undefined was not reached. */
export interface RestoreTestReport extends ReportBase {
  kind: 'restore-test'
  /** The moment that the restored snapshot shows. */
  takenAt?: string
  /** From the start of the run to a proven database: the recovery time, measured in a rehearsal. */
  rtoSeconds?: number
  /** Age of the newest proven set's snapshot: what a loss of production would cost at this moment. */
  rpoSeconds?: number
  /** The restore alone: no server start, no proof. */
  restoreSeconds?: number
  /** Seconds. */
  rtoTarget: number
  /** Seconds. */
  rpoTarget: number
  stages: StageTime[]
  tablesProven: number
  rowsProven: number
  tables: TableProof[]
  /** Where it was restored: on a scratch server of that version, or in a new database at `host`, a server of the user's. */
  server?: { version: string; host?: string }
  /** Set where only some tables with rows were restored, of so many in the set. */
  part?: { tables: number; of: number }
  /** Of the kept database; holds its password: in no summary and no log. */
  databaseUrl?: string
}

/** Whether one restored table equals what was dumped. */
export interface TableProof {
  table: string
  rows: number
  bytes: number
  /** How many tables it stands for, where partitions were compared together; default 1. */
  members?: number
  status: 'equal' | 'different' | 'missing' | 'not compared'
  /** Why, in a clause: `2 rows fewer than dumped`. */
  note?: string
}

export type Report = DumpReport | VerifyReport | RestoreTestReport

/** What a known failure of a server or of pg_dump is called, and what to do about it. */
export interface Diagnosis {
  /** Default: `pg-dump-failed`. */
  code?: string
  remedy: string
}

/** Somebody waits for a table exclusively, and whoever comes later queues behind: giving way lets both go on. */
export const LOCKED_OUT = {
  code: 'locked-out',
  remedy:
    'Dump when the migration is over, or let both share a `concurrency` group; lock_timeout in migrations keeps others from waiting behind them.',
} as const

/** A migration changed or dropped something that is not locked (a view, a function) while it was being described. */
export const SCHEMA_CHANGED = {
  code: 'schema-changed',
  /** These are never translated. */
  words: /cache lookup failed|could not open relation with OID/,
  remedy: 'Dump when no migration is running, or let the deployment and the dump share a `concurrency` group.',
} as const

/** The standby had to take in changes of the primary that this dump stood in the way of. */
export const STANDBY_CONFLICT = {
  code: 'standby-conflict',
  remedy:
    'Set hot_standby_feedback = on at the standby, or raise its max_standby_streaming_delay (max_standby_archive_delay where it replays an archive) beyond the length of a dump; or dump from the primary.',
} as const

/** The server’s words for it, whether it cancels a statement or ends an idle session. */
export const CONFLICT_WORDS = /conflict with recovery/

/** Known ends of pg_dump, by its words and the server's; the tool's own are never translated. */
const DIAGNOSES: readonly [RegExp, Diagnosis][] = [
  [/row-level security/, { remedy: 'Let the backup role bypass row security: ALTER ROLE … BYPASSRLS (as superuser).' }],
  [
    /permission denied/,
    {
      remedy:
        'Grant the backup role what it lacks: GRANT pg_read_all_data TO … ; large objects need their owner or a superuser.',
    },
  ],
  [/version mismatch/, { remedy: 'Install the client tools of the server’s major version (postgresql-client-N).' }],
  [CONFLICT_WORDS, STANDBY_CONFLICT],
  [/could not obtain lock|lock timeout|deadlock detected/, LOCKED_OUT],
  [SCHEMA_CHANGED.words, SCHEMA_CHANGED],
  [/No space left on device/, { remedy: 'Free disk space on the runner, or lower `spool-limit`.' }],
  [
    /no matching (tables|schemas) were found/,
    { remedy: 'Correct the patterns in `tables`: names with capitals need double quotes.' },
  ],
  [
    /invalid snapshot identifier/,
    { remedy: 'Use a direct connection: a pooler between runner and server gives each connection another session.' },
  ],
  [
    /invalid memory alloc|out of memory/,
    {
      remedy:
        'A value is larger than pg_dump can write as text (about 500 MB): shrink it, or move it out of the database.',
    },
  ],
  [
    /out of shared memory|max_locks_per_transaction/,
    {
      remedy:
        'Raise max_locks_per_transaction on the server (ALTER SYSTEM SET max_locks_per_transaction = …; then restart it).',
    },
  ],
  [
    /server closed the connection|terminating connection|connection to server was lost/,
    { remedy: 'Look at the server’s log for a restart, a failover or a cancelled backend; then dump again.' },
  ],
  [
    /too many clients|remaining connection slots/,
    { remedy: 'Lower `jobs`, or raise max_connections: a dump takes jobs + 2 connections.' },
  ],
]

/**
 * What pg_dump's standard error amounts to; `text` is it without values. What ended a LOCK TABLE and is nothing else that
 * is known is pg_dump's `--lock-wait-timeout`, a statement_timeout in the server's language.
 */
export function diagnose(stderr: string, text: string): Diagnosis | undefined {
  const known = DIAGNOSES.find(([pattern]) => pattern.test(text))?.[1]
  if (known !== undefined) return known
  return /^pg_dump: (?:detail|error): query was: LOCK TABLE/im.test(stderr) ? LOCKED_OUT : undefined
}

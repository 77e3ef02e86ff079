import type { Causes } from './diagnoses.ts'

/** By the code of the error that ended the run: what stood in its way, from the most particular to the most general. */
export const RUN_CAUSES: Causes = [
  [
    'ipv6-only',
    'Supabase and some others give the database itself an address of IPv6 only, and GitHub’s hosted runners have no IPv6.',
    'Take the address of the session pooler from the provider’s page: `gh secret set DATABASE_URL`.',
  ],
  [
    'unreachable unknown-host connection-failed starting-up',
    'The server is down or has moved, or its firewall does not let this runner in: hosted runners come from changing addresses.',
    'See whether it answers, from the network of the job: `pg_isready -h HOST -p 5432`.',
  ],
  [
    'wrong-password unknown-user unknown-database no-connect-privilege no-pg-hba-entry refused no-database-url bad-database-url bad-password',
    'The password was rotated or the database moved, and the secret was not; or the secret is not visible here (an environment’s, a fork’s), and so is empty.',
    'Compare when it was set with when that changed: `gh secret list`; then `gh secret set DATABASE_URL`.',
  ],
  [
    'tls-*',
    'The server’s certificate was renewed by another authority, or the provider changed what it asks for.',
    'Look at the certificate: `openssl s_client -starttls postgres -connect HOST:5432 -showcerts </dev/null`.',
  ],
  [
    'pooler pooler-settings',
    'The address is that of a pooler in transaction mode (Supabase’s port 6543, Neon’s `-pooler` host, PgBouncer): a dump needs one session from beginning to end.',
    'Take the direct address, or that of the session pooler: `gh secret set DATABASE_URL`.',
  ],
  [
    'too-many-connections',
    'The application and the dump together want more connections than the server has.',
    'See who holds them: `SELECT usename, state, count(*) FROM pg_stat_activity GROUP BY 1, 2`.',
  ],
  [
    'wrong-server server-too-old',
    'The address leads to another server than it did, or to a very old one.',
    'Ask it: `SELECT version(), system_identifier FROM pg_control_system()`.',
  ],
  [
    'unreadable unreadable-names',
    'A migration made tables, sequences or policies that the backup role may not read; pg_dump alone would name one of them per run.',
    'As a superuser: `GRANT pg_read_all_data TO backup` (and `ALTER ROLE backup BYPASSRLS` where there are row policies); the summary of the run has every statement.',
  ],
  [
    'no-tools tool-failed',
    'The server was upgraded to a major for which this runner has no client tools, or the package source did not answer. `/usr/bin/pg_dump` is a wrapper and does not help.',
    '`sudo apt-get install -y postgresql-client-N`, in a step before this one.',
  ],
  [
    'locked locked-out tables-change rewritten-table schema-changed',
    'A migration or a long transaction ran at the same time as the dump.',
    "See who waits for whom: `SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity WHERE wait_event_type = 'Lock'`; let the deployment and the dump share a `concurrency` group.",
  ],
  [
    'slow-server',
    'The server is busy, or its catalog is very large.',
    'See what it is doing: `SELECT pid, state, wait_event_type, query FROM pg_stat_activity`.',
  ],
  [
    'standby-conflict',
    'The standby had to choose between replaying and this long query, and chose to replay.',
    '`ALTER SYSTEM SET hot_standby_feedback = on`, at the standby.',
  ],
  [
    'snapshot-lost connection-lost',
    'The connection that held the snapshot was cut: a restart, a failover, or a network device that drops quiet connections.',
    'Look at the server’s log of that minute, then dump again: `gh run rerun RUN`.',
  ],
  [
    'too-many-tables',
    'Every table takes a lock for as long as the dump runs, and the server’s table of locks is full.',
    '`ALTER SYSTEM SET max_locks_per_transaction = 512`, then restart the server.',
  ],
  [
    'paused-too-long',
    'The storage took the bytes more slowly than the database gave them, for longer than `max-pause` allows.',
    'Run nearer to the storage, or set `max-pause: 30m` and a larger `spool-limit`.',
  ],
  [
    'spool-too-small runner-full',
    'The database has outgrown the disk of the runner: of a hosted one 14 GB are promised.',
    'See what is free: `df -h "$RUNNER_TEMP"`; use a larger runner, or one of your own.',
  ],
  [
    'pg-dump-failed incomplete-dump missing-data-file unknown-dump-file',
    'pg_dump ended before it was through. Nothing was published, and earlier backups are untouched.',
    'Read what it said: `gh run view RUN --log-failed`.',
  ],
  [
    'stalled',
    'Something that the run waited for hung without failing: a lock, a network device that forgot the connection, a storage in trouble.',
    'See who blocks whom: `SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0`; then `gh run rerun RUN`.',
  ],
  [
    'storage-access-denied bad-storage-credentials no-storage-credentials',
    'The keys were rotated or a policy was changed; or the role trusts another OIDC subject (repositories made or renamed since July 2026 have ids in it).',
    'See who the job is and what it may: `aws sts get-caller-identity`, then `aws s3 ls s3://BUCKET/PREFIX/`.',
    'On the machine that has it, see whose it is, and whether it is mounted read-only: `ls -ld DIRECTORY; findmnt -T DIRECTORY`.',
  ],
  [
    'storage-full',
    'The storage or its quota is used up: retention keeps more than it has room for.',
    'See what takes it: `aws s3 ls --recursive --summarize s3://BUCKET/PREFIX/ | tail -2`.',
    'On the machine that has it, see what takes it: `df -h DIRECTORY; du -sh DIRECTORY/*`.',
  ],
  [
    'no-bucket wrong-region no-region bad-s3-endpoint bad-storage-* bad-proxy cannot-lock',
    'The place of the backups was renamed or moved, or the variable that names it is empty.',
    'Compare with what the service says: `aws s3api get-bucket-location --bucket BUCKET`; then `gh variable list`.',
    'Compare with what there is: `gh variable list`; on the machine that has it, `ls -ld DIRECTORY`.',
  ],
  [
    'no-object-lock',
    'The bucket was made without Object Lock.',
    '`aws s3api get-object-lock-configuration --bucket BUCKET`.',
  ],
  [
    'object-archived',
    'A lifecycle rule moved the backup to an archive class, from which it comes back in hours: too late for an emergency.',
    '`aws s3api get-bucket-lifecycle-configuration --bucket BUCKET`.',
  ],
  [
    'storage-* object-changed object-too-large object-too-long',
    'The storage was in trouble, or something between it and the runner was.',
    'See its status page, and whether it answers: `aws s3 ls s3://BUCKET/PREFIX/`; then `gh run rerun RUN`.',
    'On the machine that has it, see whether it answers: `df -h DIRECTORY; ls -l DIRECTORY`; then `gh run rerun RUN`.',
  ],
  [
    'clock-skew',
    'The clock of the runner is off by more than the storage allows.',
    '`timedatectl status`, on the runner.',
  ],
  [
    'no-set which-database',
    'No dump has published a set there yet, or the dump writes under another `database` or prefix than this job reads.',
    'See which databases and sets there are: `aws s3 ls s3://BUCKET/PREFIX/DATABASE/heads/`.',
    'On the machine that has it, see which sets there are: `ls -l DIRECTORY/DATABASE/heads`.',
  ],
  [
    'partial-set',
    'Only a dump of everything can bring a database back by itself.',
    'Name a whole set, or `backup: latest`: `aws s3 ls s3://BUCKET/PREFIX/DATABASE/heads/`.',
    'Name a whole set, or `backup: latest`: `ls -l DIRECTORY/DATABASE/heads`.',
  ],
  [
    'no-identity wrong-identity bad-identity bad-recipient damaged-encryption',
    'The secret with the age identity is missing or was replaced. Backups stay as they were encrypted: older ones need the older identity.',
    'Compare with the recipients in the set’s manifest: `age-keygen -y identity.txt`.',
  ],
  [
    'bad-signature unsigned-set changed-head changed-manifest foreign-document',
    'The keys of dump and reader do not belong together, or somebody else wrote to the storage.',
    'Compare the keys first: `openssl pkey -in signing.pem -pubout`; then see who may write to the bucket.',
  ],
  [
    'damaged-* cut-* missing-part missing-manifest no-object',
    'A part of the backup is gone or is not what was stored: a lifecycle rule, another job on the same prefix, a failing disk.',
    'Take a new backup now: `gh workflow run DUMP-WORKFLOW.yml`; then look at the bucket’s rules: `aws s3api get-bucket-lifecycle-configuration --bucket BUCKET`.',
    'Take a new backup now: `gh workflow run DUMP-WORKFLOW.yml`.',
  ],
  [
    'unknown-format unknown-archive-*',
    'The set was written by a newer release than this job uses, or by other tools.',
    'Use the same release in every job: `grep -rn pg-lifeboat .github/workflows`.',
  ],
  [
    'missing-extension missing-locale',
    'The runner’s PostgreSQL lacks what production has, so nothing can be said of the backup. An emergency would find the same.',
    '`sudo apt-get install -y postgresql-N-EXTENSION`, or for a locale `sudo locale-gen NAME`, in a step before this one.',
  ],
  [
    'pg-restore-failed',
    'pg_restore could not read the archive or was stopped; usually it is older than the pg_dump that wrote it.',
    'Read what it said: `gh run view RUN --log-failed`.',
  ],
  [
    'scratch-*',
    'The throw-away server could not be started or died: disk or memory of the runner, as a rule.',
    'See what is left: `df -h "$RUNNER_TEMP"; free -h`; use a larger runner, or one of your own.',
  ],
  [
    'unreadable-archive',
    'The archive’s table of contents is nothing that pg_restore can read, though its bytes are those that were stored: pg_dump wrote it so.',
    'Restore test the backup before it (`backup: ID`, from `aws s3 ls s3://BUCKET/PREFIX/DATABASE/heads/`), and dump anew.',
    'Restore test the backup before it (`backup: ID`, from `ls -l DIRECTORY/DATABASE/heads`), and dump anew.',
  ],
  [
    'missing-roles',
    'The server of `target-url` lacks roles that policies of the database name, and the restore test may not make them there.',
    'Make them there (`CREATE ROLE NAME NOLOGIN`), or let the role of `target-url` do it: `ALTER ROLE NAME CREATEROLE`.',
  ],
  [
    'target-is-source target-is-standby target-too-old target-not-allowed unknown-server',
    'The secret behind `target-url` is not that of a server for tests: it leads to the one that was dumped, to a standby, to an older one, or to a role that may not make databases.',
    'Ask it: `psql "$TARGET_URL" -c "SELECT version(), pg_is_in_recovery(), system_identifier FROM pg_control_system()"`; or leave out `target-url`, and a server on the runner is made.',
  ],
  [
    'self-test-failed',
    'The throw-away server does not take rows of a kind of table that it took a moment before: out of space or memory, most often.',
    'Look at the end of the run, then run it again: `gh run view RUN --log-failed`.',
  ],
  [
    'nothing-selected bad-pattern',
    'A table was renamed, dropped or moved to another schema since the patterns were written.',
    'See what there is, and mend `tables`, `exclude-tables` or `exclude-table-data`: `psql "$DATABASE_URL" -c "\\dt *.*"`.',
  ],
  [
    'invalid-input',
    'The workflow was edited, or a secret or variable that it names does not exist (any more), and so is empty.',
    'See what there is, and what changed: `gh secret list; gh variable list; git log -3 -- .github/workflows`.',
  ],
  [
    'defect',
    'This is an error in pg-lifeboat.',
    'Run again with debug output, and report it with the log: `gh run rerun RUN --debug`.',
  ],
]

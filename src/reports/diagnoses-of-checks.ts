import type { Causes } from './diagnoses.ts'

/** By the check that failed: of a verification, then of a restore test. */
export const CHECK_CAUSES: Causes = [
  [
    'backup-age',
    'The dump fails, or does not run: GitHub disables schedules after 60 days without activity (or when whoever last edited the `cron` line leaves), starts them hours late, and drops some.',
    'See whether it is active and what it did: `gh workflow list --all; gh run list --workflow DUMP-WORKFLOW.yml`; then `gh workflow enable DUMP-WORKFLOW.yml` and `gh workflow run DUMP-WORKFLOW.yml`.',
  ],
  [
    'restore-test-age',
    'The restore test fails, does not run, or may not write its evidence to the storage.',
    'See what it did: `gh run list --workflow RESTORE-TEST-WORKFLOW.yml`; start it: `gh workflow run RESTORE-TEST-WORKFLOW.yml`.',
  ],
  [
    'size-change totals row-growth',
    'Much was deleted or loaded; or another database was dumped than before (an empty one after a failover or a restore).',
    'See what the database holds now: `SELECT relname, n_live_tup FROM pg_stat_user_tables ORDER BY 2 DESC LIMIT 20`.',
  ],
  [
    'source database-identity',
    'A major upgrade, a provider’s restore or a failover gave the database another identity; or the secret names another database.',
    'Ask the database: `SELECT system_identifier FROM pg_control_system()`.',
  ],
  [
    'parts manifest stored-bytes contents rows sequence-values roles named-tables',
    'Something deleted, replaced or damaged what was stored: a lifecycle rule, a second job on the same prefix, a transfer or disk error.',
    'Take a new backup now: `gh workflow run DUMP-WORKFLOW.yml`; then look at the rules: `aws s3api get-bucket-lifecycle-configuration --bucket BUCKET`.',
    'Take a new backup now: `gh workflow run DUMP-WORKFLOW.yml`.',
  ],
  [
    'tools',
    'The dump was not made by action-dump, which takes the tools of the server’s own major.',
    'Take a new backup: `gh workflow run DUMP-WORKFLOW.yml`.',
  ],
  [
    'signature',
    'The keys of dump and reader do not belong together, or somebody else wrote to the storage.',
    'Compare the keys: `openssl pkey -in signing.pem -pubout`.',
  ],
  [
    'storage-quota free-space',
    'More is kept than there is room for; old versions and delete markers count, too.',
    'See what takes it: `aws s3api list-object-versions --bucket BUCKET --prefix PREFIX/ --query "sum(Versions[].Size)"`.',
    'On the machine that has it, see what takes it: `df -h DIRECTORY; du -sh DIRECTORY/*`.',
  ],
  [
    'workflows',
    'GitHub disabled the workflow after 60 days without activity, or somebody did; or its run died before it could tell of it: the runner was lost, or `timeout-minutes` was over.',
    'See which are disabled, and what ran last: `gh workflow list --all; gh run list`.',
  ],
  [
    'versioning object-lock lifecycle public-access bucket-encryption',
    'The bucket does not protect backups from being deleted, or lets the world read them.',
    'See how it is set: `aws s3api get-bucket-versioning --bucket BUCKET; aws s3api get-public-access-block --bucket BUCKET`.',
  ],
  [
    'clocks',
    'One of the machines has lost its time server.',
    '`timedatectl status`, on the runner and on the database server.',
  ],
  [
    'schema-drift live-tables',
    'The database was migrated since the backup: a restore would bring back the schema of then.',
    'Take a new backup: `gh workflow run DUMP-WORKFLOW.yml`.',
  ],
  [
    'live-sequences',
    'The database was restored from something older than the backup, or a sequence was set back.',
    'Compare the highest keys with the sequence: `SELECT max(id) FROM TABLE` and `SELECT last_value FROM SEQUENCE`.',
  ],
  [
    'readable privileges',
    'A migration made objects that the backup role may not read.',
    'As a superuser: `GRANT pg_read_all_data TO backup`; the summary of the run has every statement.',
  ],
  [
    'wal-archive',
    'The archive command fails: its storage is full, or its credentials were rotated. WAL that is not archived fills the disk of the database.',
    'See since when, and at which file: `SELECT last_failed_wal, last_failed_time, last_archived_time FROM pg_stat_archiver`.',
  ],
  [
    'foreign-keys',
    'Rows were written while constraints were NOT VALID or triggers were off.',
    'Find them on production, then: `ALTER TABLE … VALIDATE CONSTRAINT …`.',
  ],
  [
    'restore restore-errors',
    'The server refused a statement of the archive: an extension or a setting that it does not have, or rows that break a constraint (a foreign key that is NOT VALID or was switched off on production). `--no-owner`, `--no-acl` or `--disable-triggers` would hide that, and not mend it.',
    'Look at the constraint on production: `SELECT conrelid::regclass, conname FROM pg_constraint WHERE NOT convalidated`.',
  ],
  [
    'tables large-objects sequences structure settings',
    'What came back is not what was dumped; an error of the restore is the cause, as a rule.',
    'Read the errors of the restore first, then this one: `gh run view RUN --log-failed`.',
  ],
  [
    'assertions command',
    'The data is not what was expected of it: production changed, or the wrong database was backed up.',
    'Ask production the same question: `psql -c "SQL OF THE ASSERTION"`.',
  ],
  [
    'rto',
    'The database has grown, or the runner or the way to the storage is slow.',
    'See in the summary where the time went; raise `jobs`, or use a larger runner: `gh run view RUN`.',
  ],
  [
    'rpo',
    'No newer backup has been proven: the restore test fails, or runs less often than `rpo-target` asks for.',
    'Prove the newest one: `gh workflow run RESTORE-TEST-WORKFLOW.yml`.',
  ],
  [
    'upgrade',
    'Something in the database is not taken by the newer major any more: a removed function, setting or extension version.',
    'Read the release notes of that major, and what was refused: `gh run view RUN --log-failed`.',
  ],
  [
    'self-test',
    'A copy that was damaged on purpose was not found out: what is green here cannot be relied on.',
    'Report it, with the report of the run: `gh run download RUN`.',
  ],
  [
    'retention',
    'Sets could not be deleted, or too few of them are proven to delete any.',
    'See what the plan says: `gh run view RUN --log`.',
  ],
]

import type { CheckResult } from '../../src/base/findings.ts'
import type {
  DumpReport,
  LossBudget,
  RestoreTestReport,
  RetentionRow,
  Trends,
  VerifyReport,
} from '../../src/reports/report.ts'

/** Reports as the actions write them, for the renderers' tests. */

const BASE = {
  format: 1 as const,
  verdict: 'passed' as const,
  database: 'shop',
  storage: 's3://backups/postgres',
  backupId: '20261122T021704Z-nightly-k3v9qa',
  startedAt: '2026-11-22T02:16:58.120Z',
  runUrl: 'https://github.com/your-org/shop/actions/runs/8123',
  findings: [],
}

const DAY_ONE: LossBudget = { backups: 1, everProven: false, rtoTarget: 3_600, rpoTarget: 108_000 }

const LOSS: LossBudget = {
  backups: 37,
  everProven: true,
  proven: { backupId: '20261122T021704Z-nightly-k3v9qa', takenAt: '2026-11-22T02:17:04.000Z', lossSeconds: 10_800 },
  rehearsal: { testedAt: '2026-11-22T05:17:04.000Z', rtoSeconds: 245 },
  rtoTarget: 3_600,
  rpoTarget: 108_000,
  rtoPassesTargetIn: 120 * 86_400,
}

/** A backup a night for two weeks, a restore test a week. */
const TRENDS: Trends = {
  backups: Array.from({ length: 14 }, (_, index) => ({
    takenAt: `2026-11-${String(9 + index).padStart(2, '0')}T02:17:04.000Z`,
    plainBytes: 1_200_000_000 + 7_000_000 * index,
    storedBytes: 320_000_000 + 2_000_000 * index,
    rows: 1_190_000 + 1_100 * index,
    dumpSeconds: 240 + (index % 3),
  })),
  rehearsals: [
    { testedAt: '2026-11-08T05:00:00.000Z', rtoSeconds: 230.4, restoreSeconds: 170, plainBytes: 1_200_000_000 },
    { testedAt: '2026-11-15T05:00:00.000Z', rtoSeconds: 236 },
    { testedAt: '2026-11-22T05:17:04.000Z', rtoSeconds: 245, restoreSeconds: 180, plainBytes: 1_288_490_188 },
  ],
}

function check(id: string, title: string, summary: string, more: Partial<CheckResult> = {}): CheckResult {
  return { id, title, status: 'passed', summary, findings: [], seconds: 0.2, ...more }
}

function retentionRow(
  id: string,
  outcome: RetentionRow['outcome'],
  reasons: string[],
  more: Partial<RetentionRow> = {},
): RetentionRow {
  const takenAt = id.replace(/^(....)(..)(..)T(..)(..)(..)Z.*$/, '$1-$2-$3T$4:$5:$6.000Z')
  return { id, takenAt, state: 'written', content: 'whole', bytes: 318_767_104, outcome, reasons, ...more }
}

export const passedDump: DumpReport = {
  ...BASE,
  kind: 'dump',
  seconds: 251.4,
  label: 'nightly',
  content: 'all',
  takenAt: '2026-11-22T02:17:04.000Z',
  server: { version: '17.12', host: 'db.example.org:5432' },
  tools: { version: '17.12', origin: '/usr/lib/postgresql/17/bin' },
  totals: {
    tables: 37,
    rows: 1_204_331,
    plainBytes: 1_288_490_188,
    storedBytes: 327_155_712,
    parts: 41,
    largeObjects: 212,
  },
  largest: [
    { table: 'public.orders', rows: 804_112, plainBytes: 912_680_550 },
    { table: 'public."Line|Items"', rows: 311_040, plainBytes: 201_326_592 },
  ],
  stages: [
    { id: 'prepare', title: 'Connect and look around', seconds: 2.4 },
    { id: 'dump', title: 'Dump, seal and store', seconds: 241 },
    { id: 'publish', title: 'Publish the set', seconds: 8 },
  ],
  lossBudget: LOSS,
  trends: TRENDS,
  encryptedTo: 2,
  signed: true,
  retention: {
    mode: 'after-dump',
    policy: { keepLast: 3, keepDaily: 30, keepWeekly: 0, keepMonthly: 0, keepPartial: 10 },
    freedBytes: 318_767_104,
    sets: [
      retentionRow('20261122T021704Z-nightly-k3v9qa', 'kept', ['newest 3', 'daily of 2026-11-22']),
      retentionRow('20261121T150211Z-before-release-p4xm2c', 'kept', ['newest 10 partial'], { content: 'schema' }),
      retentionRow('20261101T021655Z-nightly-w8e2rt', 'kept', ['the newest proven backup'], { state: 'proven' }),
      retentionRow('20261023T021702Z-nightly-b7n4ys', 'deleted', ['older than keep-last 3, keep-daily 30 reach']),
      retentionRow('20261022T021701Z-nightly-h5d3fu', 'retained', [
        'locked until 2026-12-22 02:17 UTC',
        'older than keep-last 3, keep-daily 30 reach',
      ]),
      retentionRow('20261020T021701Z-nightly-c9k2ml', 'left alone', ['not signed'], { content: undefined, bytes: 0 }),
    ],
  },
  snapshotHeldSeconds: 243,
  pausedSeconds: 0,
  checks: [
    check('privileges', 'Readable objects', 'every table, sequence and large object can be read'),
    check('rewrites', 'No table rewritten meanwhile', '37 of 37 tables kept their file', {
      findings: [
        {
          severity: 'warning',
          message: 'The table `public.events` is unlogged: its rows do not survive a crash of the server.',
          remedy: 'Make it a logged one with `ALTER TABLE public.events SET LOGGED`.',
        },
      ],
    }),
    check('retention', 'Retention', 'not asked for', { status: 'not run', seconds: 0 }),
  ],
}

export const failedDump: DumpReport = {
  ...passedDump,
  verdict: 'failed',
  retention: undefined,
  backupId: undefined,
  takenAt: undefined,
  totals: undefined,
  snapshotHeldSeconds: undefined,
  seconds: 1.2,
  largest: [],
  stages: [],
  tools: undefined,
  lossBudget: { ...DAY_ONE, backups: 0 },
  trends: undefined,
  encryptedTo: 0,
  signed: false,
  error: {
    code: 'unreadable',
    message: 'The role backup cannot read 2 tables: public.audit, public.payments.',
    remedy: 'Grant it what it needs: `GRANT SELECT ON public.audit, public.payments TO backup`.',
  },
  checks: [
    check('privileges', 'Readable objects', '2 tables cannot be read', {
      status: 'failed',
      findings: [
        {
          severity: 'failure',
          message: 'The role backup cannot read 2 tables: public.audit, public.payments.',
          remedy: 'Grant it what it needs: `GRANT SELECT ON public.audit, public.payments TO backup`.',
        },
      ],
    }),
    check('rewrites', 'No table rewritten meanwhile', 'an earlier check failed', { status: 'not run', seconds: 0 }),
  ],
}

export const failedVerify: VerifyReport = {
  ...BASE,
  kind: 'verify',
  verdict: 'failed',
  mode: 'smoke',
  seconds: 3.4,
  state: 'written',
  lossBudget: DAY_ONE,
  trends: { backups: TRENDS.backups.slice(0, 2), rehearsals: [] },
  backupAgeSeconds: 140_000,
  bytesRead: 0,
  set: {
    takenAt: '2026-11-22T02:17:04.000Z',
    label: 'nightly',
    whole: true,
    serverVersion: '17.12',
    tables: 37,
    rows: 1_204_331,
    plainBytes: 1_288_490_188,
    storedBytes: 327_155_712,
    parts: 41,
    encrypted: true,
    signature: 'not checked',
  },
  checks: [
    check('backup-age', 'Backup age', '38 h 53 min, more than 30 h', {
      status: 'failed',
      findings: [
        {
          severity: 'failure',
          message: 'The newest backup is 1 d 15 h old, more than the 30 h that `max-age` allows.',
          remedy: 'Look at the last runs of the dump workflow; a schedule may have been disabled.',
        },
      ],
    }),
    check('parts', 'Parts', '41 of 41 parts are there at their sizes', { seconds: 1.1 }),
    check('signature', 'Signature', 'no `verify-key` was given', { status: 'not run', seconds: 0 }),
    check('restore-test-age', 'Last restore test', 'the evidence could not be listed', {
      status: 'unverified',
      findings: [
        {
          severity: 'failure',
          message: 'The storage refused to list evidence/.',
          remedy: 'Allow `s3:ListBucket` for the prefix.',
        },
      ],
    }),
  ],
  findings: [
    { severity: 'note', message: 'The bucket keeps no versions.', remedy: 'Turn on versioning to survive a deletion.' },
  ],
}

export const sealedVerify: VerifyReport = {
  ...failedVerify,
  verdict: 'passed',
  mode: 'integrity',
  lossBudget: { ...DAY_ONE, everProven: true },
  backupAgeSeconds: 10_800,
  bytesRead: 327_155_712,
  ...(passedDump.retention && { retention: { ...passedDump.retention, mode: 'after-verify' } }),
  limitation: 'The backup is encrypted and no `identity` was given: its contents were not read.',
  checks: [
    check('parts', 'Parts', '41 of 41 parts are there at their sizes', { seconds: 1.1 }),
    check('digests', 'Stored bytes', '41 of 41 parts have their SHA-256', { seconds: 21 }),
    check('rows', 'Rows', 'needs an `identity`', { status: 'not run', seconds: 0 }),
  ],
  findings: [],
}

export const comparedVerify: VerifyReport = {
  ...failedVerify,
  verdict: 'passed',
  mode: 'database',
  backupAgeSeconds: 10_800,
  tables: ['orders', '"Sales".*'],
  server: { version: '17.12', host: 'db.example.org:5432/shop' },
  limitation: 'Only the named tables were looked at: the state of the backup is what it was.',
  checks: [
    check('database-identity', 'The server is the one that the backup is of', '7412345678901234567/shop'),
    check('schema-drift', 'The schema is that of the backup', '212 objects, 2 changed', {
      findings: [
        {
          severity: 'warning',
          message: 'The schema has changed since 20261122T021704Z-nightly-k3v9qa: table public.orders (created since)',
          remedy: 'Take a new dump.',
        },
      ],
      details: {
        title: 'What changed in the schema (2)',
        columns: [{ title: 'Kind' }, { title: 'Object', code: true }, { title: 'Change' }],
        rows: [
          ['table', 'public.orders', 'created since'],
          ['column', 'public."Line|Items".price', 'type: integer → bigint, notNull'],
        ],
      },
    }),
    check('wal-archive', 'The server archives its WAL', 'archive_mode is off', { status: 'not run', seconds: 0 }),
  ],
  findings: [],
}

export const slicedVerify: VerifyReport = {
  ...sealedVerify,
  slice: { number: 3, of: 7 },
  limitation: 'This was slice 3 of 7: what is in the others was not read.',
}

export const passedRestoreTest: RestoreTestReport = {
  ...BASE,
  kind: 'restore-test',
  seconds: 262,
  takenAt: '2026-11-22T02:17:04.000Z',
  rtoSeconds: 245,
  rpoSeconds: 10_800,
  restoreSeconds: 180,
  lossBudget: LOSS,
  trends: TRENDS,
  rtoTarget: 3_600,
  rpoTarget: 108_000,
  stages: [
    { id: 'server', title: 'Start a server', seconds: 4.2 },
    { id: 'rows', title: 'Restore rows', seconds: 140 },
    { id: 'indexes', title: 'Indexes and constraints', seconds: 40 },
    { id: 'proof', title: 'Prove', seconds: 60.8 },
  ],
  tablesProven: 2,
  rowsProven: 1_204_331,
  server: { version: '17.12' },
  databaseUrl: 'postgresql://postgres:throw-away@127.0.0.1:54321/shop',
  tables: [
    { table: 'public.orders', rows: 804_112, bytes: 912_680_550, status: 'equal' },
    { table: 'public.customers', rows: 400_219, bytes: 101_326_592, status: 'equal' },
  ],
  checks: [
    check('rows', 'Rows', '1,204,331 rows in 2 tables are equal', { seconds: 60 }),
    check('assertions', 'has orders', 'true', { seconds: 0.1 }),
  ],
}

export const failedRestoreTest: RestoreTestReport = {
  ...passedRestoreTest,
  verdict: 'failed',
  rtoSeconds: undefined,
  lossBudget: {
    ...LOSS,
    proven: { backupId: '20261118T021704Z-nightly-k3v9qa', takenAt: '2026-11-18T02:17:04.000Z', lossSeconds: 400_000 },
    rehearsal: { testedAt: '2026-11-18T05:00:00.000Z', rtoSeconds: 4_000 },
    rtoPassesTargetIn: undefined,
  },
  trends: undefined,
  tablesProven: 1,
  rowsProven: 400_219,
  tables: [
    { table: 'public.sessions', rows: 12, bytes: 1_024, status: 'not compared', note: 'its rows were not dumped' },
    {
      table: 'public.orders',
      rows: 804_112,
      bytes: 912_680_550,
      status: 'different',
      note: '2 rows fewer than dumped',
    },
    { table: 'public.customers', rows: 400_219, bytes: 101_326_592, status: 'equal' },
  ],
  checks: [
    check('rows', 'Rows', '1 of 3 tables differs', {
      status: 'failed',
      seconds: 60,
      findings: [
        {
          severity: 'failure',
          message: 'public.orders came back with 804,110 rows instead of 804,112.',
          remedy: 'Restore the backup before it, and keep this one for an examination.',
        },
      ],
    }),
    check('assertions', 'has orders', 'the rows are not proven', { status: 'not run', seconds: 0 }),
  ],
}

/** Of some tables, in a newer major on a server of the user's. */
export const partialRestoreTest: RestoreTestReport = {
  ...passedRestoreTest,
  rtoSeconds: undefined,
  rpoSeconds: undefined,
  databaseUrl: undefined,
  part: { tables: 2, of: 37 },
  server: { version: '18.7', host: 'scratch.example.org:5432' },
  checks: [
    check('upgrade', 'A newer PostgreSQL takes it', 'dumped from 17, restored into 18', { seconds: 0 }),
    check('rows', 'Rows', '1,204,331 rows in 2 tables are equal', { seconds: 60 }),
    check('rto', 'Back in time (RTO, rehearsed)', 'only a part of the set was restored', {
      status: 'not run',
      seconds: 0,
    }),
  ],
}

import { expect, test } from '@jest/globals'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import type { LiveDatabase } from '../../src/postgres/live-database.ts'
import type { WalArchive } from '../../src/postgres/wal-archive.ts'
import { withStorage } from '../backup-set/support.ts'
import { buildSet, type CheckOptions, check, hoursAgo, inventoryOf, type SetOptions, tableFacts } from './set.ts'

const SOURCE = '7412345678901234567'

function liveOf(change: Partial<LiveDatabase> = {}): LiveDatabase {
  return {
    label: 'backup@db:5432/shop',
    systemIdentifier: SOURCE,
    database: 'shop',
    standby: false,
    clockSkewSeconds: 0.2,
    inventory: inventoryOf(),
    tableWrites: new Map(),
    unreadable: [],
    foreignKeys: [],
    ...change,
  }
}

interface Verified {
  statuses: Record<string, string>
  /** `id severity: message` */
  findings: string[]
  summaries: Record<string, string>
  details(id: string): string[][] | undefined
}

/** The database mode over a set and a server that says this. */
function verify(live: LiveDatabase, set: Partial<SetOptions> = {}, options: CheckOptions = {}): Promise<Verified> {
  return withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(2), ...set })
    const { results, ...told } = await check(storage, head, 'database', { ...options, live })
    return { ...told, details: (id) => results.find((result) => result.id === id)?.details?.rows }
  })
}

/** What one check found, as `severity: message`. */
function of(id: string, { statuses, findings }: Verified): (string | undefined)[] {
  return [statuses[id], ...findings.filter((one) => one.startsWith(`${id} `)).map((one) => one.slice(id.length + 1))]
}

const CALM = {
  manifest: 'passed',
  signature: 'not run',
  'named-tables': 'not run',
  'database-identity': 'passed',
  'live-tables': 'passed',
  'schema-drift': 'passed',
  readable: 'passed',
  'row-growth': 'passed',
  'live-sequences': 'passed',
  'foreign-keys': 'not run',
  'wal-archive': 'not run',
  clocks: 'passed',
}

test('a database that is as it was: nothing to tell', async () => {
  const { statuses, findings, summaries } = await verify(liveOf())
  expect({ statuses, findings }).toEqual({ statuses: CALM, findings: [] })
  expect(summaries).toMatchObject({
    'database-identity': `${SOURCE}/shop`,
    'live-tables': '2 of 2 tables of the database',
    'row-growth': 'about 90,002 rows in 2 tables (+0.0 %)',
    'live-sequences': '1 of 1 sequences',
  })
})

test('another server is told of once, and not compared; accepted by name it is', async () => {
  const other = liveOf({ systemIdentifier: '222', inventory: { ...inventoryOf(), tables: [] } })
  const found = await verify(other)
  expect(found.statuses).toMatchObject({
    'database-identity': 'failed',
    'live-tables': 'not run',
    'schema-drift': 'not run',
    'row-growth': 'not run',
    'live-sequences': 'not run',
    readable: 'passed',
  })
  expect(found.findings).toEqual([
    `database-identity failure: backup@db:5432/shop is 222/shop, while the backup is of ${SOURCE}/shop (system identifier/database)`,
  ])
  const accepted = await verify(other, {}, { acceptSource: ['222/shop'] })
  expect(accepted.statuses).toMatchObject({ 'database-identity': 'passed', 'live-tables': 'passed' })
  expect(accepted.findings.length).toBeGreaterThan(0)
  const unknown = await verify(liveOf({ systemIdentifier: null }))
  expect(unknown.statuses).toMatchObject({ 'database-identity': 'not run', 'live-tables': 'passed' })
  expect((await verify(liveOf({ database: 'shop2' }))).statuses['database-identity']).toBe('failed')
})

test('of an encrypted set without an identity only what needs no contents is looked at', async () => {
  const recipients = [await identityToRecipient(await generateIdentity())]
  const { statuses, findings } = await verify(liveOf(), { recipients })
  const closed = { 'live-tables': 'not run', 'schema-drift': 'not run', 'row-growth': 'not run' }
  expect({ statuses, findings }).toEqual({
    statuses: { ...CALM, ...closed, 'live-sequences': 'not run' },
    findings: [],
  })
  const demanded = await verify(liveOf(), { recipients }, { required: new Set(['schema-drift']) })
  expect(demanded.statuses['schema-drift']).toBe('unverified')
})

test('tables that came, went, or were left out', async () => {
  const inventory = inventoryOf()
  inventory.tables = [
    ...inventory.tables.slice(1),
    tableFacts(20_000, 'fresh'),
    tableFacts(20_001, 'fresh_empty', { bytes: 0 }),
    tableFacts(20_002, 'hidden'),
    tableFacts(20_003, 'far', { kind: 'f' }),
    tableFacts(20_004, 'of_postgis', { extension: 'postgis' }),
  ]
  const tableWrites = new Map([
    [20_000, 1_500n],
    [20_001, 1_000n],
    [20_002, 999n],
  ])
  const alter: SetOptions['alter'] = ({ contents, inventory: then }) => {
    contents.snapshotXmin = '1000'
    then.tables.push(tableFacts(16_020, 'left_out'), tableFacts(16_021, 'unlogged_one'))
    contents.excluded.push({ schema: 'public', name: 'unlogged_one', reason: 'unlogged: a standby has no rows of it' })
  }
  const said = of('live-tables', await verify(liveOf({ inventory, tableWrites }), { alter }))
  expect(said).toEqual([
    'failed',
    'failure: public.left_out was there in the snapshot, and the backup has no rows of it',
    'note: Not in the backup: public.unlogged_one (unlogged: a standby has no rows of it)',
    expect.stringMatching(/^warning: public.fresh \(8.0 KiB\) is in no backup yet/),
    expect.stringMatching(/^note: public.fresh_empty \(empty\) is in no backup yet/),
    'failure: public.hidden was there before the snapshot, and the backup knows nothing of it',
    'warning: public.small is in the backup, and not in the database any more',
    'warning: public.left_out is in the backup, and not in the database any more',
    'warning: public.unlogged_one is in the backup, and not in the database any more',
  ])
  // Transactions of another cluster have other numbers.
  const accepted = liveOf({ inventory, tableWrites, systemIdentifier: '222' })
  const elsewhere = of('live-tables', await verify(accepted, { alter }, { acceptSource: ['222'] }))
  expect(elsewhere).toContainEqual(expect.stringMatching(/^warning: public.hidden .* is in no backup yet/))
})

test('drift is told object by object; partitions that come and go are a note', async () => {
  const inventory = inventoryOf()
  inventory.objects = [
    { kind: 'table', identity: 'public.small', facts: { owner: 'other', acl: ['=r/app'], definition: 'a'.repeat(64) } },
    { kind: 'index', identity: 'public.small_idx', facts: { table: 'public.small' } },
    { kind: 'view', identity: 'public.report', facts: {} },
    { kind: 'large objects', identity: 'of app', facts: { count: 7 } },
  ]
  const drifted = await verify(liveOf({ inventory }))
  expect(drifted.details('schema-drift')).toEqual([
    ['table', 'public.small', 'acl, definition, owner: app → other'],
    ['table', 'public.large', 'dropped since'],
    ['index', 'public.small_idx', 'created since'],
    ['view', 'public.report', 'created since'],
  ])
  expect(of('schema-drift', drifted)).toEqual([
    'passed',
    expect.stringMatching(/^warning: The schema has changed since /),
  ])
  const named = await verify(liveOf({ inventory }), {}, { tables: ['small'] })
  expect(named.details('schema-drift')?.map(([, object]) => object)).toEqual(['public.small', 'public.small_idx'])

  const next = inventoryOf()
  next.objects.push({ kind: 'table', identity: 'public.log_2026_12', facts: { bound: 'FOR VALUES …' } })
  expect(of('schema-drift', await verify(liveOf({ inventory: next })))).toEqual([
    'passed',
    expect.stringMatching(/^note/),
  ])
})

test('rows by the server’s estimate: a loss is a warning, and noise is none', async () => {
  const rows = (small: number, large: number) => {
    const inventory = inventoryOf()
    inventory.tables = [
      tableFacts(16_010, 'small', { approximateRows: small }),
      tableFacts(16_011, 'large', { approximateRows: large }),
    ]
    return verify(liveOf({ inventory }))
  }
  expect(of('row-growth', await rows(900, 90_000))).toEqual(['passed'])
  expect(of('row-growth', await rows(-1, -1))).toEqual(['not run'])
  const emptied = await rows(2, 12)
  expect(of('row-growth', emptied)).toEqual([
    'passed',
    expect.stringMatching(/^warning: The database has about 14 rows, the backup 90,002 \(−100/),
    'warning: public.large has about 12 rows, of 90,000 in the backup',
  ])
  expect(emptied.details('row-growth')).toEqual([['public.large', '90,000', '12', '−100.0 %']])
  expect(of('row-growth', await rows(2, 190_000))).toEqual(['passed', expect.stringMatching(/^warning: .*\+111/)])
})

test('a sequence that stands before where the backup has it', async () => {
  const stands = async (
    change: Partial<LiveDatabase['inventory']['sequences'][number]>,
    options: CheckOptions = {},
  ) => {
    const inventory = inventoryOf()
    inventory.sequences = inventory.sequences.map((sequence) => ({ ...sequence, ...change }))
    return of('live-sequences', await verify(liveOf({ inventory }), {}, options))
  }
  expect(await stands({ lastValue: '8' })).toEqual(['passed'])
  expect(await stands({ lastValue: '6' })).toEqual([
    'passed',
    'warning: The sequence public.counter stands at 6, in the backup at 7',
  ])
  expect(await stands({ isCalled: false })).toHaveLength(2)
  expect(await stands({ lastValue: '6', cycle: true })).toEqual(['passed'])
  expect(await stands({ lastValue: '6', increment: '-1' })).toEqual(['passed'])
  expect(await stands({ lastValue: null })).toEqual(['not run'])
  expect(await stands({ lastValue: '6' }, { tables: ['small'] })).toEqual(['not run'])
  expect(await stands({ lastValue: '6', ownedBy: 'public.small.id' }, { tables: ['small'] })).toHaveLength(2)
})

test('what the role cannot read, and rows without a match', async () => {
  const unreadable = [
    {
      kind: 'table',
      identity: 'public.secret',
      reason: 'needs SELECT',
      grant: 'GRANT SELECT ON public.secret TO backup;',
    },
  ] as const
  expect(of('readable', await verify(liveOf({ unreadable })))).toEqual([
    'failed',
    'failure: The next dump by this role would stop: table public.secret needs SELECT',
  ])
  const named = await verify(liveOf({ unreadable }), {}, { tables: ['small'] })
  expect(of('readable', named)).toEqual(['passed'])
  const key = { name: 'fk', table: 'public.a', references: 'public.b' }
  const foreignKeys = [
    { ...key, unproven: 'NOT VALID', unmatched: 1 },
    { ...key, unproven: 'NOT VALID', unmatched: 0 },
    { ...key, unproven: 'NOT ENFORCED', unmatched: 3 },
    { ...key, unmatched: 1_000 },
    { ...key, reason: 'takes too long' },
  ] as const
  expect(of('foreign-keys', await verify(liveOf({ foreignKeys })))).toEqual([
    'failed',
    'warning: 1 row of public.a names nothing in public.b (fk, NOT VALID)',
    'note: 3 rows of public.a name nothing in public.b (fk, NOT ENFORCED)',
    'failure: 1,000 rows of public.a name nothing in public.b (fk)',
    'note: Not counted: the foreign key fk of public.a (it takes longer than 30 s)',
  ])
  const none = [{ ...key, reason: 'no privilege' }] as const
  expect(of('foreign-keys', await verify(liveOf({ foreignKeys: none })))[0]).toBe('not run')
})

const NOW = new Date('2026-11-22T12:00:00Z')
const minutesAgo = (minutes: number) => new Date(NOW.getTime() - minutes * 60_000)

function archive(change: Partial<WalArchive>): WalArchive {
  return {
    archiveMode: 'on',
    standby: false,
    now: NOW,
    lastArchived: minutesAgo(600),
    failingSince: null,
    pending: 0,
    lagSeconds: 0,
    ...change,
  }
}

const WAL: [title: string, wal: Partial<WalArchive>, said: (string | RegExp)[]][] = [
  ['an idle server is not behind', {}, ['passed']],
  ['what waits for a minute is not, either', { pending: 2, lagSeconds: 60 }, ['passed']],
  ['six minutes are a warning', { pending: 2, lagSeconds: 360 }, ['passed', /^warning: .* 6 min 00 s behind: 2 WAL/]],
  ['twenty are a failure', { pending: 9, lagSeconds: 1_200 }, ['failed', /^failure: .* 20 min 00 s behind/]],
  [
    'a failed attempt is a warning',
    { failingSince: { segment: '00000001000000000000002A', at: minutesAgo(1) } },
    ['passed', /^warning: The last attempt to archive 00000001000000000000002A, 1 min 00 s ago, failed/],
  ],
  ['archiving is off', { archiveMode: 'off' }, ['not run']],
  ['a standby', { standby: true, archiveMode: 'always' }, ['not run']],
  ['nothing was archived, and nothing is known', { lastArchived: null, pending: undefined }, ['not run']],
]

test.each(WAL)('the WAL archive: %s', async (_, wal, said) => {
  const found = of('wal-archive', await verify(liveOf({ wal: archive(wal) })))
  expect(found).toEqual(said.map((one) => (typeof one === 'string' ? one : expect.stringMatching(one))))
})

test('the clock of the server now is told beside that of the dump', async () => {
  const found = await verify(liveOf({ clockSkewSeconds: -90 }), { clockSkewSeconds: 400 })
  expect(found.summaries.clocks).toBe('6 min 40 s ahead at the dump, 1 min 30 s behind now')
  expect(of('clocks', found).map((one) => one?.split(':')[0])).toEqual(['failed', 'failure', 'warning'])
})

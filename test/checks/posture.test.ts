import { expect, test } from '@jest/globals'
import { checksOf } from '../../src/checks/check.ts'
import { CHECKS } from '../../src/checks/modes.ts'
import type { Posture } from '../../src/storage/posture.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { withStorage } from '../backup-set/support.ts'
import { buildSet, check, hoursAgo } from './set.ts'

const DAY = 86_400_000

const GOOD: Posture = {
  versioned: { value: true },
  lock: { value: { mode: 'COMPLIANCE', until: new Date(hoursAgo(0).getTime() + DAY) } },
  lockDefault: { value: null },
  encryption: { value: 'AES256' },
  publiclyReadable: { value: false },
  lifecycle: { value: [] },
  freeBytes: { unknown: 'does not apply' },
}

const IDS = ['versioning', 'object-lock', 'bucket-encryption', 'public-access', 'lifecycle']

/** Statuses and findings of the posture checks over a storage that is kept like that. */
async function judge(change: Partial<Posture>, required: readonly string[] = []) {
  return withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(1) })
    const kept: Storage = Object.assign(Object.create(storage), {
      ...bound(storage),
      posture: async () => ({ ...GOOD, ...change }),
    })
    const { statuses, findings, summaries } = await check(kept, head, 'smoke', { required: new Set(required) })
    const said = findings.filter((finding) => [...IDS, 'free-space'].includes(finding.split(' ')[0] ?? ''))
    return { statuses: IDS.map((id) => statuses[id]), said, summaries, freeSpace: statuses['free-space'] }
  })
}

function bound(storage: Storage): Partial<Storage> {
  return {
    read: (key, options) => storage.read(key, options),
    list: (prefix, options) => storage.list(prefix, options),
  }
}

test('a well-kept storage passes; what does not apply is not run', async () => {
  expect(await judge({})).toMatchObject({
    statuses: IDS.map(() => 'passed'),
    said: [],
    summaries: { 'object-lock': 'COMPLIANCE, for another 24 h 0 min', 'bucket-encryption': 'by the service: AES256' },
    freeSpace: 'not run',
  })
})

const WEAK: [title: string, id: string, posture: Partial<Posture>, said: RegExp][] = [
  ['no versions', 'versioning', { versioned: { value: false } }, /^versioning note: The storage keeps no versions/],
  ['no lock', 'object-lock', { lock: { value: null } }, /^object-lock note: Nothing locks the backup/],
  [
    'a lock that has ended',
    'object-lock',
    { lock: { value: { mode: 'COMPLIANCE', until: hoursAgo(1) } } },
    /^object-lock note: Nothing locks the backup/,
  ],
  [
    'a lock that can be passed by',
    'object-lock',
    { lock: { value: { mode: 'GOVERNANCE', until: new Date(hoursAgo(0).getTime() + DAY) } } },
    /^object-lock note: .*s3:BypassGovernanceRetention can delete/,
  ],
  [
    'an open door',
    'public-access',
    { publiclyReadable: { value: true } },
    /^public-access warning: Whoever reaches the service .* not encrypted, without credentials/,
  ],
  [
    'a rule that deletes soon',
    'lifecycle',
    {
      lifecycle: {
        value: [
          { id: 'late', does: 'expire', days: 90 },
          { id: 'soon', does: 'expire', days: 7 },
        ],
      },
    },
    /^lifecycle note: The lifecycle rule “soon” deletes backups 7 days .* before the next restore test is due/,
  ],
  [
    'a rule that deletes late',
    'lifecycle',
    { lifecycle: { value: [{ id: 'late', does: 'expire', days: 90 }] } },
    /^lifecycle note: .* deletes backups 90 days after they were written, the newest proven one included/,
  ],
  [
    'a rule that archives',
    'lifecycle',
    { lifecycle: { value: [{ id: 'cold', does: 'archive', days: 1, storageClass: 'GLACIER' }] } },
    /^lifecycle note: .* moves backups to GLACIER 1 days after/,
  ],
]

test.each(WEAK)('%s: told, and not red unless it is required', async (_, id, posture, said) => {
  const told = await judge(posture)
  expect(told.statuses).toEqual(IDS.map(() => 'passed'))
  expect(told.said).toEqual([expect.stringMatching(said)])
  const demanded = await judge(posture, [id])
  expect(demanded.statuses).toEqual(IDS.map((one) => (one === id ? 'failed' : 'passed')))
})

test('what nobody can tell is not run, with a note that says why; required, it is unverified', async () => {
  const unknown: Partial<Posture> = {
    lock: { unknown: 'not allowed', permission: 's3:GetObjectRetention' },
    encryption: { unknown: 'not implemented' },
    publiclyReadable: { unknown: 'no answer' },
    lifecycle: { unknown: 'not allowed', permission: 's3:GetLifecycleConfiguration' },
  }
  const told = await judge(unknown)
  expect(told.statuses).toEqual(['passed', 'not run', 'not run', 'not run', 'not run'])
  expect(told.said).toEqual([
    'object-lock note: Not known: whether anything locks the backup (these credentials may not ask)',
    'bucket-encryption note: Not known: whether the storage encrypts what it keeps (the service does not tell)',
    'public-access note: Not known: whether the backup can be read without credentials (the service did not answer)',
    'lifecycle note: Not known: whether a lifecycle rule deletes or archives backups (these credentials may not ask)',
  ])
  const demanded = await judge(unknown, IDS)
  expect(demanded.statuses).toEqual(['passed', 'unverified', 'unverified', 'unverified', 'unverified'])
  expect(demanded.said.every((finding) => / failure: Not known/.test(finding))).toBe(true)
})

test('a file system without room for another backup is a warning', async () => {
  expect((await judge({ freeBytes: { value: 1e12 } })).freeSpace).toBe('passed')
  const { freeSpace, said } = await judge({ freeBytes: { value: 1_000 } })
  expect(freeSpace).toBe('passed')
  expect(said).toEqual([expect.stringMatching(/^free-space warning: The file system has 1000 B left/)])
})

test('a mode is the list of the checks that name it; full is all of them, and every id is there once', () => {
  const ids = CHECKS.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  expect(checksOf('full', CHECKS)).toEqual(CHECKS)
  const modes = ['smoke', 'integrity', 'database'] as const
  expect(new Set(modes.flatMap((mode) => checksOf(mode, CHECKS)))).toEqual(new Set(CHECKS))
  for (const id of ids) expect(id).toMatch(/^[a-z]+(-[a-z]+)*$/)
})

import { expect, test } from '@jest/globals'
import type { Evidence, Head } from '../../src/backup-set/documents.ts'
import { writeEvidence } from '../../src/backup-set/evidence.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { evidenceOf, withStorage } from '../backup-set/support.ts'
import { buildSet, check, hoursAgo } from './set.ts'

function record(storage: Storage, head: Head, kind: Evidence['test'], verdict: Evidence['verdict'], at: Date) {
  return writeEvidence(storage, evidenceOf(head, kind, verdict, at))
}

test('day one is green: nothing that cannot be known yet is asked for', async () => {
  await withStorage(async (storage) => {
    const { statuses, findings } = await check(storage, await buildSet(storage, { takenAt: hoursAgo(1) }), 'smoke')
    expect(statuses).toEqual({
      manifest: 'passed',
      signature: 'not run',
      tools: 'passed',
      'backup-age': 'passed',
      parts: 'passed',
      'size-change': 'not run',
      'restore-test-age': 'not run',
    })
    expect(findings).toEqual([])
  })
})

test('the newest backup may be 30 h old, and may not come from the future; an older one that was asked for may', async () => {
  await withStorage(async (storage) => {
    const age = async (hours: number, newest = true) => {
      const head = await buildSet(storage, { takenAt: hoursAgo(hours) })
      return (await check(storage, head, 'smoke', { newest })).statuses['backup-age']
    }
    expect(await age(29.9)).toBe('passed')
    expect(await age(30.1)).toBe('failed')
    expect(await age(-0.05)).toBe('passed')
    expect(await age(-1)).toBe('failed')
    expect(await age(300, false)).toBe('not run')
  })
})

test('a fresh backup behind a newer one that is damaged is told of', async () => {
  await withStorage(async (storage) => {
    const head = await buildSet(storage, { takenAt: hoursAgo(20) })
    const newer = await buildSet(storage, { takenAt: hoursAgo(2) })
    await record(storage, newer, 'integrity', 'failed', hoursAgo(1))
    const { statuses, findings } = await check(storage, head, 'smoke')
    expect(statuses['backup-age']).toBe('passed')
    expect(findings).toEqual([
      `backup-age warning: The newer backup ${newer.id} is damaged: this is the newest one that is not`,
    ])
  })
})

test('the size is held against that of the whole backup before; half of it gone is a failure, a quarter a warning', async () => {
  await withStorage(async (storage) => {
    await buildSet(storage, { takenAt: hoursAgo(48) })
    const change = async (hours: number, share: number, limits = {}) => {
      const head = await buildSet(storage, { takenAt: hoursAgo(hours), share })
      const { statuses, findings } = await check(storage, head, 'smoke', limits)
      return [
        statuses['size-change'],
        findings.filter((finding) => finding.startsWith('size')).map((one) => one.split(':')[0]),
      ]
    }
    expect(await change(24, 0.9)).toEqual(['passed', []])
    expect(await change(23, 0.65)).toEqual(['passed', ['size-change warning']])
    expect(await change(22, 0.2)).toEqual(['failed', ['size-change failure']])
    expect(await change(21, 1)).toEqual(['failed', ['size-change failure']])
    // No change at all is within every limit; partial sets are no measure.
    await buildSet(storage, { takenAt: hoursAgo(20), share: 0.1, content: 'filtered' })
    expect(await change(19, 1, { sizeChangeWarn: 0, sizeChangeFail: 0 })).toEqual(['passed', []])
    expect(await change(18, 0.99, { sizeChangeWarn: 0, sizeChangeFail: 0 })).toEqual([
      'failed',
      ['size-change failure'],
    ])
  })
})

test('a restore test is due 35 days after the first backup, and again 35 days after the last that passed', async () => {
  await withStorage(async (storage) => {
    const first = await buildSet(storage, { takenAt: hoursAgo(36 * 24) })
    const head = await buildSet(storage, { takenAt: hoursAgo(1) })
    const status = async () => (await check(storage, head, 'smoke')).statuses['restore-test-age']
    expect(await status()).toBe('failed')
    await record(storage, head, 'restore-test', 'failed', hoursAgo(1))
    await record(storage, head, 'integrity', 'passed', hoursAgo(1))
    expect(await status()).toBe('failed')
    await record(storage, first, 'restore-test', 'passed', hoursAgo(35 * 24 + 1))
    expect(await status()).toBe('failed')
    await record(storage, first, 'restore-test', 'passed', hoursAgo(35 * 24 - 1))
    expect(await status()).toBe('passed')
  })
})

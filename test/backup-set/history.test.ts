import { expect, test } from '@jest/globals'
import {
  type Evidence,
  evidenceSchema,
  type Head,
  headSchema,
  parseDocument,
  serializeDocument,
} from '../../src/backup-set/documents.ts'
import { writeEvidence } from '../../src/backup-set/evidence.ts'
import { readCatalog, readHead } from '../../src/backup-set/find.ts'
import { rehearsalsBefore, rehearsalsUntil, setsBefore, setsUntil } from '../../src/backup-set/history.ts'
import { layout } from '../../src/backup-set/layout.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { evidenceOf, headOf, hoursAgo, manifestOf, NOW, storeSet, withStorage } from './support.ts'

/** Publishes the head of a set as a dump does, with what it knows of those before it. */
async function publish(storage: Storage, takenAt: Date, rows: number, content: Head['content'] = 'whole') {
  const history = content === 'whole' ? await setsBefore(storage, 'shop', takenAt) : []
  const head: Head = headOf(manifestOf(takenAt, content))
  head.totals.rows = rows
  if (history.length > 0) head.history = history
  await storage.put(layout.head('shop', head.id), serializeDocument(head))
  return head
}

test('each head tells of the 30 whole sets before it, also of those that are gone', async () => {
  await withStorage(async (storage) => {
    for (let index = 0; index < 35; index += 1) {
      const head = await publish(storage, hoursAgo(100 - 2 * index), index)
      if (index % 5 === 0) await publish(storage, hoursAgo(99.5 - 2 * index), 9_000, 'filtered')
      // Retention keeps little.
      for (const { id } of (await readCatalog(storage, 'shop', [])).sets.slice(4)) {
        await storage.delete([{ key: layout.head('shop', id) }])
      }
      expect(setsUntil(head).map(({ rows }) => rows)).toEqual(
        Array.from({ length: Math.min(30, index + 1) }, (_, offset) => Math.max(0, index - 29) + offset),
      )
    }
  })
})

test('a history that cannot be read is none, and its document still one', async () => {
  const head = headOf(manifestOf(hoursAgo(1)))
  const past = { id: 'x', plainBytes: 1, storedBytes: 1, rows: 1, dumpSeconds: 1 }
  for (const history of ['long', [{ ...past, rows: 'many' }], Array.from({ length: 31 }, () => past), null]) {
    expect(parseDocument(headSchema, JSON.stringify({ ...head, history }), 'it').history).toBeUndefined()
    const evidence = evidenceOf(head, 'restore-test', 'passed', NOW)
    expect(parseDocument(evidenceSchema, JSON.stringify({ ...evidence, history }), 'it').history).toBeUndefined()
  }
  await withStorage(async (storage) => {
    const broken = await storeSet(storage, hoursAgo(3))
    await storage.put(layout.head('shop', broken.id), Buffer.from('{'))
    await expect(readHead(storage, 'shop', broken.id)).rejects.toMatchObject({ code: 'damaged-document' })
    expect(await setsBefore(storage, 'shop', NOW)).toEqual([])
    expect(await setsBefore(storage, 'nobody', NOW)).toEqual([])
  })
})

test('each restore test that passed tells of the 30 before it, and of nothing that does not count', async () => {
  await withStorage(async (storage) => {
    const head = await storeSet(storage, hoursAgo(2_000))
    let last: Evidence | undefined
    for (let index = 0; index < 33; index += 1) {
      const { evidence } = await readCatalog(storage, 'shop', [])
      const history = await rehearsalsBefore(evidence)
      last = evidenceOf(head, 'restore-test', 'passed', hoursAgo(1_000 - index), {
        rtoSeconds: index,
        restoreSeconds: index / 2,
        plainBytes: 1_000,
        ...(history.length > 0 && { history }),
      })
      await writeEvidence(storage, last)
      await writeEvidence(
        storage,
        evidenceOf(head, 'restore-test', 'failed', hoursAgo(999.5 - index), { rtoSeconds: 9e9 }),
      )
    }
    const told = rehearsalsUntil(last as Evidence)
    expect(told.map(({ rtoSeconds }) => rtoSeconds)).toEqual(Array.from({ length: 30 }, (_, index) => 3 + index))
    expect(told.at(-1)).toEqual({ at: last?.at, id: head.id, rtoSeconds: 32, restoreSeconds: 16, plainBytes: 1_000 })
  })
})

import { expect, test } from '@jest/globals'
import type { TocEntry } from '../../src/postgres/toc.ts'
import type { RestoreError } from '../../src/restore/pg-restore.ts'
import { PostData, type PostDataOptions } from '../../src/restore/post-data.ts'

function entry(dumpId: number, desc: string, dependencies: number[], section: TocEntry['section']): TocEntry {
  const none = { defn: '', dropStmt: '', copyStmt: '', namespace: 'public', tablespace: '', tableAm: '', owner: 'o' }
  const facts = { hadDumper: false, tableOid: 0, oid: dumpId, relkind: null, tag: `${desc} ${dumpId}` }
  return { dumpId, desc, dependencies, section, ...facts, ...none }
}

/** Two tables with an index each, and a trigger. */
const ENTRIES = [
  entry(1, 'TABLE', [], 'pre-data'),
  entry(2, 'TABLE', [], 'pre-data'),
  entry(3, 'TABLE DATA', [1], 'data'),
  entry(4, 'TABLE DATA', [2], 'data'),
  entry(5, 'INDEX', [1], 'post-data'),
  entry(6, 'INDEX', [2], 'post-data'),
  entry(7, 'TRIGGER', [2], 'post-data'),
]
const { signal } = new AbortController()

type Make = PostDataOptions['make']

function postData(make: Make, jobs = 3): PostData {
  return new PostData({ entries: ENTRIES, jobs, make, signal })
}

/** Notes what it is to make, and says that the server refused it. */
function notingMake(made: string[]): Make {
  return async ({ entries }, jobs) => {
    const ids = entries.filter(({ section }) => section === 'post-data').map(({ dumpId }) => dumpId)
    made.push(`${ids} by ${jobs}`)
    return ids.map((id): RestoreError => ({ stage: 'post-data', subject: `${id}`, message: 'refused' }))
  }
}

test('what was begun beside the rows is not made again, and what was refused there is told', async () => {
  const made: string[] = []
  const work = postData(notingMake(made))
  expect([work.begin(new Set([3]), 2), work.begin(new Set([]), 3)]).toEqual([1, 0])
  expect((await work.finish()).map(({ subject }) => subject).sort()).toEqual(['5', '6', '7'])
  expect(made).toEqual(['6 by 2', '5,7 by 3'])
})

test('where nothing was begun, or nothing could be, all is made at the end', async () => {
  for (const begin of [() => {}, (work: PostData) => work.begin(new Set([3, 4]), 1)]) {
    const made: string[] = []
    const work = postData(notingMake(made))
    begin(work)
    await work.finish()
    expect(made).toEqual(['5,6,7 by 3'])
  }
})

test('the failure of what was begun is the failure of the end', async () => {
  const work = postData(async () => Promise.reject(new Error('no server')))
  work.begin(new Set([3]), 1)
  await new Promise((resolve) => setImmediate(resolve))
  await expect(work.finish()).rejects.toThrow('no server')
})

test('to give up ends what was begun, and waits for its end', async () => {
  let ended = false
  const work = postData(async (_pass, _jobs, stop) => {
    await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }))
    ended = true
    stop.throwIfAborted()
    return []
  })
  work.begin(new Set([3]), 1)
  await work.giveUp()
  expect(ended).toBe(true)
  await postData(notingMake([])).giveUp()
})

import { expect, test } from '@jest/globals'
import type { SequenceFacts } from '../../src/postgres/inventory.ts'
import { sequencesBehind } from '../../src/postgres/sequence-standing.ts'
import { buildArchiveToc, parseToc, type Toc } from '../../src/postgres/toc.ts'

/** An archive that sets the sequence `s` to that. */
function archive(lastValue: string, isCalled: boolean): Toc {
  const toc = parseToc(buildArchiveToc({ statements: [{ tag: 's', sql: 'select 1' }] }))
  const last = toc.entries.at(-1)
  if (last === undefined) throw new Error('an archive without entries')
  const defn = `SELECT pg_catalog.setval('public.s', ${lastValue}, ${isCalled});\n`
  return { ...toc, entries: [{ ...last, desc: 'SEQUENCE SET', namespace: 'public', defn }] }
}

function isBehind(dumped: string, isCalled: boolean, before: Partial<SequenceFacts>): boolean {
  const facts = { schema: 'public', name: 's', increment: '1', cycle: false, isCalled: true, ...before }
  return sequencesBehind({ sequences: [facts as SequenceFacts] }, archive(dumped, isCalled)).length === 1
}

test('a sequence is behind where it would give a number away again', () => {
  expect(isBehind('41', true, { lastValue: '42' })).toBe(true)
  expect(isBehind('42', false, { lastValue: '42' })).toBe(true)
  expect(isBehind('-41', true, { lastValue: '-42', increment: '-1' })).toBe(true)
  // Beyond what a double can tell apart.
  expect(isBehind('9007199254740992', true, { lastValue: '9007199254740993' })).toBe(true)
})

test('ahead is lawful, and of a cycle or an unreadable value nothing can be said', () => {
  expect(isBehind('42', true, { lastValue: '42' })).toBe(false)
  expect(isBehind('42', true, { lastValue: '42', isCalled: false })).toBe(false)
  expect(isBehind('43', false, { lastValue: '42' })).toBe(false)
  expect(isBehind('-43', true, { lastValue: '-42', increment: '-1' })).toBe(false)
  expect(isBehind('1', true, { lastValue: '42', cycle: true })).toBe(false)
  expect(isBehind('1', true, { lastValue: null, isCalled: null })).toBe(false)
  expect(sequencesBehind({}, archive('1', true))).toEqual([])
})

import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { sourceFiles } from '../../scripts/lib/imports.ts'
import { CHECKS } from '../../src/checks/modes.ts'
import { diagnose, isKnown } from '../../src/reports/diagnoses.ts'
import { CHECK_CAUSES } from '../../src/reports/diagnoses-of-checks.ts'
import { RUN_CAUSES } from '../../src/reports/diagnoses-of-runs.ts'

/** Of these no alert tells. */
const NEVER = /^(cancelled|issues-|workflows-|no-heartbeat|no-github-token)/

const sources = sourceFiles('src').map((file) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8'))
const found = (pattern: RegExp) =>
  new Set(sources.flatMap((text) => [...text.matchAll(pattern)].map(([, name = '']) => name)))

test('every code that can end a run has a likely cause and a next command', () => {
  const codes = [
    ...found(/(?:LifeboatError|\bsay|super|\brefuse|\btampered)\(\s*'([a-z0-9]+(?:-[a-z0-9]+)*)',/g),
    ...found(/return \[\s*'([a-z0-9]+(?:-[a-z0-9]+)+)',/g),
    ...found(/\bcode: '([a-z0-9]+(?:-[a-z0-9]+)*)'/g),
  ]
  expect(codes.length).toBeGreaterThan(80)
  const missing = codes.filter((code) => !NEVER.test(code) && !isKnown({ key: 'dump/run', code }))
  expect(missing).toEqual([])
})

test('every check has a likely cause and a next command', () => {
  const restore = [
    ...found(/\bresult\(\s*'([a-z-]+)'/g),
    'rto',
    'rpo',
    'assertions',
    'command',
    'restore',
    'self-test',
    'upgrade',
  ]
  expect(restore).toEqual(expect.arrayContaining(['restore-errors', 'tables', 'sequences', 'structure']))
  const keys = [...CHECKS.map(({ id }) => `verify/${id}`), ...restore.map((id) => `restore-test/${id}`)]
  expect(keys.filter((key) => !isKnown({ key }))).toEqual([])
})

test('each has a command in it, is one line of prose, and no name is there twice', () => {
  for (const causes of [RUN_CAUSES, CHECK_CAUSES]) {
    for (const [names, cause, next, onDirectory = next] of causes) {
      for (const text of [next, onDirectory]) expect(`${names}: ${text}`).toMatch(/`[^`]{3,}`/)
      for (const text of [cause, next, onDirectory]) {
        expect(text.split('`').length % 2).toBe(1)
        expect(text).toMatch(/^\S.*\.$/)
      }
    }
    const names = causes.flatMap(([each]) => each.split(' '))
    expect(names).toEqual([...new Set(names)])
  }
})

test('by the code for a run, by its id for a check, by neither for what could not be carried out', () => {
  expect(diagnose({ key: 'dump/run', status: 'failed', code: 'tls-expired' }).cause).toMatch(/certificate/)
  expect(diagnose({ key: 'verify/backup-age', status: 'failed' }).cause).toMatch(/60 days/)
  expect(diagnose({ key: 'verify/backup-age', status: 'unverified' }).cause).toMatch(/could not be carried out/)
  expect(diagnose({ key: 'verify/new-check', status: 'failed' }).cause).toBeUndefined()
  expect(diagnose({ key: 'restore-test/rto', status: 'failed' }).next).toContain('`jobs`')
})

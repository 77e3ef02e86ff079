import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { compareInventories } from '../../src/postgres/inventory.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'
import { type Copy, copyDatabase } from './copy.ts'
import type { DifferenceCase } from './differences/case.ts'
import { DEPARSED } from './differences/deparsed.ts'
import { GRANTS } from './differences/grants.ts'
import { OBJECTS } from './differences/objects.ts'
import { SETTINGS } from './differences/settings.ts'
import { TABLES } from './differences/tables.ts'

/**
 * What a dump and a restore change in a healthy database, one by one: that PostgreSQL does change it, that the proof says
 * nothing of it (or no more than a note), and that it does find a real difference of the same kind.
 */
const CASES: readonly DifferenceCase[] = [...DEPARSED, ...GRANTS, ...TABLES, ...OBJECTS, ...SETTINGS]

interface Told {
  severity: string
  /** `index s.i: partial`, `index s.i: missing`, or the words of a finding about rows, sequences, large objects. */
  text: string
}

/** Everything that the proof says, with the facts that it is about. */
async function listen(copy: Copy): Promise<Told[]> {
  const { findings } = await copy.judge()
  const differences = compareInventories(copy.inventory, await copy.readCopy())
  const structure = differences.map(({ kind, identity, difference, fact, expected }) => ({
    severity: expected ? 'note' : 'failure',
    text: `${kind} ${identity}: ${fact ?? difference}`,
  }))
  const others = findings.filter(({ check }) => check !== 'structure')
  const judged = findings.filter(({ check, severity }) => check === 'structure' && severity === 'failure')
  expect(judged.length > 0).toBe(structure.some(({ severity }) => severity === 'failure'))
  return [...structure, ...others.map(({ severity, message }) => ({ severity, text: message }))]
}

const texts = (told: readonly Told[], severity: string) =>
  told.flatMap((one) => (one.severity === severity ? [one.text] : [])).sort()

describe.each(availableMajors())('PostgreSQL %i', (major) => {
  const cases = CASES.filter(({ since = 0 }) => since <= major)
  let server: TestServer
  let temp: string
  let copy: Copy
  let answers: { source: Map<string, string>; copy: Map<string, string> }
  let calm: Told[]
  let alarmed: Told[]

  beforeAll(async () => {
    temp = await mkdtemp(join(tmpdir(), 'lifeboat-differences-'))
    server = await startServer(major)
    await server.createDatabase('source')
    await server.psql('source', 'create role anna; create role bert')
    await server.psql(
      'source',
      cases.map(({ schema, setup }) => `create schema ${schema}; ${within(schema, setup)}`).join('\n'),
    )
    copy = await copyDatabase(server, 'source', 'copy', temp)
    answers = {
      source: await ask(server, 'source', cases, 'Asia/Tokyo'),
      copy: await ask(server, 'copy', cases, 'UTC'),
    }
    calm = await listen(copy)
    await server.psql('copy', cases.map(({ schema, real }) => within(schema, real?.change ?? '')).join('\n'))
    alarmed = await listen(copy)
  })
  afterAll(async () => {
    await copy?.close()
    await server?.stop()
    await rm(temp, { recursive: true, force: true })
  })

  test.each(cases.map((one) => [one.name, one] as const))('%s', (_, { schema, notes = [], real }) => {
    expect(answers.copy.get(schema)).not.toBe(answers.source.get(schema))
    expect(texts(about(schema, calm), 'failure')).toEqual([])
    expect(texts(calm, 'note')).toEqual(expect.arrayContaining([...notes]))
    expect(texts(alarmed, 'failure')).toEqual(expect.arrayContaining([...(real?.found ?? [])]))
  })

  test('nothing else is told', () => {
    expect(copy.errors).toEqual([])
    expect(texts(calm, 'failure')).toEqual([])
    const notes = cases.flatMap((one) => one.notes ?? []).sort()
    expect(texts(calm, 'note')).toEqual(notes)
    expect(texts(alarmed, 'failure')).toEqual(cases.flatMap(({ real }) => real?.found ?? []).sort())
  })
})

/** The answers to what the cases ask of a database, by schema, for somebody in that time zone. */
async function ask(
  server: TestServer,
  database: string,
  cases: readonly DifferenceCase[],
  timeZone: string,
): Promise<Map<string, string>> {
  const mark = '=== '
  const questions = cases.map(({ schema, shows }) => `\\echo '${mark}${schema}'\n${within(schema, shows)}\n`)
  const answers = `\n${await server.psql(database, [`set timezone = '${timeZone}';\n`, ...questions].join(''))}\n`
    .split(`\n${mark}`)
    .slice(1)
  return new Map(answers.map((text) => [text.slice(0, text.indexOf('\n')), text.slice(text.indexOf('\n') + 1)]))
}

function within(schema: string, sql: string): string {
  return `set search_path = ${schema}; ${sql};`
}

function about(schema: string, told: readonly Told[]): Told[] {
  return told.filter(({ text }) => text.includes(`${schema}.`))
}

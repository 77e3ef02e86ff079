import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type pg from 'pg'
import { codeOf, messageOf } from '../base/errors.ts'
import { type CheckResult, type Finding, statusOf } from '../base/findings.ts'
import type { Clock, Log } from '../base/ports.ts'
import type { Database } from '../postgres/database.ts'
import { ProcessGroup } from '../postgres/process-group.ts'
import { describeServerError, failureOf } from './server-messages.ts'

/** A statement about the data that must hold in the restored database. */
export interface Assertion {
  name: string
  sql: string
}

/** An assertion may read every table once; what takes longer than this stands still, or joins without an index. */
const MOST_MINUTES = 15
const BOOLEAN = 16

/**
 * Runs the user's assertions as an application would: in a session without pins, with the search_path that the database
 * gives it. Each is in a transaction of its own that is rolled back. One holds if its query gives at least one row and the
 * first column of every row is true.
 */
export async function runAssertions(
  target: Database,
  assertions: readonly Assertion[],
  clock: Clock,
): Promise<CheckResult> {
  const title = 'Your assertions hold'
  if (assertions.length === 0) {
    return { id: 'assertions', title, status: 'not run', summary: 'none were given', findings: [], seconds: 0 }
  }
  const began = clock.now().getTime()
  const client = await target.connect('assertions', { pinned: false })
  const findings: Finding[] = []
  try {
    // What the database allows a request of the application would be too short for some of these.
    await client.query(
      `select pg_catalog.set_config(name, case name when 'statement_timeout' then '${MOST_MINUTES}min' else '0' end, false)
       from pg_catalog.pg_settings where name in ('statement_timeout', 'transaction_timeout')`,
    )
    for (const { name, sql } of assertions) {
      const problem = await problemOf(client, sql)
      if (problem === undefined) continue
      findings.push({
        severity: 'failure',
        message: `assertion ${name}: ${problem}`,
        remedy: 'Look whether the data on production is wrong, or the assertion.',
      })
    }
  } finally {
    await client.end()
  }
  const summary = `${assertions.length - findings.length} of ${assertions.length} hold`
  const seconds = (clock.now().getTime() - began) / 1_000
  return { id: 'assertions', title, status: statusOf(findings), summary, findings, seconds }
}

/** Why the assertion does not hold, in a clause. */
async function problemOf(client: pg.Client, sql: string): Promise<string | undefined> {
  // This protocol takes one statement: a second one is refused before the first has run.
  const query = { text: sql, rowMode: 'array' as const, queryMode: 'extended' }
  try {
    await client.query('begin')
    const { rows, fields } = await client.query<unknown[]>(query)
    if (rows.length === 0) return 'its query gave no row'
    if (fields[0]?.dataTypeID !== BOOLEAN) return 'its first column is no boolean; compare it with something'
    if (rows.every(([first]) => first === true)) return undefined
    return rows.some(([first]) => first === false) ? 'it does not hold' : 'its answer is null, which is not true'
  } catch (error) {
    if (codeOf(error) === '57014') return `its query was ended after ${MOST_MINUTES} minutes`
    if (/multiple commands/.test(messageOf(error))) return 'it is more than one statement'
    const failure = failureOf(error)
    if (failure !== undefined) throw failure
    return `its query failed: ${describeServerError(error)}`
  } finally {
    await client.query('rollback').catch(() => undefined)
  }
}

export interface CommandOptions {
  command: string
  /** Address of the restored database, with its password. */
  url: string
  target: Database
  env: NodeJS.ProcessEnv
  clock: Clock
  log: Log
  signal: AbortSignal
}

/**
 * Runs the user's command with DATABASE_URL and the PG* variables of the restored database; exit code 0 passes. What it
 * left running in the background is ended with it.
 */
export async function runUserCommand(options: CommandOptions | undefined): Promise<CheckResult> {
  const title = 'Your command succeeds'
  if (options === undefined) {
    return { id: 'command', title, status: 'not run', summary: 'none was given', findings: [], seconds: 0 }
  }
  const { command, clock, log, signal } = options
  const began = clock.now().getTime()
  const tell = (stream: Readable) =>
    createInterface({ input: stream }).on('line', (line) => log.info(`command: ${line}`))
  const env = await commandEnvironment(options)
  const group = await ProcessGroup.start('/usr/bin/env', ['bash', '-e', '-o', 'pipefail', '-c', command], {
    env,
    signal,
    onOutput: (...streams) => streams.forEach(tell),
  })
  const { code } = await group.ended
  signal.throwIfAborted()
  const ended = code === null ? 'was ended by a signal' : `ended with exit code ${code}`
  const findings: Finding[] =
    code === 0
      ? []
      : [{ severity: 'failure', message: `the command ${ended}`, remedy: 'Its output is in the log of this step.' }]
  const seconds = (clock.now().getTime() - began) / 1_000
  return { id: 'command', title, status: statusOf(findings), summary: ended, findings, seconds }
}

/**
 * Nothing that steers another tool of libpq elsewhere is passed on, nor what would pin an application's session: only the
 * variables that lead to the database.
 */
async function commandEnvironment({ env, target, url }: CommandOptions): Promise<Record<string, string>> {
  const inherited = Object.entries(env).flatMap(([name, value]) =>
    value === undefined || /^(PG|INPUT_)/.test(name) ? [] : [[name, value] as const],
  )
  const pins = ['PGOPTIONS', 'PGTZ', 'PGCLIENTENCODING']
  const address = Object.entries(await target.toolEnvironment()).filter(
    ([name]) => name.startsWith('PG') && !pins.includes(name),
  )
  return { ...Object.fromEntries(inherited), ...Object.fromEntries(address), DATABASE_URL: url }
}

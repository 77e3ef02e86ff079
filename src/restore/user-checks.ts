import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
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

/**
 * Runs the user's assertions, each in a read-only transaction of its own. One holds if its query gives at least one row
 * and the first column of every row is true.
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
  const client = await target.connect('assertions')
  const findings: Finding[] = []
  try {
    for (const { name, sql } of assertions) {
      const problem = await holds(client, sql)
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

async function holds(client: Awaited<ReturnType<Database['connect']>>, sql: string): Promise<string | undefined> {
  try {
    await client.query('begin transaction read only')
    const result: unknown = await client.query<unknown[]>({ text: sql, rowMode: 'array' })
    if (Array.isArray(result)) return 'it is more than one statement'
    const { rows } = result as { rows: unknown[][] }
    if (rows.length === 0) return 'its query gave no row'
    return rows.every(([first]) => first === true) ? undefined : 'it does not hold'
  } catch (error) {
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

/** Nothing that steers another tool of libpq elsewhere is passed on; PGOPTIONS would pin an application's session. */
async function commandEnvironment({ env, target, url }: CommandOptions): Promise<Record<string, string>> {
  const inherited = Object.entries(env).flatMap(([name, value]) =>
    value === undefined || /^(PG|INPUT_)/.test(name) ? [] : [[name, value] as const],
  )
  const { PGOPTIONS: _, PGTZ: __, ...connection } = await target.toolEnvironment()
  return { ...Object.fromEntries(inherited), ...connection, DATABASE_URL: url }
}

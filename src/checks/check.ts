import type { KeyObject } from 'node:crypto'
import { isDamage } from '../backup-set/damage.ts'
import type { Head } from '../backup-set/documents.ts'
import type { SetState } from '../backup-set/evidence.ts'
import type { Catalog } from '../backup-set/find.ts'
import type { OpenSet } from '../backup-set/open-set.ts'
import { LifeboatError } from '../base/errors.ts'
import { type CheckResult, type CheckStatus, type Finding, statusOf } from '../base/findings.ts'
import type { Clock, Log } from '../base/ports.ts'
import type { Storage } from '../storage/storage.ts'
import type { AgeIdentity } from '../streams/age.ts'
import type { Reading } from './reading.ts'

export type Mode = 'smoke' | 'integrity'

/** What checks may look at. Facts that cost something are asked for once, and shared. */
export interface CheckContext {
  storage: Storage
  catalog: Catalog
  /** The set under examination. */
  head: Head
  state: SetState
  /** Whether the set was chosen as the newest one: only then does its age say anything. */
  newest: boolean
  identities: readonly AgeIdentity[]
  verifyKeys: readonly KeyObject[]
  /** Seconds. */
  maxAge: number
  /** Fractions. */
  sizeChangeWarn: number
  sizeChangeFail: number
  /** Seconds. */
  maxRestoreTestAge: number
  clock: Clock
  log: Log
  signal: AbortSignal
  /** Manifest and signature, read once. Rejects as `openSet` does. */
  openSet(): Promise<OpenSet>
  /** Every stored byte, read once. */
  reading(): Promise<Reading>
}

export interface CheckOutcome {
  /** Default: what the findings amount to. */
  status?: Extract<CheckStatus, 'not run' | 'unverified'>
  /** The fact in one line. */
  summary: string
  findings: Finding[]
}

/** One thing that can be checked. A mode is a list of checks: to add one, add a file. */
export interface Check {
  id: string
  title: string
  modes: readonly Mode[]
  run(context: CheckContext): Promise<CheckOutcome>
}

/** Carries out the checks of a mode, one after the other. A check that cannot be carried out is `unverified`. */
export async function runChecks(checks: readonly Check[], mode: Mode, context: CheckContext): Promise<CheckResult[]> {
  const results: CheckResult[] = []
  for (const check of checks.filter(({ modes }) => modes.includes(mode))) {
    const began = context.clock.now().getTime()
    const outcome = await carryOut(check, context)
    const status = outcome.status ?? statusOf(outcome.findings)
    const seconds = (context.clock.now().getTime() - began) / 1_000
    const { id, title } = check
    results.push({ id, title, status, summary: outcome.summary, findings: outcome.findings, seconds })
  }
  return results
}

async function carryOut(check: Check, context: CheckContext): Promise<CheckOutcome> {
  try {
    return await check.run(context)
  } catch (error) {
    context.signal.throwIfAborted()
    if (!(error instanceof LifeboatError)) throw error
    const finding: Finding = { severity: 'failure', message: error.message, remedy: error.remedy }
    const summary = isDamage(error) ? 'the set is damaged' : 'could not be carried out'
    return { ...(isDamage(error) ? {} : { status: 'unverified' }), summary, findings: [finding] }
  }
}

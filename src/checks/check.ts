import { isDamage } from '../backup-set/damage.ts'
import { LifeboatError } from '../base/errors.ts'
import { type CheckResult, type CheckStatus, type Details, type Finding, statusOf } from '../base/findings.ts'
import type { CheckContext } from './context.ts'

/** `full` is all the others together. */
export type Mode = 'smoke' | 'integrity' | 'database' | 'full'

export interface CheckOutcome {
  /** Default: what the findings amount to. */
  status?: Extract<CheckStatus, 'not run' | 'unverified'>
  /** The fact in one line. */
  summary: string
  findings: Finding[]
  /** What stopped an earlier check stands in the way of this one, too. */
  blocked?: true
  details?: Details
}

/** One thing that can be checked. A mode is a list of checks: to add one, add a file. */
export interface Check {
  id: string
  title: string
  modes: readonly Exclude<Mode, 'full'>[]
  /** Speaks for the examined set itself: retention deletes older ones only after all of these have passed. */
  vouches?: true
  run(context: CheckContext): Promise<CheckOutcome>
}

/** The checks of a mode; `vouching` adds those of the quick look that speak for the set itself. */
export function checksOf(mode: Mode, checks: readonly Check[], { vouching = false } = {}): readonly Check[] {
  return checks.filter(
    ({ modes, vouches }) =>
      mode === 'full' || modes.includes(mode) || (vouching && vouches === true && modes.includes('smoke')),
  )
}

/**
 * Carries out checks, one after the other. A check that cannot be carried out is `unverified`; one that meets what another
 * one has told of already is `not run`. What `required` names has to be known: `not run` becomes `unverified`.
 */
export async function runChecks(checks: readonly Check[], context: CheckContext): Promise<CheckResult[]> {
  const results: CheckResult[] = []
  const met = new Map<unknown, Check>()
  for (const check of checks) {
    const began = context.clock.now().getTime()
    const outcome = await carryOut(check, context, met)
    const status = outcome.status ?? statusOf(outcome.findings)
    const seconds = (context.clock.now().getTime() - began) / 1_000
    const { id, title } = check
    results.push({ id, title, ...outcome, status, seconds })
  }
  return results
}

async function carryOut(check: Check, context: CheckContext, met: Map<unknown, Check>): Promise<CheckOutcome> {
  try {
    return demanded(check, await check.run(context), context.required)
  } catch (error) {
    context.signal.throwIfAborted()
    if (!(error instanceof LifeboatError)) throw error
    const obstacle = obstacleOf(error)
    const first = met.get(obstacle)
    if (first) {
      const summary = `needs what stopped the check “${first.title}”`
      return demanded(check, { status: 'not run', summary, findings: [], blocked: true }, context.required)
    }
    met.set(obstacle, check)
    const finding: Finding = { severity: 'failure', message: error.message, remedy: error.remedy }
    const summary = isDamage(error) ? 'the set is damaged' : 'could not be carried out'
    return { ...(isDamage(error) ? {} : { status: 'unverified' }), summary, findings: [finding] }
  }
}

/** What stands in the way: a storage that does not answer is one thing, whatever was asked of it; each damage is its own. */
function obstacleOf(error: LifeboatError): unknown {
  const { code, remedy } = error
  return isDamage(error) ? error : `${code}: ${remedy}`
}

/** Whoever requires a check wants to know, not to be told that nobody does. */
function demanded({ id }: Check, outcome: CheckOutcome, required: ReadonlySet<string>): CheckOutcome {
  if (outcome.status !== 'not run' || !required.has(id)) return outcome
  const reasons = outcome.findings.map((finding): Finding => ({ ...finding, severity: 'failure' }))
  const message = `The check ${id} is required, and was not carried out: ${outcome.summary}`
  const remedy = 'Give this run what it lacks, or take the name out of `require`.'
  const findings = reasons.length > 0 ? reasons : [{ severity: 'failure' as const, message, remedy }]
  return { ...outcome, status: 'unverified', findings }
}

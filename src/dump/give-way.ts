import { LifeboatError } from '../base/errors.ts'
import type { Finding } from '../base/findings.ts'
import type { Log } from '../base/ports.ts'
import { LOCKED_OUT, SCHEMA_CHANGED } from './diagnoses.ts'
import type { HeldSnapshot } from './snapshot.ts'

/** Failures that a migration brought about, and that are gone when it has had its turn. */
const MIGRATION_FAILURES: readonly string[] = [LOCKED_OUT.code, SCHEMA_CHANGED.code, 'rewritten-table']

/**
 * Runs an attempt that releases its locks however it ends; if a migration made it fail, one more, whose failure is then
 * the failure. Once only: whoever migrates in a loop must be told. A finding says that it happened.
 */
export async function givingWayOnce<T>(
  attempt: () => Promise<T>,
  log: Log,
  signal: AbortSignal,
): Promise<{ value: T; findings: Finding[] }> {
  try {
    return { value: await attempt(), findings: [] }
  } catch (error) {
    if (signal.aborted || !(error instanceof LifeboatError) || !MIGRATION_FAILURES.includes(error.code)) throw error
    log.warning(`${error.message}. All locks are released; the dump starts anew, with a new snapshot.`)
    const finding: Finding = {
      severity: 'warning',
      message: `The dump gave way to a migration and started anew (${error.message})`,
      remedy: `A second time in one run it fails. ${error.remedy}`,
    }
    return { value: await attempt(), findings: [finding] }
  }
}

/** The failure with who stands in the way, which can be asked for as long as the snapshot is held. */
export async function withLocks(error: unknown, snapshot: HeldSnapshot): Promise<unknown> {
  if (!(error instanceof LifeboatError) || error.code !== LOCKED_OUT.code) return error
  const locks = await snapshot.exclusiveLocks()
  if (locks.length === 0) return error
  const message = `A migration stands in the way: ${locks.join(', ')} (${error.message})`
  return new LifeboatError(error.code, message, error.remedy, { cause: error })
}

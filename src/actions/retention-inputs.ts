import type { RetentionPolicy } from '../backup-set/retention.ts'
import type { InputReader } from './inputs.ts'

/** What to keep of older backups. */
export interface KeepingInputs {
  readonly policy: RetentionPolicy
}

const MOST_KEPT = 100_000

/**
 * Reads `keep-last`, `keep-daily`, `keep-weekly`, `keep-monthly` and `keep-partial`. A count of 0 keeps none of that kind;
 * something is always kept, and the newest set is never too many.
 */
export function readKeepingInputs(inputs: InputReader): KeepingInputs {
  return {
    policy: {
      keepLast: inputs.integer('keep-last', 1, MOST_KEPT) ?? 3,
      keepDaily: inputs.integer('keep-daily', 0, MOST_KEPT) ?? 30,
      keepWeekly: inputs.integer('keep-weekly', 0, MOST_KEPT) ?? 0,
      keepMonthly: inputs.integer('keep-monthly', 0, MOST_KEPT) ?? 0,
      keepPartial: inputs.integer('keep-partial', 1, MOST_KEPT) ?? 10,
    },
  }
}

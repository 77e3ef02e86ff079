import type { FailingCheck } from './alert-ledger.ts'
import { CHECK_CAUSES } from './diagnoses-of-checks.ts'
import { RUN_CAUSES } from './diagnoses-of-runs.ts'

/** Why something usually fails, and the command to go on with. Identifiers stand in backticks. */
export interface Diagnosis {
  cause?: string
  next?: string
  /** Instead of `next`, where the storage is a directory and `next` asks a bucket. */
  onDirectory?: string
}

/** `*` at the end of a name stands for whatever follows; words in capitals are filled in, see next-command.ts. */
export type Causes = readonly (readonly [names: string, cause: string, next: string, onDirectory?: string])[]

/**
 * The likely cause of what fails, and the next command: by the code of the error that ended a run, else by the check. What
 * the run itself found out and advises is not repeated here: it stands beside it.
 */
export function diagnose({ key, status, code }: Pick<FailingCheck, 'key' | 'status' | 'code'>): Diagnosis {
  const [, id = ''] = key.split('/')
  if (/(^|-)run$/.test(id)) return find(RUN_CAUSES, code ?? '') ?? UNKNOWN
  if (status === 'unverified') return UNVERIFIED
  return find(CHECK_CAUSES, id) ?? UNKNOWN
}

const UNKNOWN: Diagnosis = { next: 'Open the run and read on from the first red line: `gh run view RUN --log-failed`.' }

/** Something kept the check from being carried out, and says what. */
const UNVERIFIED: Diagnosis = {
  cause: 'The check could not be carried out, which says nothing of the backup: what kept it from that is named above.',
  next: 'Mend that, then run the workflow again: `gh run rerun RUN --failed`.',
}

function find(causes: Causes, name: string): Diagnosis | undefined {
  const found = causes.find(([names]) => names.split(' ').some((one) => matches(one, name)))
  if (found === undefined) return undefined
  const [, cause, next, onDirectory] = found
  return { cause, next, ...(onDirectory !== undefined && { onDirectory }) }
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

/** Whether somebody has thought of it. */
export function isKnown({ key, code }: Pick<FailingCheck, 'key' | 'code'>): boolean {
  return diagnose({ key, status: 'failed', ...(code !== undefined && { code }) }) !== UNKNOWN
}

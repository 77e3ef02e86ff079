import {
  type BackupInputs,
  readBackupInputs,
  readSigningInputs,
  readStorageInputs,
  readTargetInputs,
  type SigningInputs,
  type StorageInputs,
  type TargetInputs,
} from './common-inputs.ts'
import { type InputReader, type InputSource, readInputs } from './inputs.ts'
import { type ReportingInputs, readReportingInputs } from './reporting-inputs.ts'

/** A question to the restored database: it passes when it returns rows and the first column of each is true. */
export interface Assertion {
  name: string
  sql: string
}

/** The inputs of action-restore-test. Durations are seconds. */
export interface RestoreTestInputs extends StorageInputs, BackupInputs, SigningInputs, TargetInputs, ReportingInputs {
  readonly jobs: number
  readonly assertions: Assertion[]
  /** A shell command to run against the restored database. */
  readonly command?: string
  readonly keepRunning: boolean
  /** Whether damage is to be tried on a copy of what was restored. */
  readonly selfTest: boolean
}

/**
 * Reads the inputs of action-restore-test; all that is wrong with them is in one InputError. `cores` is the default of
 * `jobs`; `env`: what S3 needs besides.
 */
export function readRestoreTestInputs(
  source: InputSource,
  cores: number,
  env?: NodeJS.ProcessEnv,
): Promise<RestoreTestInputs> {
  return readInputs(source, (inputs) => {
    const command = inputs.optional('command')
    return {
      ...readStorageInputs(inputs, env),
      ...readReportingInputs(inputs),
      ...readBackupInputs(inputs),
      ...readSigningInputs(inputs),
      ...readTargetInputs(inputs),
      jobs: inputs.integer('jobs', 1, 64) ?? Math.min(64, Math.max(1, cores)),
      assertions: readAssertions(inputs),
      ...(command !== undefined && { command }),
      keepRunning: inputs.boolean('keep-running', false),
      selfTest: inputs.boolean('self-test', false),
    }
  })
}

const ASSERTION_ACCEPTED = 'lines of the form name: SQL, such as has orders: SELECT count(*) > 0 FROM orders'

/** `name: SQL` lines. The SQL is not echoed in a problem: it may hold a customer's name. */
function readAssertions(inputs: InputReader): Assertion[] {
  const assertions = inputs.multiline('assertions').map(parseAssertion)
  const broken = assertions.filter((assertion) => assertion === undefined).length
  if (broken > 0) {
    inputs.reject(
      'assertions',
      `has ${broken} ${broken === 1 ? 'line' : 'lines'} without a name and SQL`,
      ASSERTION_ACCEPTED,
    )
  }
  const whole = assertions.filter((assertion) => assertion !== undefined)
  const names = whole.map(({ name }) => name)
  for (const name of new Set(names.filter((candidate, index) => names.indexOf(candidate) !== index))) {
    inputs.reject('assertions', 'uses a name twice', 'a name of its own for each assertion', name)
  }
  return whole
}

function parseAssertion(line: string): Assertion | undefined {
  const [, name, sql] = /^([^:]{1,100}):(?!:)(.+)$/.exec(line) ?? []
  const statement = sql?.trim().replace(/;\s*$/, '').trim()
  return name?.trim() && statement ? { name: name.trim(), sql: statement } : undefined
}

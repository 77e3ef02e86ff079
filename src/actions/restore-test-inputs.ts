import { parseTablePattern, TABLE_PATTERNS_ACCEPTED, type TablePattern } from '../postgres/table-names.ts'
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
import { type ConnectionInputs, readConnectionInputs } from './connection-inputs.ts'
import { type InputReader, type InputSource, readInputs } from './inputs.ts'
import { type ReportingInputs, readReportingInputs } from './reporting-inputs.ts'

/** A question to the restored database: it passes when it returns rows and the first column of each is true. */
export interface Assertion {
  name: string
  sql: string
}

/** The inputs of action-restore-test. Durations are seconds. */
export interface RestoreTestInputs extends StorageInputs, BackupInputs, SigningInputs, TargetInputs, ReportingInputs {
  /** Which tables to restore; empty: all of the set. */
  readonly tables: TablePattern[]
  readonly jobs: number
  /** The major version to restore into; undefined: the source's, or that of `target`. */
  readonly postgresVersion?: number
  /** A server of the user's to restore into; undefined: one is made on this machine. */
  readonly target?: ConnectionInputs
  readonly assertions: Assertion[]
  /** A shell command to run against the restored database. */
  readonly command?: string
  readonly keepRunning: boolean
  /** Whether damage is to be tried on a copy of what was restored. */
  readonly selfTest: boolean
}

/**
 * Reads the inputs of action-restore-test; all that is wrong with them is in one InputError. `cores` is the default of
 * `jobs`. With `env` the connection to a target is read too, as it will be read again to be used, and what S3 needs besides.
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
      tables: readTables(inputs),
      ...readPlace(inputs, env),
      jobs: inputs.integer('jobs', 1, 64) ?? Math.min(64, Math.max(1, cores)),
      assertions: readAssertions(inputs),
      ...(command !== undefined && { command }),
      keepRunning: inputs.boolean('keep-running', false),
      selfTest: inputs.boolean('self-test', false),
    }
  })
}

const OLDEST_MAJOR = 13
const NEWEST_MAJOR = 99

function readPlace(
  inputs: InputReader,
  env: NodeJS.ProcessEnv | undefined,
): Pick<RestoreTestInputs, 'postgresVersion' | 'target'> {
  const postgresVersion = inputs.integer('postgres-version', OLDEST_MAJOR, NEWEST_MAJOR)
  if (inputs.optional('target-url') === undefined) {
    if (inputs.optional('database-ca') !== undefined) {
      inputs.reject('database-ca', 'goes with `target-url`, which is empty', 'nothing, or both of them')
    }
    return { ...(postgresVersion !== undefined && { postgresVersion }) }
  }
  const target = readConnectionInputs(inputs, env, 'target-url')
  if (postgresVersion !== undefined) {
    const accepted = 'nothing beside `target-url`: the server there has the version that it has'
    inputs.reject('postgres-version', 'does not go with `target-url`', accepted, String(postgresVersion))
  }
  if (inputs.boolean('self-test', false)) {
    inputs.reject(
      'self-test',
      'does not go with `target-url`',
      'false: rows are damaged on a server of its own only',
      'true',
    )
  }
  return { target }
}

function readTables(inputs: InputReader): TablePattern[] {
  return inputs.list('tables').flatMap((text) => {
    const pattern = parseTablePattern(text)
    if (pattern !== undefined) return [pattern]
    inputs.reject('tables', 'has something that is no name of a table', TABLE_PATTERNS_ACCEPTED, text)
    return []
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

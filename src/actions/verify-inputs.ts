import { parseSlice, type Slice } from '../backup-set/slices.ts'
import { checksOf, type Mode } from '../checks/check.ts'
import { CHECKS } from '../checks/modes.ts'
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
import { type InputReader, type InputSource, readInputs, type Shape } from './inputs.ts'
import { type ReportingInputs, readReportingInputs } from './reporting-inputs.ts'
import { type KeepingInputs, readKeepingInputs } from './retention-inputs.ts'

/** The inputs of action-verify. Durations are seconds, percentages fractions, sizes bytes. */
export interface VerifyInputs
  extends StorageInputs,
    BackupInputs,
    SigningInputs,
    TargetInputs,
    ConnectionInputs,
    KeepingInputs,
    ReportingInputs {
  readonly mode: Mode
  readonly slice?: Slice
  /** Empty: all tables. */
  readonly tables: TablePattern[]
  readonly maxAge: number
  readonly sizeChangeWarn: number
  readonly sizeChangeFail: number
  readonly maxRestoreTestAge: number
  readonly walLagWarn: number
  readonly walLagFail: number
  readonly storageQuota?: number
  /** Names of files; empty: none are watched. */
  readonly watchWorkflows: string[]
  readonly acceptSource: string[]
  /** Ids of checks. */
  readonly require: string[]
  readonly retention: 'after-verify' | 'plan' | 'off'
}

const SLICE: Shape = {
  matches: (value) => parseSlice(value) !== undefined,
  problem: 'is no slice',
  accepted: 'a share such as 3/7, the third of seven (at most 366)',
}

/** The modes that need a server to look at. */
export function looksAtServer(mode: Mode): boolean {
  return mode === 'database' || mode === 'full'
}

/** The modes that look at names, sizes and ages, and at what goes on around the set. */
export function looksAround(mode: Mode): boolean {
  return mode === 'smoke' || mode === 'full'
}

/** The modes that read every stored byte. */
export function readsParts(mode: Mode): boolean {
  return mode === 'integrity' || mode === 'full'
}

/**
 * Reads the inputs of action-verify; all that is wrong with them is in one InputError. With `env` the connection is
 * read too, for the modes that need one, and what S3 needs besides.
 */
export function readVerifyInputs(source: InputSource, env?: NodeJS.ProcessEnv): Promise<VerifyInputs> {
  return readInputs(source, (inputs) => {
    const where = { ...readStorageInputs(inputs, env), ...readBackupInputs(inputs) }
    const mode = inputs.oneOf('mode', ['smoke', 'integrity', 'database', 'full'], 'smoke')
    const values: VerifyInputs = {
      ...where,
      ...readReportingInputs(inputs),
      ...readSigningInputs(inputs),
      ...readTargetInputs(inputs),
      ...readConnectionInputs(inputs, looksAtServer(mode) ? env : undefined),
      mode,
      ...readNarrowing(inputs, mode),
      maxAge: inputs.duration('max-age', '30h'),
      sizeChangeWarn: inputs.percentage('size-change-warn', '20%'),
      sizeChangeFail: inputs.percentage('size-change-fail', '50%'),
      maxRestoreTestAge: inputs.duration('max-restore-test-age', '35d'),
      walLagWarn: inputs.duration('wal-lag-warn', '5m'),
      walLagFail: inputs.duration('wal-lag-fail', '15m'),
      ...readQuota(inputs),
      watchWorkflows: readWatched(inputs, mode),
      acceptSource: readAcceptedSources(inputs),
      require: readRequired(inputs, mode),
      retention: inputs.oneOf('retention', ['after-verify', 'plan', 'off'], 'off'),
      ...readKeepingInputs(inputs),
    }
    assertRetains(inputs, values)
    if (values.sizeChangeWarn > values.sizeChangeFail) {
      inputs.reject('size-change-warn', 'is above size-change-fail', 'a percentage up to that of size-change-fail')
    }
    if (values.walLagWarn > values.walLagFail) {
      inputs.reject('wal-lag-warn', 'is above wal-lag-fail', 'a duration up to that of wal-lag-fail')
    }
    return values
  })
}

/** Older backups go when the newest one has been looked at, and as a whole. */
function assertRetains(inputs: InputReader, { retention, mode, backup, tables, slice }: VerifyInputs): void {
  if (retention === 'off') return
  const off = 'nothing, or `off`'
  if (mode === 'database') inputs.reject('retention', 'has no meaning in the mode database', off)
  if (backup.kind !== 'latest') inputs.reject('retention', 'has no meaning for any other `backup` than latest', off)
  if (tables.length > 0) inputs.reject('retention', 'and `tables` exclude each other', 'only one of the two')
  if (slice) inputs.reject('retention', 'and `slice` exclude each other', 'only one of the two')
}

function readNarrowing(inputs: InputReader, mode: Mode): Pick<VerifyInputs, 'slice' | 'tables'> {
  const text = inputs.optional('slice', SLICE)
  const names = inputs.list('tables')
  const tables = names.flatMap((name) => parseTablePattern(name) ?? [])
  const [wrong] = names.filter((name) => parseTablePattern(name) === undefined)
  if (wrong !== undefined) inputs.reject('tables', 'holds what is no name of a table', TABLE_PATTERNS_ACCEPTED, wrong)
  if (text === undefined) return { tables }
  if (!readsParts(mode)) inputs.reject('slice', `has no meaning in the mode ${mode}`, 'nothing, or `mode: integrity`')
  if (names.length > 0) inputs.reject('slice', 'and `tables` exclude each other', 'only one of the two')
  const slice = parseSlice(text)
  return { tables, ...(slice && { slice }) }
}

function readQuota(inputs: InputReader): Pick<VerifyInputs, 'storageQuota'> {
  if (inputs.optional('storage-quota') === undefined) return {}
  return { storageQuota: inputs.size('storage-quota', '100GiB', '1MiB') }
}

function readWatched(inputs: InputReader, mode: Mode): string[] {
  const names = inputs.list('watch-workflows')
  const files = names.map((name) => name.replace(/^\.github\/workflows\//, ''))
  const wrong = names.filter((_, index) => !/^[A-Za-z0-9._-]+\.ya?ml$/.test(files[index] ?? ''))
  if (wrong.length > 0) {
    const accepted = 'names of files in .github/workflows, such as nightly-dump.yml, restore-test.yml'
    inputs.reject('watch-workflows', 'holds what is no file of a workflow', accepted, wrong.join(', '))
  }
  if (names.length > 0 && !looksAround(mode)) {
    inputs.reject('watch-workflows', `has no meaning in the mode ${mode}`, 'nothing, or `mode: smoke`')
  }
  return [...new Set(files)]
}

function readAcceptedSources(inputs: InputReader): string[] {
  const sources = inputs.list('accept-source')
  const [wrong] = sources.filter((source) => !/^(\d{1,20}(\/.+)?|unknown\/.+)$/s.test(source))
  if (wrong !== undefined) {
    const accepted = 'what the check `source` tells, such as 7412345678901234567/shop'
    inputs.reject('accept-source', 'names no source of backups', accepted, wrong)
  }
  return sources
}

function readRequired(inputs: InputReader, mode: Mode): string[] {
  const required = inputs.list('require')
  const known = checksOf(mode, CHECKS).map(({ id }) => id)
  const unknown = required.filter((id) => !known.includes(id))
  if (unknown.length > 0) {
    inputs.reject('require', `names no check of the mode ${mode}`, known.join(', '), unknown.join(', '))
  }
  return required
}

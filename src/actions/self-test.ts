import { randomBytes } from 'node:crypto'
import { LifeboatError } from '../base/errors.ts'
import { type CheckResult, type Finding, verdictOf } from '../base/findings.ts'
import type { ScratchCluster } from '../postgres/scratch-cluster.ts'
import { SELF_TEST, type SelfTestOptions, selfTest } from '../restore/self-test.ts'
import type { RunStage } from './session.ts'

export interface SelfTestRun extends Omit<SelfTestOptions, 'target'> {
  asked: boolean
  /** The checks of the proof: where one failed, damage has been noticed already. */
  proven: readonly CheckResult[]
  /** Undefined for a server of the user's, on which nothing is damaged: the inputs see to it that nobody asks for that. */
  cluster: ScratchCluster | undefined
  stage: RunStage
}

/**
 * The self-test as a check of its own, in a database of its own beside the restored one. What keeps it from being carried
 * out makes it unverified, since it was asked for.
 */
export async function runSelfTest({ asked, proven, cluster, stage, ...options }: SelfTestRun): Promise<CheckResult> {
  if (!asked || cluster === undefined) return notCarriedOut('not run', 'not asked for')
  if (verdictOf(proven) !== 'passed') return notCarriedOut('not run', 'the backup is not proven')
  try {
    return await stage('self-test', 'Self-test', () => inDatabaseOfItsOwn(cluster, options))
  } catch (error) {
    options.signal.throwIfAborted()
    if (!(error instanceof LifeboatError)) throw error
    const { message, remedy } = error
    return notCarriedOut('unverified', 'it could not be carried out', [{ severity: 'failure', message, remedy }])
  }
}

function notCarriedOut(status: 'not run' | 'unverified', summary: string, findings: Finding[] = []): CheckResult {
  return { ...SELF_TEST, status, summary, findings, seconds: 0 }
}

async function inDatabaseOfItsOwn(
  cluster: ScratchCluster,
  options: Omit<SelfTestOptions, 'target'>,
): Promise<CheckResult> {
  const name = `lifeboat_self_test_${randomBytes(6).toString('hex')}`
  const { encoding } = options.contents.databaseFacts
  // Whatever the locale of the source is, C is there, and goes with every encoding.
  const spec = { name, encoding, localeProvider: 'libc', collate: 'C', ctype: 'C' } as const
  const target = await cluster.createDatabase(spec)
  try {
    return await selfTest({ ...options, target })
  } finally {
    await target.close()
    const client = await cluster.admin.connect('self-test')
    // Only a server that is kept running would show it to anybody.
    await client.query(`drop database ${name} with (force)`).catch(() => undefined)
    await client.end().catch(() => undefined)
  }
}

import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { looksAtServer } from '../../src/actions/verify-inputs.ts'
import { isDamage } from '../../src/backup-set/damage.ts'
import { chooseSet, readCatalog } from '../../src/backup-set/find.ts'
import { openSet, readContents } from '../../src/backup-set/open-set.ts'
import { LifeboatError } from '../../src/base/errors.ts'
import { type CheckResult, type Verdict, verdictOf } from '../../src/base/findings.ts'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import { silentMeter } from '../../src/base/progress.ts'
import { checksOf, type Mode, runChecks } from '../../src/checks/check.ts'
import { factsAbout } from '../../src/checks/facts.ts'
import { CHECKS } from '../../src/checks/modes.ts'
import { examine } from '../../src/restore/examine.ts'
import type { Place } from '../../src/restore/place.ts'
import { restoreSet } from '../../src/restore/restore.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { LIMITS } from '../checks/set.ts'
import type { Specimen } from './specimen.ts'

const { signal } = new AbortController()

/** What a set is examined by, and what it came to. */
export interface Outcome {
  verdict: Verdict
  /** The checks that did not pass, or the code of the error that ended it. */
  by: string[]
}

export interface Examiner extends Pick<Specimen, 'identities' | 'verifyKeys' | 'cluster' | 'tools' | 'temp' | 'live'> {
  storage: Storage
}

/** Each as the action does it, with the newest set of `shop`; those that are added here are columns of the page. */
export const EXAMINATIONS = {
  smoke: (examiner: Examiner) => verify('smoke', examiner),
  integrity: (examiner: Examiner) => verify('integrity', examiner),
  database: (examiner: Examiner) => verify('database', examiner),
  full: (examiner: Examiner) => verify('full', examiner),
  'restore test': restoreTest,
} as const

export type Examination = keyof typeof EXAMINATIONS

/** Anything but a LifeboatError rejects: it would be a stack trace. */
async function outcomeOf(work: () => Promise<CheckResult[]>): Promise<Outcome> {
  try {
    const checks = await work()
    const by = checks.filter(({ status }) => status === 'failed' || status === 'unverified').map(({ id }) => id)
    return { verdict: verdictOf(checks), by }
  } catch (error) {
    if (!(error instanceof LifeboatError)) throw error
    const { code } = error
    return { verdict: isDamage(error) || code === 'no-set' ? 'failed' : 'unverified', by: [code] }
  }
}

/** The newest set of `shop` by the mode's checks, as action-verify runs them. */
export function verify(
  mode: Mode,
  { storage, identities, verifyKeys, live }: Pick<Examiner, 'storage' | 'identities' | 'verifyKeys' | 'live'>,
): Promise<Outcome> {
  return outcomeOf(async () => {
    const catalog = await readCatalog(storage, 'shop', verifyKeys)
    const head = await chooseSet(storage, catalog, { kind: 'latest' })
    const about = { storage, catalog, head, signal }
    const progress = <T>(work: (meter: typeof silentMeter) => Promise<T>) => work(silentMeter)
    return runChecks(checksOf(mode, CHECKS), {
      ...about,
      newest: true,
      looksAtServer: looksAtServer(mode),
      ...LIMITS,
      clock: systemClock,
      log: memoryLog(),
      ...factsAbout({ ...about, identities, verifyKeys, tables: [], progress, ...(looksAtServer(mode) && { live }) }),
    })
  })
}

function restoreTest(examiner: Examiner): Promise<Outcome> {
  const { storage, identities, verifyKeys, cluster, tools } = examiner
  return outcomeOf(async () => {
    const catalog = await readCatalog(storage, 'shop', verifyKeys)
    const head = await chooseSet(storage, catalog, { kind: 'latest' })
    const set = await openSet(storage, head, verifyKeys)
    const contents = await readContents(set, identities, signal)
    const temp = await mkdtemp(join(examiner.temp, 'restore-'))
    const before = await rolesOf(examiner)
    try {
      const stage = <T>(_id: string, _title: string, work: (meter: typeof silentMeter) => Promise<T>) =>
        work(silentMeter)
      const place: Place = {
        name: 'the server of the tests',
        remote: false,
        restricted: false,
        roles: {},
        createDatabase: (spec) => cluster.createDatabase(spec),
        url: (name) => cluster.url(name),
      }
      const work = { set, contents, patterns: [], identities, place, tools, temp, jobs: 1, signal, stage }
      const { target, ...restored } = await restoreSet({ ...work, log: memoryLog() })
      const { checks } = await examine({ ...restored, target, restricted: false, jobs: 1, clock: systemClock, signal })
      await target.close()
      return checks
    } finally {
      await clean(examiner, before)
      await rm(temp, { recursive: true, force: true })
    }
  })
}

const DATABASES = `select datname as name from pg_database where datname not in ('postgres', 'template0', 'template1')`
const ROLES = `select rolname as name from pg_roles`

function rolesOf(examiner: Examiner): Promise<string[]> {
  return withAdmin(examiner, async (client) => names(client, ROLES))
}

/** The next restore finds the server as an action's is: new. */
async function clean(examiner: Examiner, before: readonly string[]): Promise<void> {
  await withAdmin(examiner, async (client) => {
    for (const name of await names(client, DATABASES)) {
      await client.query(`drop database ${pg.escapeIdentifier(name)} with (force)`)
    }
    for (const name of await names(client, ROLES)) {
      if (!before.includes(name)) await client.query(`drop role ${pg.escapeIdentifier(name)}`)
    }
  })
}

async function names(client: pg.Client, sql: string): Promise<string[]> {
  return (await client.query<{ name: string }>(sql)).rows.map(({ name }) => name)
}

async function withAdmin<T>({ cluster }: Examiner, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await cluster.admin.connect('detection')
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

import type { Manifest } from '../backup-set/documents.ts'
import { InputError, LifeboatError, messageOf } from '../base/errors.ts'
import type { Finding } from '../base/findings.ts'
import { systemClock } from '../base/ports.ts'
import type { Runner } from '../github/runner.ts'
import type { ConnectionSettings } from '../postgres/connection.ts'
import { installLocale } from '../postgres/install-locale.ts'
import { type ScratchCluster, startScratchCluster, stopScratchCluster } from '../postgres/scratch-cluster.ts'
import { MissingLocaleError } from '../postgres/scratch-database.ts'
import { dropMade, type Made, TargetServer } from '../postgres/target-server.ts'
import { findTools, type PostgresTools, type ToolNeed } from '../postgres/tools.ts'
import type { Place } from '../restore/place.ts'
import { type ConnectionInputs, readSettings } from './connection-inputs.ts'
import type { RestoreTestInputs } from './restore-test-inputs.ts'
import type { RunStage } from './session.ts'

/** Where a run restores into, and how it leaves that place. */
export interface RestoreTarget {
  place: Place
  tools: PostgresTools
  /** For the report; `host` where it is a server of the user's. */
  server: { version: string; host?: string }
  /** The scratch server, where it is one. */
  cluster?: ScratchCluster
  findings: Finding[]
  /** Whether a failure here speaks of the set: only where nothing but the set is new. */
  isOwnGround: boolean
  /** Lets it live until the post step ends it. */
  keep(): Promise<void>
  /** Leaves nothing behind; what could not be removed is told. Never rejects. */
  remove(): Promise<Finding[]>
}

/**
 * The place that the inputs ask for: by default a scratch server of the source's major. Errors: InputError for a
 * `postgres-version` below that, those of `findTools`, `startScratchCluster` and `TargetServer.open`.
 */
export function openRestoreTarget(
  runner: Runner,
  stage: RunStage,
  { database, source }: Pick<Manifest, 'database' | 'source'>,
  inputs: RestoreTestInputs,
): Promise<RestoreTarget> {
  const { postgresVersion: major = source.serverMajor, target } = inputs
  if (target !== undefined) return openTargetServer(runner, stage, { database, source }, target)
  if (major < source.serverMajor) {
    const problem = 'is older than the server that was dumped, whose backup it cannot take'
    const accepted = `${source.serverMajor}, which is the default, or a newer major`
    throw new InputError([{ input: 'postgres-version', given: String(major), problem, accepted }])
  }
  return openScratchServer(runner, stage, major, source.serverMajor)
}

async function openScratchServer(
  runner: Runner,
  stage: RunStage,
  major: number,
  sourceMajor: number,
): Promise<RestoreTarget> {
  const { temp, log, signal } = runner
  const tools = await stage('tools', 'Server and tools', () => tellTools(runner, major, 'server'))
  const onDirectory = (directory: string) => runner.saveState(CLUSTER_STATE, directory)
  const cluster = await stage('server', 'Scratch server', () =>
    startScratchCluster({ tools, parent: temp, log, signal, env: process.env, onDirectory }),
  )
  runner.mask(cluster.password)
  return {
    place: {
      name: `the PostgreSQL ${major} server on this machine`,
      remote: false,
      restricted: false,
      roles: {},
      createDatabase: (spec) => withLocales(runner, () => cluster.createDatabase(spec)),
      url: (name) => cluster.url(name),
    },
    tools,
    server: { version: tools.version },
    cluster,
    findings: [],
    isOwnGround: major === sourceMajor,
    keep: () => cluster.detach(),
    remove: async () => {
      await cluster.stop()
      return []
    },
  }
}

/** Makes the locales of the C library that are missing on this machine, if that is allowed, as packages are installed. */
async function withLocales<T>({ log, signal }: Runner, work: () => Promise<T>): Promise<T> {
  for (let made: string | undefined; ; ) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof MissingLocaleError) || error.locale === undefined || error.locale === made) throw error
      const problem = await installLocale(error.locale, { env: process.env, log, signal })
      if (problem !== undefined) {
        log.info(`The locale ${error.locale} was not made: ${problem}`)
        throw error
      }
      made = error.locale
    }
  }
}

const INPUT = 'target-url'

async function openTargetServer(
  runner: Runner,
  stage: RunStage,
  { database, source }: Pick<Manifest, 'database' | 'source'>,
  inputs: ConnectionInputs,
): Promise<RestoreTarget> {
  const { temp, log, signal } = runner
  const { settings } = await readSettings(runner, inputs, INPUT)
  const options = { temp, log, env: process.env, signal }
  const onMaking = (made: Made) => runner.saveState(TARGET_STATE, JSON.stringify(made))
  const server = await stage('server', 'Target server', () =>
    TargetServer.open(settings, { ...options, database, source, now: systemClock.now(), onMaking }),
  )
  try {
    const tools = await stage('tools', 'Client tools', () => tellTools(runner, server.major, 'client'))
    return {
      place: {
        name: `the server ${server.place}`,
        remote: true,
        restricted: server.restricted,
        ...(server.makesRoles && { roles: { mark: server.made.mark } }),
        createDatabase: (spec) => server.createDatabase(spec),
        url: (name) => server.url(name),
      },
      tools,
      server: { version: server.version, host: server.place },
      findings: leftBehind(server),
      isOwnGround: false,
      keep: () => server.close(),
      remove: async () => {
        await server.close()
        return removeFrom(runner, settings, server.made)
      },
    }
  } catch (error) {
    await server.close()
    throw error
  }
}

function tellTools({ context, log, signal }: Runner, major: number, need: ToolNeed): Promise<PostgresTools> {
  const packageCache = !context.isPullRequest
  return findTools({ major, need, env: process.env, log, signal, install: true, packageCache })
}

function leftBehind({ leftBehind: names, place }: TargetServer): Finding[] {
  if (names.length === 0) return []
  const statements = names.map((name) => `DROP DATABASE "${name}" WITH (FORCE);`)
  return [
    {
      severity: 'warning',
      message: `earlier restore tests have left databases on the server ${place}: ${names.join(', ')}`,
      remedy: `If nobody uses them, run there: ${statements.join(' ')}`,
    },
  ]
}

/** A run that was cancelled has no time for it: its post step does it. */
async function removeFrom(runner: Runner, settings: ConnectionSettings, made: Made): Promise<Finding[]> {
  if (runner.signal.aborted) return []
  const { temp, log, signal } = runner
  const remedy = (statements: string[]) => `Run there: ${statements.map((one) => `${one};`).join(' ')}`
  try {
    const kept = await dropMade(settings, { temp, log, env: process.env, signal }, made)
    if (kept.length === 0) {
      runner.saveState(TARGET_STATE, '')
      return []
    }
    const message = 'what was made on the server of target-url could not be removed'
    return [{ severity: 'warning', message, remedy: remedy(kept) }]
  } catch (error) {
    if (!(error instanceof LifeboatError)) throw error
    const message = `the database ${made.database} is still on the server of target-url: ${messageOf(error)}`
    return [{ severity: 'warning', message, remedy: remedy([`DROP DATABASE "${made.database}" WITH (FORCE)`]) }]
  }
}

const CLUSTER_STATE = 'cluster'
const TARGET_STATE = 'target'

/** Of the post step: ends and removes what main has left, because it was to be kept or because main was killed. */
export async function removeRestoreTarget(runner: Runner): Promise<void> {
  const directory = runner.state(CLUSTER_STATE)
  if (directory !== '') await stopScratchCluster({ directory })
  const made = runner.state(TARGET_STATE)
  if (made === '') return
  const given = (name: string) => runner.input(name) || undefined
  const [databaseUrl, databaseCa] = [given(INPUT), given('database-ca')]
  const inputs = { ...(databaseUrl && { databaseUrl }), ...(databaseCa && { databaseCa }) }
  const { settings } = await readSettings(runner, inputs, INPUT)
  for (const { message, remedy } of await removeFrom(runner, settings, JSON.parse(made) as Made)) {
    runner.annotate('warning', 'action-restore-test', `${message}\n→ ${remedy}`)
  }
}

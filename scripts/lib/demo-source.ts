import { mkdir } from 'node:fs/promises'
import { EXAMPLE_ROWS, loadExample } from '../../examples/brisa/load.ts'
import { memoryLog } from '../../src/base/ports.ts'
import { formatCount } from '../../src/base/units.ts'
import { startScratchCluster } from '../../src/postgres/scratch-cluster.ts'
import { findTools } from '../../src/postgres/tools.ts'
import { postgresDirectories, postgresMajors } from './postgres-dirs.ts'

/** The database that the demo backs up. */
export interface DemoSource {
  url: string
  /** In one line, without secrets. */
  description: string
  /** The variables by which the actions find PostgreSQL's programs. */
  env: Record<string, string>
  /** Inputs of the restore test that only make sense for this source. */
  restoreInputs: Record<string, string>
  stop(): Promise<void>
}

const ASSERTIONS = `
every booking has its customer: select count(*) = 0 from public.bookings b left join public.users u on u.id = b.user_id where u.id is null
every booking is there: select count(*) = 40000 from public.bookings
the photos are there: select count(lo_get(content)) = 50 from public.photos
`

/** The user's own database if DATABASE_URL names one (it is only read), else a server with the example database. */
export async function openDemoSource(options: {
  parent: string
  env: NodeJS.ProcessEnv
  signal: AbortSignal
}): Promise<DemoSource> {
  const directories = postgresDirectories(options.env)
  const env = { LIFEBOAT_POSTGRES_DIRS: directories.join(':') }
  const { DATABASE_URL: url } = options.env
  if (url) {
    return { url, description: 'your DATABASE_URL (only read)', env, restoreInputs: {}, stop: async () => {} }
  }
  return { ...(await startExample({ ...options, directories })), env }
}

async function startExample(options: {
  parent: string
  env: NodeJS.ProcessEnv
  signal: AbortSignal
  directories: readonly string[]
}): Promise<Omit<DemoSource, 'env'>> {
  const major = postgresMajors(options.directories).at(-1)
  if (major === undefined) throw new Error('no PostgreSQL server was found: run scripts/prepare.sh --for demo')
  const env = { ...options.env, LIFEBOAT_POSTGRES_DIRS: options.directories.join(':') }
  const log = memoryLog()
  const { parent, signal } = options
  const tools = await findTools({ major, need: 'server', env, log, signal, install: false })
  await mkdir(parent, { recursive: true })
  const cluster = await startScratchCluster({ tools, parent, log, env, signal })
  try {
    const locale = { encoding: 'UTF8', localeProvider: 'libc', collate: 'C.UTF-8', ctype: 'C.UTF-8' } as const
    await cluster.createDatabase({ name: 'brisa', ...locale })
    const connection = { PGHOST: '127.0.0.1', PGPORT: String(cluster.port), PGUSER: 'postgres', PGDATABASE: 'brisa' }
    await loadExample({ psql: tools.path('psql'), env: { ...connection, PGPASSWORD: cluster.password }, signal })
  } catch (error) {
    await cluster.stop()
    throw error
  }
  return {
    url: cluster.url('brisa'),
    description: `PostgreSQL ${tools.version} with the example database, ${formatCount(EXAMPLE_ROWS)} rows`,
    restoreInputs: { assertions: ASSERTIONS },
    stop: () => cluster.stop(),
  }
}

import { existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'

/** Where `scripts/prepare.sh` unpacks PostgreSQL majors that the machine's packages do not hold. */
export function cacheDirectory(env: NodeJS.ProcessEnv): string {
  if (process.getuid?.() === 0) return '/var/cache/pg-lifeboat/postgres'
  return path.join(env.XDG_CACHE_HOME || path.join(env.HOME || homedir(), '.cache'), 'pg-lifeboat', 'postgres')
}

/** Directories that may hold `<major>/bin`, first the ones that LIFEBOAT_POSTGRES_DIRS names. */
export function postgresDirectories(env: NodeJS.ProcessEnv): string[] {
  const listed = (env.LIFEBOAT_POSTGRES_DIRS ?? '').split(':').filter((directory) => directory !== '')
  return [...new Set([...listed, '/usr/lib/postgresql', cacheDirectory(env)])]
}

/** The majors whose server is in these directories, ascending. */
export function postgresMajors(directories: readonly string[]): number[] {
  const majors = directories.flatMap((directory) => {
    const names = existsSync(directory) ? readdirSync(directory).filter((name) => /^\d+$/.test(name)) : []
    return names.filter((name) => existsSync(path.join(directory, name, 'bin', 'postgres'))).map(Number)
  })
  return [...new Set(majors)].sort((a, b) => a - b)
}

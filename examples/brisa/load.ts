import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const FILES = ['schema.sql', 'data.sql', 'constraints.sql']

/** How many rows the example database holds in its tables, and how many large objects. */
export const EXAMPLE_ROWS = 216_151
export const EXAMPLE_LARGE_OBJECTS = 51

/**
 * Fills an empty database with the example: all of it, or nothing (one transaction). Takes about 10 s.
 * `psql` is the program's path, `env` the PG* variables that lead to the database, as a superuser.
 * Rejects with psql's own message, which names the file and the line.
 */
export async function loadExample(options: {
  psql: string
  env: Record<string, string>
  signal?: AbortSignal
}): Promise<void> {
  const files = FILES.flatMap((name) => ['-f', fileURLToPath(new URL(name, import.meta.url))])
  const env = { PATH: process.env.PATH ?? '/usr/bin:/bin', ...options.env, PGCLIENTENCODING: 'UTF8' }
  const { signal } = options
  const args = ['-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', ...files]
  await promisify(execFile)(options.psql, args, { env, ...(signal ? { signal } : {}) })
}

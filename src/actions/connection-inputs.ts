import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Runner } from '../github/runner.ts'
import { type ConnectionSettings, connectionSecrets, parseConnection } from '../postgres/connection.ts'
import { type Database, openDatabase } from '../postgres/database.ts'
import type { InputReader } from './inputs.ts'

/** Where a database is, as inputs say it. */
export interface ConnectionInputs {
  /** A connection URL or string; undefined: the PG* variables say where. */
  readonly databaseUrl?: string
  /** Certificates of the authorities to trust, in PEM form. */
  readonly databaseCa?: string
}

/**
 * Reads the input that says where a database is, and `database-ca`. With `env` the connection is read too, as it will be
 * read again to be used.
 */
export function readConnectionInputs(
  inputs: InputReader,
  env: NodeJS.ProcessEnv | undefined,
  input = 'database-url',
): ConnectionInputs {
  const databaseUrl = inputs.secretText(input)
  if (env !== undefined) {
    inputs.examine(() => parseConnection(databaseUrl, env, { input }), 'postgresql://user:password@host:5432/database')
  }
  const databaseCa = inputs.optional('database-ca')
  if (databaseCa !== undefined && !databaseCa.includes('-----BEGIN CERTIFICATE-----')) {
    inputs.reject(
      'database-ca',
      'is not a certificate in PEM form',
      'the text of a file that begins with -----BEGIN CERTIFICATE-----',
    )
  }
  return { ...(databaseUrl !== undefined && { databaseUrl }), ...(databaseCa !== undefined && { databaseCa }) }
}

/** The connection that the inputs describe; its secrets are masked before anything is said. */
export async function readSettings(
  runner: Runner,
  { databaseUrl, databaseCa }: ConnectionInputs,
  input = 'database-url',
): Promise<{ settings: ConnectionSettings; secrets: string[] }> {
  const caFile = databaseCa === undefined ? undefined : join(runner.temp, 'database-ca.pem')
  if (caFile !== undefined && databaseCa !== undefined) await writeFile(caFile, databaseCa, { mode: 0o600 })
  const settings = parseConnection(databaseUrl, process.env, { input, ...(caFile !== undefined && { caFile }) })
  const secrets = connectionSecrets(settings, databaseUrl)
  for (const secret of secrets) runner.mask(secret)
  return { settings, secrets }
}

/** Opens that database. Errors as of `openDatabase`. */
export function connect({ temp, log, signal }: Runner, settings: ConnectionSettings): Promise<Database> {
  return openDatabase(settings, { temp, log, env: process.env, signal })
}

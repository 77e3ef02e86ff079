import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { LifeboatError } from '../base/errors.ts'

// What can be said of the settings for S3 before the AWS SDK is loaded, which takes a while.

/** Where the service is: `s3-endpoint`, or what the AWS tools would take; undefined: AWS. Error: `bad-s3-endpoint`. */
export function endpointOf(env: NodeJS.ProcessEnv, given?: string): string | undefined {
  const variable = env.AWS_ENDPOINT_URL_S3 ? 'AWS_ENDPOINT_URL_S3' : 'AWS_ENDPOINT_URL'
  const text = given || env[variable]
  if (text === undefined || text === '') return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  const plain = url && /^https?:$/.test(url.protocol) && url.username === '' && url.search === '' && url.hash === ''
  if (plain) return url.href.replace(/\/+$/, '')
  throw new LifeboatError(
    'bad-s3-endpoint',
    `${given ? 's3-endpoint' : variable} is no plain http:// or https:// URL`,
    'Set `s3-endpoint` to the service alone, such as https://s3.example.com; bucket and prefix belong in `storage`.',
  )
}

/** The region that the environment names. */
export function regionOf(env: NodeJS.ProcessEnv): string | undefined {
  return env.AWS_REGION || env.AWS_DEFAULT_REGION || undefined
}

/**
 * Fails where it is certain that S3 cannot be found without an `s3-endpoint`: a file of profiles may name a region that
 * only the SDK finds. Errors: `bad-s3-endpoint`, `no-region`.
 */
export function assertS3Settings(env: NodeJS.ProcessEnv): void {
  if (endpointOf(env) !== undefined || regionOf(env) !== undefined) return
  const directory = join(env.HOME || homedir(), '.aws')
  const profiles = [env.AWS_CONFIG_FILE, env.AWS_SHARED_CREDENTIALS_FILE]
  const files = [...profiles, join(directory, 'config'), join(directory, 'credentials')]
  if (!files.some((file) => file && existsSync(file))) throw noRegion()
}

export function noRegion(cause?: unknown): LifeboatError {
  return new LifeboatError(
    'no-region',
    "AWS_REGION is not set, so the bucket's address is unknown",
    'Set AWS_REGION to the region of the bucket (`env:` of the job), or `s3-endpoint` for another S3 service.',
    { cause },
  )
}

import type { Clock, Log } from '../base/ports.ts'
import { openDirectory } from './directory.ts'
import { parseStorageUrl } from './location.ts'
import type { Storage } from './storage.ts'

export interface OpenStorageOptions {
  /** The `s3-endpoint` input: an http(s) URL, then path-style requests. Without it AWS, or AWS_ENDPOINT_URL(_S3). */
  endpoint?: string
  /**
   * AWS_REGION, static AWS_* keys and the proxy variables are taken from here. Everything else of the standard AWS
   * credentials chain (profiles, web identity, container and instance roles) is read by the AWS SDK itself from the
   * process's environment.
   */
  env: NodeJS.ProcessEnv
  log: Log
  clock: Clock
}

/**
 * Opens `s3://bucket/prefix` or `file:///path`. Sends no request and creates nothing: a storage is first touched by
 * its first use. LifeboatErrors: `bad-storage-url`, `bad-s3-endpoint`, `no-region`, `bad-proxy`.
 */
export async function openStorage(url: string, options: OpenStorageOptions): Promise<Storage> {
  const location = parseStorageUrl(url)
  if (location.kind === 'directory') return openDirectory(location, { clock: options.clock })
  // The AWS SDK takes longer to load than a directory storage takes to do its work.
  const { openS3 } = await import('./s3.ts')
  return await openS3(location, options)
}

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Clock, memoryLog } from '../../src/base/ports.ts'
import { parseStorageUrl } from '../../src/storage/location.ts'
import { openStorage } from '../../src/storage/open.ts'
import { openS3 } from '../../src/storage/s3.ts'
import type { Patience } from '../../src/storage/s3-retry.ts'
import type { Storage } from '../../src/storage/storage.ts'
import type { BucketOptions, S3Service } from '../support/s3-service.ts'

/** Real time, but nobody waits; what was waited for is kept. */
export function hastyClock(): Clock & { slept: number[] } {
  const slept: number[] = []
  return {
    slept,
    now: () => new Date(),
    sleep: async (milliseconds, signal) => {
      signal?.throwIfAborted()
      slept.push(milliseconds)
      await new Promise((resolve) => setTimeout(resolve, 5))
    },
  }
}

export interface OpenedS3 {
  storage: Storage
  bucket: string
  clock: ReturnType<typeof hastyClock>
  log: ReturnType<typeof memoryLog>
}

/** A storage in a bucket of its own, or in the bucket given, by way of `endpoint` where one is given. */
export async function openBucket(
  service: S3Service,
  options: BucketOptions & {
    bucket?: string
    endpoint?: string
    patience?: Partial<Patience>
    env?: NodeJS.ProcessEnv
  } = {},
): Promise<OpenedS3> {
  const bucket = options.bucket ?? (await service.bucket('storage', options))
  const clock = hastyClock()
  const log = memoryLog()
  const location = parseStorageUrl(`s3://${bucket}/backups/pg`)
  if (location.kind !== 's3') throw new Error('not an S3 URL')
  const { endpoint = service.endpoint, patience, env = service.env } = options
  const storage = await openS3(location, { endpoint, env, clock, log, patience })
  return { storage, bucket, clock, log }
}

/** A storage in a directory of its own that does not exist yet. */
export async function openTemporaryDirectory(): Promise<{
  storage: Storage
  directory: string
  remove(): Promise<void>
}> {
  const parent = await mkdtemp(join(tmpdir(), 'lifeboat storage-'))
  const directory = join(parent, 'not yet there')
  const url = pathToFileURL(directory).href
  const storage = await openStorage(url, { env: {}, log: memoryLog(), clock: hastyClock() })
  return { storage, directory, remove: () => rm(parent, { recursive: true, force: true }) }
}

/** `bytes` bytes that differ everywhere, in chunks of `chunk`; ends with `error` where one is given. */
export async function* stream(bytes: number, options: { chunk?: number; error?: Error } = {}): AsyncGenerator<Buffer> {
  const { chunk = 2 ** 20, error } = options
  for (let from = 0; from < bytes; from += chunk) yield content(from, Math.min(chunk, bytes - from))
  if (error) throw error
}

/** The bytes from `from` on of what `stream` yields: each four bytes hold their own number. */
export function content(from: number, bytes: number): Buffer {
  const first = Math.floor(from / 4)
  const words = new Uint32Array(Math.ceil((from + bytes) / 4) - first)
  for (let index = 0; index < words.length; index += 1) words[index] = first + index
  return Buffer.from(words.buffer).subarray(from % 4, (from % 4) + bytes)
}

export async function listed<T>(source: AsyncIterable<T>): Promise<T[]> {
  return await Array.fromAsync(source)
}

export async function bytesOf(source: AsyncIterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(source))
}

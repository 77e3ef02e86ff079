import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { CreateBucketCommand, PutBucketPolicyCommand, PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3'

const SCRIPT = fileURLToPath(new URL('../../scripts/ceph-rgw.sh', import.meta.url))
const run = promisify(execFile)

export interface BucketOptions {
  objectLock?: boolean
  versioning?: boolean
}

/** A real S3 service for tests. */
export interface S3Service {
  /** `http://127.0.0.1:…`, path-style. */
  readonly endpoint: string
  /** Credentials and region, to be spread into a process's environment. */
  readonly env: { AWS_ACCESS_KEY_ID: string; AWS_SECRET_ACCESS_KEY: string; AWS_REGION: string }
  /** Credentials of the user `guest`, who may do nothing until a policy lets him. */
  readonly guest: { AWS_ACCESS_KEY_ID: string; AWS_SECRET_ACCESS_KEY: string }
  /** Lets the guest do these actions (`s3:GetObject`) in a bucket, and no others. */
  allowGuest(bucket: string, actions: readonly string[]): Promise<void>
  /** A client for what the storage itself never does. The caller need not destroy it. */
  readonly client: S3Client
  /** Makes a bucket with that name and a random ending; its whole name. */
  bucket(name: string, options?: BucketOptions): Promise<string>
  /** Ends the service if this call started it; else only the client. */
  stop(): Promise<void>
}

/**
 * The S3 service of this run: the one that LIFEBOAT_TEST_S3 names (the global setup does so for all tests of a run, a
 * developer may name any other, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), else Ceph's gateway, started now.
 */
export async function startS3(): Promise<S3Service> {
  const endpoint = process.env.LIFEBOAT_TEST_S3
  if (endpoint) return service(endpoint, async () => undefined)
  const started = await startCeph()
  return service(started.endpoint, started.stop)
}

/** Starts Ceph's gateway in a directory of its own; rejects with the command that installs what is missing. */
export async function startCeph(): Promise<{ endpoint: string; directory: string; stop(): Promise<void> }> {
  const parent = await mkdtemp(join(tmpdir(), 'lifeboat-s3-'))
  const directory = join(parent, 'ceph')
  try {
    const env = { ...process.env, CEPH_OWNER: String(process.pid) }
    const { stdout } = await run(SCRIPT, ['start', directory], { env })
    return { endpoint: stdout.trim(), directory, stop: () => stopCeph(directory) }
  } catch (error) {
    await rm(parent, { recursive: true, force: true })
    const told = (error as { stderr?: string }).stderr?.trim()
    throw new Error(told || `scripts/ceph-rgw.sh: ${(error as Error).message}`)
  }
}

/** Ends, by process id, what `startCeph` started in that directory, and removes it. */
export async function stopCeph(directory: string): Promise<void> {
  await run(SCRIPT, ['stop', directory])
  await rm(join(directory, '..'), { recursive: true, force: true })
}

function service(endpoint: string, stop: () => Promise<void>): S3Service {
  const env = {
    AWS_ACCESS_KEY_ID: process.env.AWS_ACCESS_KEY_ID || 'lifeboat',
    AWS_SECRET_ACCESS_KEY: process.env.AWS_SECRET_ACCESS_KEY || 'lifeboat-secret',
    AWS_REGION: process.env.AWS_REGION || 'us-east-1',
  }
  const credentials = { accessKeyId: env.AWS_ACCESS_KEY_ID, secretAccessKey: env.AWS_SECRET_ACCESS_KEY }
  const client = new S3Client({ endpoint, region: env.AWS_REGION, credentials, forcePathStyle: true })
  return {
    endpoint,
    env,
    guest: { AWS_ACCESS_KEY_ID: 'guest', AWS_SECRET_ACCESS_KEY: 'guest-secret' },
    allowGuest: (bucket, actions) => allowGuest(client, bucket, actions),
    client,
    bucket: (name, options) => createBucket(client, name, options),
    stop: async () => {
      client.destroy()
      await stop()
    },
  }
}

async function createBucket(client: S3Client, name: string, options: BucketOptions = {}): Promise<string> {
  const Bucket = `${name}-${randomBytes(5).toString('hex')}`
  await client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: options.objectLock }))
  if (options.versioning) {
    await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }))
  }
  return Bucket
}

/** What a guest writes is his own: the bucket's owner, who looks at everything, is let in too. */
async function allowGuest(client: S3Client, bucket: string, actions: readonly string[]): Promise<void> {
  const Resource = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`]
  const Statement = Object.entries({ guest: actions, lifeboat: ['s3:*'] }).map(([user, Action]) => {
    return { Effect: 'Allow', Principal: { AWS: [`arn:aws:iam:::user/${user}`] }, Action, Resource }
  })
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
  await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }))
}

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { ROOT } from '../lib/run.ts'
import type { Workbench } from './workbench.ts'

const run = promisify(execFile)
const SCRIPT = path.join(ROOT, 'scripts/ceph-rgw.sh')

const CREDENTIALS = {
  AWS_ACCESS_KEY_ID: 'lifeboat',
  AWS_SECRET_ACCESS_KEY: 'lifeboat-secret',
  AWS_REGION: 'us-east-1',
}

export interface Gateway {
  readonly endpoint: string
  /** Credentials and region, as a job has them in its environment. */
  readonly env: Record<string, string>
  /** Makes a bucket; its name. */
  bucket(): Promise<string>
  stop(): Promise<void>
}

/** Starts Ceph's gateway (scripts/ceph-rgw.sh), whose disk is memory: what is deleted stays there until it is stopped. */
export async function startGateway(bench: Workbench): Promise<Gateway> {
  bench.say('  starting the S3 gateway')
  const directory = path.join(await bench.directory('s3'), 'ceph')
  const stop = async () => {
    await run(SCRIPT, ['stop', directory])
    await rm(path.dirname(directory), { recursive: true, force: true })
  }
  try {
    // Not in the terminal's process group: Ctrl-C is for this process, which then stops what was started so far.
    const { stdout } = await run('setsid', ['--wait', SCRIPT, 'start', directory])
    const endpoint = stdout.trim()
    return { endpoint, env: CREDENTIALS, bucket: () => createBucket(endpoint), stop }
  } catch (error) {
    await stop()
    throw new Error((error as { stderr?: string }).stderr?.trim() || String(error))
  }
}

/** Starts the gateway for some work, and stops it whatever comes of that. */
export async function withGateway<T>(bench: Workbench, work: (gateway: Gateway) => Promise<T>): Promise<T> {
  const gateway = await startGateway(bench)
  try {
    bench.signal.throwIfAborted()
    return await work(gateway)
  } finally {
    await gateway.stop()
  }
}

/** What an action needs to use a bucket of it, seen at that endpoint. */
export function storageInputs(bucket: string, endpoint: string): Record<string, string> {
  return { storage: `s3://${bucket}/backups`, 's3-endpoint': endpoint }
}

async function createBucket(endpoint: string): Promise<string> {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_REGION: region } = CREDENTIALS
  const credentials = { accessKeyId, secretAccessKey }
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  const Bucket = `bench-${randomBytes(5).toString('hex')}`
  try {
    await client.send(new CreateBucketCommand({ Bucket }))
    return Bucket
  } finally {
    client.destroy()
  }
}

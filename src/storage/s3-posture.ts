import {
  GetBucketLifecycleConfigurationCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
} from '@aws-sdk/client-s3'
import { appliedRules } from './lifecycle.ts'
import type { LockMode, Posture, Told } from './posture.ts'
import type { S3Context } from './s3-client.ts'
import { isNotImplemented, serviceError } from './s3-errors.ts'

interface Asked {
  context: S3Context
  probe: { key: string; versionId?: string }
  signal?: AbortSignal
}

const RETENTION = 's3:GetObjectRetention'
const LOCK_CONFIGURATION = 's3:GetBucketObjectLockConfiguration'

/**
 * Four requests: what HEAD says of the object is known wherever it can be read; the bucket's rules are asked for, which
 * not every service and not every key answers; and one request goes without a signature. A fifth where the bucket locks,
 * but HEAD says nothing of a lock.
 */
export async function postureOf(asked: Asked, prefix: string): Promise<Posture> {
  const [object, lockDefault, lifecycle, publiclyReadable] = await Promise.all([
    lookAt(asked),
    askLockDefault(asked),
    askLifecycle(asked, prefix),
    askAnonymously(asked),
  ])
  return {
    versioned: mapTold(object, ({ VersionId }) => VersionId !== undefined && VersionId !== 'null'),
    encryption: encryptionOf(object),
    lock: await lockOf(asked, object, lockDefault),
    lockDefault,
    lifecycle,
    publiclyReadable,
    freeBytes: { unknown: 'does not apply' },
  }
}

function targetOf({ context: { bucket, base }, probe }: Asked) {
  return { Bucket: bucket, Key: base + probe.key, VersionId: probe.versionId }
}

async function lookAt(asked: Asked): Promise<Told<HeadObjectCommandOutput>> {
  const { client } = asked.context
  const command = new HeadObjectCommand(targetOf(asked))
  const look = () => client.send(command, { abortSignal: asked.signal })
  const answer = await told(asked, 's3:GetObject', look, { NotFound: undefined, NoSuchVersion: undefined })
  if ('unknown' in answer) return answer
  return answer.value === undefined ? { unknown: 'no answer' } : { value: answer.value }
}

/** A service that says nothing of it may well encrypt all the same. */
function encryptionOf(object: Told<HeadObjectCommandOutput>): Posture['encryption'] {
  if ('unknown' in object) return object
  const { ServerSideEncryption: encryption } = object.value
  return encryption === undefined ? { unknown: 'not implemented' } : { value: encryption }
}

async function lockOf(
  asked: Asked,
  object: Told<HeadObjectCommandOutput>,
  lockDefault: Posture['lockDefault'],
): Promise<Posture['lock']> {
  const { ObjectLockMode: mode, ObjectLockRetainUntilDate: until } = 'value' in object ? object.value : {}
  if (mode !== undefined && until !== undefined) return { value: { mode: mode as LockMode, until } }
  if ('unknown' in lockDefault) return lockDefault
  if (lockDefault.value === 'off') return { value: null }
  // HEAD leaves out what these credentials may not know: no word of a lock is not yet word of no lock.
  const { client } = asked.context
  const answer = await told(
    asked,
    RETENTION,
    async () =>
      (await client.send(new GetObjectRetentionCommand(targetOf(asked)), { abortSignal: asked.signal })).Retention,
    { NoSuchObjectLockConfiguration: undefined, ObjectLockConfigurationNotFoundError: undefined },
  )
  return mapTold(answer, (retention) => {
    const { Mode: mode, RetainUntilDate: until } = retention ?? {}
    return mode === undefined || until === undefined ? null : { mode: mode as LockMode, until }
  })
}

async function askLockDefault(asked: Asked): Promise<Posture['lockDefault']> {
  const { client, bucket: Bucket } = asked.context
  const command = new GetObjectLockConfigurationCommand({ Bucket })
  const answer = await told(
    asked,
    LOCK_CONFIGURATION,
    async () => (await client.send(command, { abortSignal: asked.signal })).ObjectLockConfiguration,
    { ObjectLockConfigurationNotFoundError: 'off' as const },
  )
  if ('unknown' in answer) return answer
  if (answer.value === 'off') return { value: 'off' }
  // Services that do not know the question may answer another one.
  if (answer.value?.ObjectLockEnabled !== 'Enabled')
    return { unknown: 'not implemented', permission: LOCK_CONFIGURATION }
  const { Mode, Days, Years } = answer.value.Rule?.DefaultRetention ?? {}
  const days = Days ?? (Years === undefined ? undefined : Years * 365)
  return { value: Mode === undefined || days === undefined ? null : { mode: Mode as LockMode, days } }
}

async function askLifecycle(asked: Asked, prefix: string): Promise<Posture['lifecycle']> {
  const { client, bucket: Bucket, base } = asked.context
  const permission = 's3:GetLifecycleConfiguration'
  const command = new GetBucketLifecycleConfigurationCommand({ Bucket })
  const answer = await told(
    asked,
    permission,
    async () => appliedRules((await client.send(command, { abortSignal: asked.signal })).Rules, base + prefix),
    { NoSuchLifecycleConfiguration: [] },
  )
  if ('unknown' in answer) return answer
  return answer.value === undefined ? { unknown: 'not implemented', permission } : { value: answer.value }
}

/** HEAD without a signature: what matters is what happens, not which of a bucket's many settings let it happen. */
async function askAnonymously(asked: Asked): Promise<Posture['publiclyReadable']> {
  // Without the version, which would take another permission: whoever opens a bucket to all says `s3:GetObject`.
  const { Bucket, Key } = targetOf(asked)
  const command = new HeadObjectCommand({ Bucket, Key })
  command.middlewareStack.add(
    (next) => async (args) => {
      const { headers } = args.request as { headers: Record<string, string> }
      for (const name of Object.keys(headers)) if (/^(authorization$|x-amz-)/i.test(name)) delete headers[name]
      return await next(args)
    },
    // By then the request has been signed.
    { step: 'deserialize', priority: 'high', name: 'sendUnsigned' },
  )
  try {
    await asked.context.client.send(command, { abortSignal: asked.signal })
    return { value: true }
  } catch (error) {
    asked.signal?.throwIfAborted()
    const { status } = serviceError(error)
    return [400, 401, 403].includes(status) ? { value: false } : { unknown: 'no answer' }
  }
}

/** What `ask` comes to; `absent` holds what it means if the service answers that there is no such thing, by its words. */
async function told<T, N = never>(
  asked: Asked,
  permission: string,
  ask: () => Promise<T>,
  absent: Record<string, N> = {},
): Promise<Told<T | N>> {
  try {
    return { value: await ask() }
  } catch (error) {
    asked.signal?.throwIfAborted()
    const { name, status } = serviceError(error)
    if (name in absent) return { value: absent[name] as N }
    if (status === 403) return { unknown: 'not allowed', permission }
    const isUnheardOf = isNotImplemented(error) || (status >= 400 && status < 500 && status !== 429)
    return { unknown: isUnheardOf ? 'not implemented' : 'no answer', permission }
  }
}

function mapTold<T, R>(fact: Told<T>, map: (value: T) => R): Told<R> {
  return 'unknown' in fact ? fact : { value: map(fact.value) }
}

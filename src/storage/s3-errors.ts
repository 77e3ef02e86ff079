import { codeOf, LifeboatError, messageOf } from '../base/errors.ts'

/** What was being done, so that an error can name the permission and the place. */
export interface S3Attempt {
  /** `write`, `read`, `list`, `delete`. */
  verb: string
  /** The IAM action that it needs, e.g. `s3:PutObject`. */
  permission: string
  url: string
  bucket: string
  endpoint?: string
  /** Relative to the storage; empty for the storage as a whole. */
  key?: string
  /** The write asked for a lock. */
  lock?: boolean
  /** The storage class of a write. */
  storageClass?: string | undefined
  signal?: AbortSignal
}

interface ServiceError {
  name: string
  message: string
  /** 0 where no answer came. */
  status: number
  /** The bucket's own region, where the service tells it. */
  region?: string
}

type Explanation = [code: string, message: string, remedy: string]

/**
 * An error of the S3 SDK as a LifeboatError. What is one already, or is the reason of an abort, stays as it is.
 * Codes are those of the S3 API; the network's are Node's.
 */
export function explainS3Error(error: unknown, attempt: S3Attempt): unknown {
  if (attempt.signal?.aborted) return attempt.signal.reason
  if (error instanceof LifeboatError) return error
  const facts = serviceError(error)
  const found = explainNetwork(error, attempt) ?? explainService(facts, attempt) ?? explainRest(facts, attempt)
  return new LifeboatError(...found, { cause: error })
}

/** Whether the error says that an object (or that version of it) is not there. */
export function isMissingObject(error: unknown): boolean {
  const { name, status } = serviceError(error)
  if (name === 'NoSuchBucket') return false
  return status === 404 || name === 'NoSuchKey' || name === 'NoSuchVersion' || name === 'NotFound'
}

/** Whether the service does not know this request at all. */
export function isNotImplemented(error: unknown): boolean {
  const { name, status } = serviceError(error)
  return status === 501 || status === 405 || name === 'NotImplemented' || name === 'MethodNotAllowed'
}

export function serviceError(error: unknown): ServiceError {
  const raw = (error ?? {}) as {
    name?: string
    Code?: string
    Region?: string
    $metadata?: { httpStatusCode?: number }
    $response?: { headers?: Record<string, string> }
  }
  const name = raw.Code ?? raw.name ?? 'Error'
  const message = oneLine(messageOf(error))
  return {
    name,
    // What the SDK says where the service says nothing.
    message: message === 'UnknownError' ? name : message,
    status: raw.$metadata?.httpStatusCode ?? 0,
    region: raw.$response?.headers?.['x-amz-bucket-region'] ?? raw.Region,
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, 300)
}

function place({ url, key }: S3Attempt): string {
  return key ? `${url}: ${key}` : url
}

const UNREACHABLE = [
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EPIPE',
]

function explainNetwork(error: unknown, attempt: S3Attempt): Explanation | undefined {
  if (serviceError(error).status !== 0) return undefined
  const code = codeOf(error) ?? ''
  const service = attempt.endpoint ?? 'AWS S3'
  if (/CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|EPROTO|ERR_SSL/.test(code)) {
    const remedy = 'Check http:// or https:// in `s3-endpoint`; for a private CA set NODE_EXTRA_CA_CERTS to its file.'
    return ['storage-tls', `No trusted TLS connection to ${service} (${code}).`, remedy]
  }
  const timedOut = serviceError(error).name === 'TimeoutError'
  if (!timedOut && !UNREACHABLE.includes(code) && !code.startsWith('ERR_PROXY')) return undefined
  const where = attempt.endpoint === undefined ? 'AWS_REGION' : '`s3-endpoint`'
  const remedy = `Check ${where}, the network of the runner, and HTTPS_PROXY if it has to go through a proxy.`
  return ['storage-unreachable', `${service} could not be reached (${code || 'timed out'}).`, remedy]
}

function explainService(facts: ServiceError, attempt: S3Attempt): Explanation | undefined {
  const { name, message, status, region } = facts
  const { bucket } = attempt
  if (name === 'CredentialsProviderError' || name === 'TokenProviderError') {
    const remedy =
      'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (a missing secret is empty), or run aws-actions/configure-aws-credentials with `id-token: write`.'
    return ['no-storage-credentials', `No AWS credentials were found for ${attempt.url}: ${message}`, remedy]
  }
  if (name === 'NoSuchBucket') {
    return ['no-bucket', `The bucket ${bucket} does not exist.`, 'Correct `storage` and `s3-endpoint`, or create it.']
  }
  if (['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidSecurity'].includes(name)) {
    const remedy = 'Correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (both from one key pair), and AWS_REGION.'
    return ['bad-storage-credentials', `The service refused the access key or its secret (${name}).`, remedy]
  }
  if (/^(ExpiredToken|InvalidToken|TokenRefreshRequired|ExpiredTokenException|InvalidIdentityToken)/.test(name)) {
    const remedy =
      'Log in again shortly before this step, with a session that outlasts it, or correct AWS_SESSION_TOKEN.'
    return ['bad-storage-credentials', `The session token was refused (${name}).`, remedy]
  }
  if (name === 'RequestTimeTooSkewed') {
    return ['clock-skew', "The runner's clock is off: S3 refused the time.", 'Set the clock of the runner (NTP).']
  }
  const moved =
    status === 301 || status === 307 || /^(PermanentRedirect|TemporaryRedirect|IllegalLocationConstraint)/.test(name)
  if (moved || (name === 'AuthorizationHeaderMalformed' && /region/i.test(message))) {
    const remedy = region ? `Set AWS_REGION to ${region}.` : 'Set AWS_REGION to the region of the bucket.'
    return ['wrong-region', `The bucket ${bucket} is in another region (${message}).`, remedy]
  }
  return explainObject(facts, attempt)
}

function explainObject({ name, message, status }: ServiceError, attempt: S3Attempt): Explanation | undefined {
  const { bucket, permission } = attempt
  if (isMissingObject({ name, $metadata: { httpStatusCode: status } })) {
    const remedy =
      'Check `storage` and `database`; if they are right, this backup set has lost a part: choose another with `backup`.'
    return ['no-object', `${attempt.key ?? ''} does not exist in ${attempt.url}.`, remedy]
  }
  if (attempt.lock && (name === 'InvalidRequest' || /object.?lock/i.test(message))) return noObjectLock(bucket, message)
  // Ceph knows no name of its own for that.
  if (name === 'InvalidStorageClass' || (attempt.storageClass !== undefined && name === 'InvalidArgument')) {
    return ['bad-storage-class', `${bucket} does not know this storage class.`, 'Correct or remove `storage-class`.']
  }
  if (name === 'InvalidObjectState') {
    const remedy = 'Restore the objects from the archive first, and keep backup sets in an instant `storage-class`.'
    return ['object-archived', `${place(attempt)} is in an archive storage class.`, remedy]
  }
  if (name === 'PreconditionFailed' || status === 412) {
    const remedy = 'Find out what else writes to this `storage`, then run the job again.'
    return ['object-changed', `${place(attempt)} was replaced while it was read.`, remedy]
  }
  if (name === 'QuotaExceeded' || name === 'XMinioStorageFull' || status === 507) {
    return ['storage-full', `${bucket} is full (${name}).`, 'Raise its quota or keep fewer backup sets.']
  }
  if (status === 403 || name === 'AccessDenied') {
    const remedy = `Allow ${permission} on ${resource(attempt)} for these credentials.`
    return ['storage-access-denied', `Access denied: cannot ${attempt.verb} ${place(attempt)} (${message}).`, remedy]
  }
  return undefined
}

export function noObjectLock(bucket: string, message: string): Explanation {
  const remedy = 'Create the bucket with Object Lock enabled, or remove `lock-days`.'
  return ['no-object-lock', `The bucket ${bucket} does not lock objects (${message}).`, remedy]
}

function resource({ permission, url, bucket }: S3Attempt): string {
  return /:List|:GetBucket/.test(permission) ? `arn:aws:s3:::${bucket}` : `arn:aws:s3:::${url.slice('s3://'.length)}/*`
}

function explainRest({ name, message, status }: ServiceError, attempt: S3Attempt): Explanation {
  const answer = status === 0 ? name : `HTTP ${status}, ${name}`
  if (status >= 500 || status === 429 || name === 'SlowDown') {
    const remedy = 'The service is in trouble or slows this job down: look at its status page, then run the job again.'
    return [
      'storage-unavailable',
      `Cannot ${attempt.verb} ${place(attempt)} after several attempts (${answer}).`,
      remedy,
    ]
  }
  const remedy = 'Check `storage`, `s3-endpoint` and the credentials; the message is what the service answered.'
  return ['storage-error', `Cannot ${attempt.verb} ${place(attempt)}: ${answer}: ${message}`, remedy]
}

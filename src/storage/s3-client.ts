import { createHash } from 'node:crypto'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { LifeboatError } from '../base/errors.ts'
import type { Clock, Log } from '../base/ports.ts'
import { DEFAULT_PATIENCE, type Patience, patientRetries } from './s3-retry.ts'
import { endpointOf, noRegion, regionOf } from './s3-settings.ts'

export interface S3ClientOptions {
  endpoint?: string
  env: NodeJS.ProcessEnv
  log: Log
  clock: Clock
  patience?: Partial<Patience>
}

/** What every S3 operation needs to know. */
export interface S3Context {
  readonly client: S3Client
  readonly bucket: string
  /** Empty, or the storage's prefix with a `/` at its end. */
  readonly base: string
  readonly url: string
  readonly endpoint?: string
  readonly patience: Patience
  readonly log: Log
  readonly clock: Clock
}

/**
 * A client with region, endpoint, proxies, time limits and retries settled; no request is sent.
 * LifeboatErrors: `no-region`, `bad-s3-endpoint`, `bad-proxy`.
 */
export async function createS3Client(options: S3ClientOptions): Promise<{ client: S3Client; endpoint?: string }> {
  const { env, log, clock } = options
  const endpoint = endpointOf(env, options.endpoint)
  const patience = { ...DEFAULT_PATIENCE, ...options.patience }
  const client = new S3Client({
    region: regionOf(env) ?? (endpoint === undefined ? undefined : 'us-east-1'),
    credentials: staticCredentials(env),
    requestHandler: { ...agents(env), ...timeLimits(patience) },
    retryStrategy: patientRetries({ patience, log, clock }),
    // Stored bytes are checked against the manifest's SHA-256, so what comes back needs no second checksum.
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...(endpoint === undefined ? {} : endpointSettings(endpoint)),
  })
  if (endpoint !== undefined) sendContentMd5(client)
  await requireRegion(client)
  return { client, endpoint }
}

/** Services other than AWS know path-style requests, and not all know the newer checksum headers and trailers. */
function endpointSettings(endpoint: string): S3ClientConfig {
  return { endpoint, forcePathStyle: true, requestChecksumCalculation: 'WHEN_REQUIRED' }
}

/** The same choice as the SDK's own chain makes, but from `env`; undefined leaves it to the chain. */
function staticCredentials(env: NodeJS.ProcessEnv): S3ClientConfig['credentials'] {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: token } = env
  if (!accessKeyId || !secretAccessKey || env.AWS_PROFILE) return undefined
  return { accessKeyId, secretAccessKey, ...(token ? { sessionToken: token } : {}) }
}

function timeLimits(patience: Patience) {
  const { connectTimeout: connectionTimeout, idleTimeout: socketTimeout } = patience
  return { connectionTimeout, socketTimeout, socketAcquisitionWarningTimeout: 60_000 }
}

/** The SDK knows nothing of proxies; Node's agents do, since 24.5, when they are told where to look. */
function agents(env: NodeJS.ProcessEnv): { httpAgent: HttpAgent; httpsAgent: HttpsAgent } {
  const settings = { keepAlive: true, maxSockets: 50 }
  const proxies = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'].flatMap((name) => env[name] || [])
  if (proxies.length === 0) return { httpAgent: new HttpAgent(settings), httpsAgent: new HttpsAgent(settings) }
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < 24 || (major === 24 && minor < 5)) {
    throw badProxy(
      `Node ${process.versions.node} is too old for HTTP proxies`,
      'Update the runner: Node 24.5 or newer.',
    )
  }
  // Node would go past a proxy of another kind without a word. The URL itself may hold a password.
  if (!proxies.every((proxy) => /^https?:\/\//i.test(proxy) && URL.canParse(proxy))) {
    throw badProxy('it is no http:// or https:// URL', 'Correct HTTPS_PROXY (and HTTP_PROXY), or unset them.')
  }
  const proxied = { ...settings, proxyEnv: env }
  return { httpAgent: new HttpAgent(proxied), httpsAgent: new HttpsAgent(proxied) }
}

function badProxy(problem: string, remedy: string): LifeboatError {
  return new LifeboatError('bad-proxy', `The proxy in HTTPS_PROXY or HTTP_PROXY cannot be used: ${problem}.`, remedy)
}

const NEED_CHECKSUM = ['DeleteObjectsCommand', 'PutObjectRetentionCommand']

/**
 * Some requests must carry a checksum. The SDK sends a CRC, which older S3 services do not accept in place of the
 * Content-MD5 that they ask for; AWS accepts either.
 */
function sendContentMd5(client: S3Client): void {
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const request = args.request as { headers: Record<string, string>; body?: unknown }
      if (NEED_CHECKSUM.includes(context.commandName ?? '') && typeof request.body === 'string') {
        for (const name of Object.keys(request.headers)) {
          if (/^x-amz-(checksum|sdk-checksum)-/i.test(name)) delete request.headers[name]
        }
        request.headers['content-md5'] = md5Base64(request.body)
      }
      return await next(args)
    },
    { step: 'build', priority: 'low', name: 'sendContentMd5' },
  )
}

export function md5Base64(body: string | Uint8Array): string {
  return createHash('md5').update(body).digest('base64')
}

async function requireRegion(client: S3Client): Promise<void> {
  try {
    await client.config.region()
  } catch (error) {
    throw noRegion(error)
  }
}

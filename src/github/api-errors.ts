import { codeOf, LifeboatError, messageOf } from '../base/errors.ts'

/** What GitHub answered, or that it did not. */
export interface ApiError {
  /** 0 where no answer came. */
  status: number
  message: string
  headers: Record<string, string | undefined>
  /** The fields that a 422 finds fault with. */
  fields: string[]
}

/** @octokit calls what never got an answer a 500, too. */
export function apiError(error: unknown): ApiError {
  const { status = 0, response } = (error ?? {}) as {
    status?: number
    response?: { headers?: ApiError['headers']; data?: { message?: unknown; errors?: unknown } }
  }
  if (response === undefined)
    return { status: 0, message: codeOf(causeOf(error)) ?? messageOf(error), headers: {}, fields: [] }
  const { message, errors } = response.data ?? {}
  return {
    status,
    message: oneLine(typeof message === 'string' ? message : `HTTP ${status}`),
    headers: response.headers ?? {},
    fields: Array.isArray(errors) ? errors.flatMap(({ field }) => (typeof field === 'string' ? [field] : [])) : [],
  }
}

function causeOf(error: unknown): unknown {
  const { cause } = (error ?? {}) as { cause?: unknown }
  return cause === undefined ? error : causeOf(cause)
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, 300)
}

/** Whether the answer is that there were too many requests: 429, or a 403 that says so in one of its ways. */
export function isRateLimit({ status, message, headers }: ApiError): boolean {
  if (status === 429) return true
  const says = headers['retry-after'] !== undefined || headers['x-ratelimit-remaining'] === '0'
  return status === 403 && (says || /rate limit|abuse/i.test(message))
}

/** Whether the same request may be answered otherwise in a moment. */
export function isPassing(error: ApiError): boolean {
  return error.status === 0 || error.status >= 500 || isRateLimit(error)
}

/** Whether what was asked for was surely not done: then even a comment can be asked for again. */
export function isSurelyUndone(error: ApiError): boolean {
  return isRateLimit(error) || error.status === 503
}

/**
 * How long GitHub wants to be left alone, in milliseconds; undefined where it does not say. Where a limit is hit and no
 * time is given it is a minute (docs.github.com, rate limits for the REST API).
 */
export function askedDelay(error: ApiError, now: Date): number | undefined {
  const { headers } = error
  const seconds = Number(headers['retry-after'])
  if (headers['retry-after'] !== undefined && Number.isFinite(seconds)) return Math.max(0, seconds * 1_000)
  if (!isRateLimit(error)) return undefined
  const reset = Number(headers['x-ratelimit-reset'])
  const isSpent = headers['x-ratelimit-remaining'] === '0' && Number.isFinite(reset)
  return isSpent ? Math.max(0, reset * 1_000 - now.getTime()) : 60_000
}

/** What a refusal, which is no passing trouble, means and what to do about it. */
export type ExplainRefusal = (answer: ApiError) => [code: string, why: string, remedy: string]

const UNAVAILABLE =
  'See githubstatus.com, and let this runner reach the API (HTTPS_PROXY, firewall); the next run tries again.'

/**
 * The error as one that says what to do. `what` was tried: `list the issues`; codes of what every call can meet begin with
 * the `kind` of things that it is about: `issues`.
 */
export function explainApiError(
  error: unknown,
  { kind, what, repository, refusal }: { kind: string; what: string; repository: string; refusal: ExplainRefusal },
): LifeboatError {
  if (error instanceof LifeboatError) return error
  const answer = apiError(error)
  const say = (code: string, why: string, remedy: string) =>
    new LifeboatError(code, `Cannot ${what} of ${repository}: ${why}`, remedy, { cause: error })
  const { status, message } = answer
  if (status === 0) return say(`${kind}-unreachable`, `GitHub gave no answer (${message})`, UNAVAILABLE)
  if (status >= 500) return say(`${kind}-unavailable`, `GitHub is in trouble (HTTP ${status})`, UNAVAILABLE)
  if (isRateLimit(answer)) {
    const remedy = 'Nothing: the next run tries again.'
    return say(`${kind}-rate-limited`, `GitHub wants fewer requests (${message})`, remedy)
  }
  const [code, why, remedy] = refusal(answer)
  return say(code, why, remedy)
}

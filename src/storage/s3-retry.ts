import type { S3ClientConfig } from '@aws-sdk/client-s3'
import { codeOf, LifeboatError } from '../base/errors.ts'
import type { Clock, Log } from '../base/ports.ts'

/** How long S3 is waited for; times in milliseconds. */
export interface Patience {
  /** Requests sent for one operation, the first included. */
  attempts: number
  /**
   * The same for a service that has never answered, since a misspelt endpoint should not take a minute to tell, and for
   * one that has outlasted all attempts: what is left to clear up then should not take as long again.
   */
  firstContactAttempts: number
  firstDelay: number
  longestDelay: number
  /** Until the connection stands. */
  connectTimeout: number
  /** Without a byte in either direction: a dead peer must not hang a dump. */
  idleTimeout: number
}

export const DEFAULT_PATIENCE: Patience = {
  attempts: 8,
  firstContactAttempts: 3,
  firstDelay: 500,
  longestDelay: 20_000,
  connectTimeout: 10_000,
  idleTimeout: 60_000,
}

type RetryStrategy = Extract<NonNullable<S3ClientConfig['retryStrategy']>, { recordSuccess: unknown }>
type RetryToken = Awaited<ReturnType<RetryStrategy['acquireInitialRetryToken']>>

/** Half of an exponentially growing delay is fixed, half is random, so that many jobs do not come back together. */
export function backoff(attempt: number, patience: Patience, random: () => number = Math.random): number {
  const longest = Math.min(patience.longestDelay, patience.firstDelay * 2 ** (attempt - 1))
  return longest * (0.5 + 0.5 * random())
}

/**
 * The SDK's retries with more patience than its own three attempts within a second: a dump of hours should outlive a
 * minute of trouble in storage. The SDK says what is transient; waiting is done by the clock, and told in the log.
 */
export function patientRetries(options: { patience: Patience; log: Log; clock: Clock }): RetryStrategy {
  const { patience, log, clock } = options
  let answered = false
  let outlasted = false
  return {
    acquireInitialRetryToken: async () => token(0),
    recordSuccess: () => {
      answered = true
      outlasted = false
    },
    refreshRetryTokenForRetry: async (last, { error, errorType, retryAfterHint }) => {
      const status = error?.$metadata?.httpStatusCode
      if (status !== undefined) answered = true
      const attempt = last.getRetryCount() + 1
      const attempts = answered && !outlasted ? patience.attempts : patience.firstContactAttempts
      const hopeless = errorType === 'CLIENT_ERROR' || status === 501 || status === 505
      if (!hopeless && attempt >= attempts) outlasted = true
      if (hopeless || attempt >= attempts || error === undefined) throw error ?? new Error('no error to retry')
      const asked = retryAfterHint ? retryAfterHint.getTime() - clock.now().getTime() : 0
      const delay = Math.max(backoff(attempt, patience), Math.min(asked, patience.longestDelay))
      const problem = codeOf(error) ?? error.name
      log.debug(`storage: ${problem}; trying again in ${(delay / 1_000).toFixed(1)} s (${attempt + 1} of ${attempts})`)
      await clock.sleep(delay)
      return token(attempt)
    },
  }
}

function token(count: number): RetryToken {
  return { getRetryCount: () => count, getRetryDelay: () => 0 }
}

/** Whether a body that ended with this error may go on over a new connection. */
export function isBrokenConnection(error: unknown): boolean {
  const name = (error as { name?: unknown } | null)?.name
  if (error instanceof LifeboatError || name === 'AbortError') return false
  return name === 'TimeoutError' || /^(E[A-Z]+|ERR_STREAM_PREMATURE_CLOSE|HPE_\w+)$/.test(codeOf(error) ?? '')
}

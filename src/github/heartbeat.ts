import { once } from 'node:events'
import { type AgentOptions, Agent as HttpAgent, get as httpGet } from 'node:http'
import { Agent as HttpsAgent, get as httpsGet } from 'node:https'
import { codeOf, LifeboatError, messageOf } from '../base/errors.ts'
import type { Clock } from '../base/ports.ts'

export interface HeartbeatOptions {
  /** Where HTTPS_PROXY and its like are looked for. */
  env: NodeJS.ProcessEnv
  clock: Clock
  signal: AbortSignal
  /** For one answer. */
  milliseconds?: number
}

const ANSWER_MILLISECONDS = 10_000
const TRIES = 2
const PAUSE_MILLISECONDS = 1_000

/**
 * Pings the address: as it is for a success, with `/fail` at the end of its path for anything else (as Healthchecks.io,
 * healthchecks.io/docs/http_api, and those that do as it does). Twice at most. LifeboatError `no-heartbeat`; it does not
 * hold the address, which is a secret.
 */
export async function pingHeartbeat(url: string, isWell: boolean, options: HeartbeatOptions): Promise<void> {
  const address = isWell ? new URL(url) : failAddress(url)
  for (let attempt = 1; ; attempt += 1) {
    const problem = await ping(address, options)
    if (problem === undefined) return
    options.signal.throwIfAborted()
    if (attempt === TRIES) throw notPinged(address, problem, isWell)
    await options.clock.sleep(PAUSE_MILLISECONDS, options.signal)
  }
}

/** What follows the path, such as a key in the query, stays behind it. */
export function failAddress(url: string): URL {
  const address = new URL(url)
  address.pathname = `${address.pathname.replace(/\/+$/, '')}/fail`
  return address
}

/** What was wrong with the answer, or with getting one; undefined if nothing was. */
async function ping(address: URL, options: HeartbeatOptions): Promise<string | undefined> {
  const { env, milliseconds = ANSWER_MILLISECONDS } = options
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(milliseconds)])
  try {
    const status = await statusOf(address, { proxyEnv: env }, signal)
    return status >= 200 && status < 300 ? undefined : `HTTP ${status}`
  } catch (error) {
    const { name } = (signal.aborted ? signal.reason : error) as Error
    return name === 'TimeoutError' ? `no answer within ${milliseconds / 1_000} s` : (codeOf(error) ?? messageOf(error))
  }
}

async function statusOf(address: URL, proxies: AgentOptions, signal: AbortSignal): Promise<number> {
  const isSecure = address.protocol === 'https:'
  const agent = isSecure ? new HttpsAgent(proxies) : new HttpAgent(proxies)
  try {
    const request = (isSecure ? httpsGet : httpGet)(address, {
      agent,
      signal,
      headers: { 'user-agent': 'pg-lifeboat' },
    })
    // What happens once the status is known is of no interest any more.
    request.on('error', () => undefined)
    const [response] = await once(request, 'response')
    response.resume()
    return response.statusCode ?? 0
  } finally {
    agent.destroy()
  }
}

function notPinged({ host }: URL, problem: string, isWell: boolean): LifeboatError {
  const remedy = isWell
    ? 'Correct `heartbeat-url`, or let this runner reach that address (HTTPS_PROXY, firewall).'
    : 'Correct `heartbeat-url` (a service that does not know `/fail` still notices that no ping comes), or let this runner reach that address.'
  return new LifeboatError('no-heartbeat', `The heartbeat at ${host} was not pinged: ${problem}`, remedy)
}

import { getOctokit } from '@actions/github'
import type { Clock, Log } from '../base/ports.ts'
import { apiError, askedDelay, type ExplainRefusal, explainApiError, isPassing, isSurelyUndone } from './api-errors.ts'

/** How long GitHub is waited for, all requests of one `GitHubApi` together; milliseconds. */
export interface ApiPatience {
  total: number
  /** For one answer. */
  request: number
  firstDelay: number
}

export const API_PATIENCE: ApiPatience = { total: 60_000, request: 15_000, firstDelay: 1_000 }

export interface GitHubOptions {
  token: string
  /** `owner/name` */
  repository: string
  /** Of the REST API; on github.com https://api.github.com. */
  apiUrl: string
  clock: Clock
  log: Log
  signal: AbortSignal
  patience?: ApiPatience
}

const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

export type Octokit = ReturnType<typeof getOctokit>

/**
 * Asks GitHub, or a server of one's own, about one repository through @actions/github, which honours the proxy variables.
 * Asks again, with growing delays, what failed for a moment; gives up once a minute is spent over all.
 */
export class GitHubApi {
  readonly rest: Octokit['rest']
  /** The repository, as calls name it. */
  readonly place: { owner: string; repo: string }
  readonly #options: GitHubOptions
  readonly #explain: { kind: string; refusal: ExplainRefusal }
  readonly #patience: ApiPatience
  readonly #deadline: number

  /** `explain`: how `explainApiError` is to tell what went wrong. */
  constructor(options: GitHubOptions, explain: { kind: string; refusal: ExplainRefusal }) {
    const [owner = '', repo = ''] = options.repository.split('/')
    this.rest = getOctokit(options.token, { baseUrl: options.apiUrl, log: SILENT }).rest
    this.place = { owner, repo }
    this.#options = options
    this.#explain = explain
    this.#patience = options.patience ?? API_PATIENCE
    this.#deadline = options.clock.now().getTime() + this.#patience.total
  }

  /** One request, and those that follow it while it fails for a moment and there is time. Rejects as `explainApiError` says. */
  async ask<T>(
    what: string,
    send: (request: { signal: AbortSignal }) => Promise<T>,
    { repeatable = true }: { repeatable?: boolean } = {},
  ): Promise<T> {
    const { clock, log, signal, repository } = this.#options
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted()
      const left = this.#deadline - clock.now().getTime()
      try {
        return await send({ signal: AbortSignal.any([signal, AbortSignal.timeout(this.#limit(left))]) })
      } catch (error) {
        signal.throwIfAborted()
        const answer = apiError(error)
        const delay = askedDelay(answer, clock.now()) ?? this.#patience.firstDelay * 2 ** (attempt - 1)
        const again = repeatable ? isPassing(answer) : isSurelyUndone(answer)
        if (!again || clock.now().getTime() + delay >= this.#deadline) {
          throw explainApiError(error, { ...this.#explain, what, repository })
        }
        log.debug(`cannot ${what}: ${answer.status} ${answer.message}; trying again in ${(delay / 1_000).toFixed(1)} s`)
        await clock.sleep(delay, signal)
      }
    }
  }

  #limit(left: number): number {
    return Math.max(1, Math.min(left, this.#patience.request))
  }
}

/** Of an answer that was cut off @octokit makes a text. */
export function whole<T>(data: T): T {
  if (typeof data !== 'object' || data === null) throw new Error('the answer is cut off')
  return data
}

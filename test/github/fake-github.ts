import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Call, readDescription } from './api-description.ts'
import { type Answer, type FakeIssue, FakeIssues, type RequestBody, refusal } from './fake-issues.ts'
import { FakeWorkflows } from './fake-workflows.ts'

/** What goes wrong with a request. */
export type Fault =
  | { status: number; message?: string; headers?: Record<string, string> }
  | { reset: true }
  | { silentMilliseconds: number }
  /** Answered when so many requests like it are there. */
  | { together: number }

/** What GitHub says where the job's permissions lack a line. */
export const NOT_ACCESSIBLE: Fault = { status: 403, message: 'Resource not accessible by integration' }

export interface Received {
  method: string
  /** With the query. */
  path: string
  body: string
}

const REPOSITORY = 'your-org/example'

/**
 * GitHub as far as it is asked: the issues and the workflows of one repository, which it keeps. Every request and every answer is held
 * against GitHub's own description (`problems`); what nobody may call, such as the search, is not there.
 */
export class FakeGitHub {
  readonly token = 'ghs_fake0123456789abcdefghijklmnopqrstuv'
  readonly repository = REPOSITORY
  readonly requests: Received[] = []
  readonly problems: string[] = []
  readonly repo = new FakeIssues(`https://github.com/${REPOSITORY}`)
  readonly workflows = new FakeWorkflows(`https://github.com/${REPOSITORY}`)
  readonly #lookUp = readDescription()
  readonly #server = createServer((request, response) => {
    void this.#serve(request, response).catch((error: unknown) => {
      this.problems.push(String(error))
      response.destroy()
    })
  })
  readonly #faults: { request: RegExp; fault: Fault; times: number }[] = []
  #waiting: (() => void)[] = []

  static async start(): Promise<FakeGitHub> {
    const fake = new FakeGitHub()
    fake.#server.listen(0, '127.0.0.1')
    await once(fake.#server, 'listening')
    return fake
  }

  get url(): string {
    const address = this.#server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  }

  /** Lets the next `times` requests fail whose `METHOD /path` matches. */
  fail(request: RegExp, fault: Fault, times = 1): void {
    this.#faults.push({ request, fault, times })
  }

  /** All issues that are open. */
  open(): FakeIssue[] {
    return this.repo.issues.filter(({ state }) => state === 'open')
  }

  /** What was asked for, as `METHOD /path` without the repository's own; forgets it. */
  asked(): string[] {
    return this.requests
      .splice(0)
      .map(({ method, path }) => `${method} ${path.replace(`/repos/${REPOSITORY}`, '').replace(/\?.*/, '')}`)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '/' } = request
    const { pathname, searchParams } = new URL(url, this.url)
    const text = (await request.toArray()).join('')
    this.requests.push({ method, path: url, body: text })
    const call = this.#lookUp(method, pathname)
    const body = text === '' ? undefined : JSON.parse(text)
    const problems = call?.requestProblems(searchParams, body) ?? ['the description does not know this call']
    this.#note(`${method} ${pathname}`, problems)
    const fault = this.#faultOf(`${method} ${pathname}`)
    if (fault && 'reset' in fault) return void request.socket.destroy()
    if (fault && 'silentMilliseconds' in fault) await sleep(fault.silentMilliseconds, undefined, { ref: false })
    if (fault && 'together' in fault) await this.#gather(fault.together)
    const answer =
      fault && 'status' in fault
        ? refusal(fault.status, fault.message, fault.headers)
        : this.#answer(call, request, searchParams, body)
    this.#note(`answer to ${method} ${pathname}`, call?.responseProblems(answer.status, answer.body) ?? [])
    response.writeHead(answer.status, { 'content-type': 'application/json; charset=utf-8', ...answer.headers })
    response.end(JSON.stringify(answer.body))
  }

  #answer(call: Call | undefined, { headers }: IncomingMessage, query: URLSearchParams, body: RequestBody): Answer {
    const isOurs = call !== undefined && `${call.path.owner}/${call.path.repo}` === REPOSITORY
    if (!isOurs) return refusal(404, 'Not Found')
    if (headers.authorization !== `token ${this.token}`) return refusal(401, 'Bad credentials')
    return call.operationId.startsWith('actions/')
      ? this.workflows.answer(call, query)
      : this.repo.answer(call, query, body)
  }

  #note(where: string, problems: readonly string[]): void {
    this.problems.push(...problems.map((problem) => `${where}: ${problem}`))
  }

  #faultOf(request: string): Fault | undefined {
    const found = this.#faults.find(({ request: pattern, times }) => times > 0 && pattern.test(request))
    if (found) found.times -= 1
    return found?.fault
  }

  /** Resolves for all of them at once. */
  #gather(many: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push(resolve)
    if (this.#waiting.length === many) for (const go of this.#waiting.splice(0)) go()
    return promise
  }
}

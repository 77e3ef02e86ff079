import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { LifeboatError } from '../../src/base/errors.ts'
import type { Clock } from '../../src/base/ports.ts'
import { failAddress, pingHeartbeat } from '../../src/github/heartbeat.ts'

let server: Server
let url: string
/** What came, and what is answered to one after the other. */
let pings: string[]
let answers: (number | 'reset' | 'silence')[]

beforeEach(async () => {
  pings = []
  answers = []
  server = createServer((request, response) => {
    pings.push(`${request.method} ${request.url}`)
    const answer = answers.shift() ?? 200
    if (answer === 'reset') request.socket.destroy()
    else if (answer !== 'silence') response.writeHead(answer).end('OK')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

const clock: Clock = { now: () => new Date(), sleep: async () => undefined }

function ping(address: string, isWell: boolean, env: NodeJS.ProcessEnv = {}): Promise<void> {
  return pingHeartbeat(address, isWell, { env, clock, signal: new AbortController().signal, milliseconds: 500 })
}

test('a success is pinged as it is, a failure with /fail at the end of the path', async () => {
  await ping(`${url}/0b1c-uuid`, true)
  await ping(`${url}/0b1c-uuid`, false)
  await ping(`${url}/ping/key/nightly/?create=1&token=a%2Fb`, true)
  await ping(`${url}/ping/key/nightly/?create=1&token=a%2Fb`, false)
  expect(pings).toEqual([
    'GET /0b1c-uuid',
    'GET /0b1c-uuid/fail',
    'GET /ping/key/nightly/?create=1&token=a%2Fb',
    'GET /ping/key/nightly/fail?create=1&token=a%2Fb',
  ])
  expect(failAddress('https://example.org').href).toBe('https://example.org/fail')
})

test('it is tried twice, and no more', async () => {
  answers = [503, 200]
  await ping(`${url}/a`, true)
  answers = ['reset', 204]
  await ping(`${url}/b`, true)
  answers = ['silence', 200]
  await ping(`${url}/c`, true)
  expect(pings).toHaveLength(6)
  answers = [404, 404]
  const failed = ping(`${url}/secret-path?key=secret-key`, false)
  await expect(failed).rejects.toMatchObject({
    code: 'no-heartbeat',
    message: `The heartbeat at ${new URL(url).host} was not pinged: HTTP 404`,
    remedy: expect.stringContaining('does not know `/fail`'),
  })
  expect(await failed.catch((error: LifeboatError) => `${error.message}${error.remedy}`)).not.toContain('secret')
  answers = ['silence', 'silence']
  await expect(ping(`${url}/d`, true)).rejects.toThrow('no answer within 0.5 s')
  expect(pings).toHaveLength(10)
})

test('the way leads through the proxy that the environment names', async () => {
  await ping('http://heartbeat.invalid/a?b=c', true, { HTTP_PROXY: url })
  expect(pings).toEqual(['GET http://heartbeat.invalid/a?b=c'])
  await expect(
    ping('http://heartbeat.invalid/a', true, { HTTP_PROXY: url, NO_PROXY: 'heartbeat.invalid' }),
  ).rejects.toThrow(LifeboatError)
})

import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Stands before the storage, counts, and slows it down if it is told to. */
export interface CountingProxy {
  readonly endpoint: string
  requests(): number
  /** Bytes of all answers' bodies. */
  bytesDown(): number
  stop(): Promise<void>
}

/** Passes everything on as it is, Host included, so that signatures stay valid. `bytesPerSecond`: of all uploads together. */
export async function startProxy(
  target: string,
  { bytesPerSecond = Number.POSITIVE_INFINITY }: { bytesPerSecond?: number } = {},
): Promise<CountingProxy> {
  const { hostname, port } = new URL(target)
  let requests = 0
  let bytesDown = 0
  let free = 0
  const pace = async (chunk: Buffer) => {
    free = Math.max(free, performance.now()) + (chunk.length * 1_000) / bytesPerSecond
    const wait = free - performance.now()
    if (wait > 1) await sleep(wait)
  }
  const forward = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    requests += 1
    const { method, url, headers } = incoming
    // 100-continue is between two neighbours; this one has already given it.
    const { expect: _, ...onwardHeaders } = headers
    const onward = request({ hostname, port, method, path: url, headers: onwardHeaders }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.on('data', (chunk: Buffer) => {
        bytesDown += chunk.length
      })
      answer.pipe(outgoing)
    })
    onward.on('error', () => outgoing.destroy())
    incoming.on('error', () => onward.destroy())
    outgoing.on('close', () => outgoing.writableFinished || onward.destroy())
    passBody(incoming, onward, pace).catch(() => onward.destroy())
  }
  const server = createServer(forward)
  server.on('checkContinue', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    outgoing.writeContinue()
    forward(incoming, outgoing)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    bytesDown: () => bytesDown,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function passBody(
  incoming: IncomingMessage,
  onward: ReturnType<typeof request>,
  pace: (chunk: Buffer) => Promise<void>,
): Promise<void> {
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    await pace(chunk)
    if (!onward.write(chunk)) await new Promise((resolve) => onward.once('drain', resolve))
  }
  onward.end()
}

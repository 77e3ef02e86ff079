import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'

/** What the intermediary does with one request instead of passing it on as it is. */
export type Fault =
  | { answer: number; body?: string }
  /** The answer is passed on up to this many bytes of its body, then the connection is cut. */
  | { cutAfter: number }
  /** The same, but the connection stays and nothing more comes. */
  | { stallAfter: number }
  /** The service gets the request, the client no answer: its connection is cut. */
  | { swallow: true }
  /** The answer is held back until the promise resolves. */
  | { until: Promise<void> }

export interface SeenRequest {
  method: string
  /** Path and query. */
  path: string
  headers: IncomingMessage['headers']
}

export interface Loopback {
  readonly endpoint: string
  readonly seen: SeenRequest[]
  stop(): Promise<void>
}

/** Stands before the service on a port of its own and does what `fault` says. Host, and so the signature, stay valid. */
export async function startIntermediary(
  target: string,
  fault: (request: SeenRequest, index: number) => Fault | undefined,
): Promise<Loopback> {
  const seen: SeenRequest[] = []
  const server = createServer((incoming, outgoing) => {
    const { method = '', url: path = '', headers } = incoming
    const found = fault({ method, path, headers }, seen.push({ method, path, headers }) - 1)
    if (found && 'answer' in found) {
      incoming.resume().on('end', () => {
        outgoing.writeHead(found.answer, { 'content-type': 'application/xml' }).end(found.body)
      })
      return
    }
    const { hostname, port } = new URL(target)
    const onward = request(
      { hostname, port, method, path, headers, agent: false },
      (answer) => void relay(answer, outgoing, found),
    )
    onward.on('error', () => outgoing.destroy())
    incoming.on('error', () => onward.destroy())
    incoming.pipe(onward)
  })
  return await listen(server, seen)
}

async function relay(answer: IncomingMessage, outgoing: ServerResponse, fault?: Exclude<Fault, { answer: number }>) {
  answer.on('error', () => outgoing.destroy())
  outgoing.on('error', () => answer.destroy())
  if (fault && 'swallow' in fault) {
    answer.resume()
    outgoing.destroy()
    return
  }
  if (fault && 'until' in fault) await fault.until
  outgoing.writeHead(answer.statusCode ?? 500, answer.rawHeaders)
  if (!fault || 'until' in fault) {
    answer.pipe(outgoing)
    return
  }
  let left = 'cutAfter' in fault ? fault.cutAfter : fault.stallAfter
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    const piece = chunk.subarray(0, left)
    left -= piece.length
    await new Promise((resolve) => outgoing.write(piece, resolve))
    if (left > 0) continue
    answer.destroy()
    if ('cutAfter' in fault) outgoing.destroy()
    return
  }
  outgoing.end()
}

/** A proxy as companies run them: forwards http requests in absolute form and tunnels by CONNECT, or refuses to. */
export async function startProxy({ tunnels = true } = {}): Promise<Loopback> {
  const seen: SeenRequest[] = []
  const server = createServer((incoming, outgoing) => {
    const { method = '', url: path = '', headers } = incoming
    seen.push({ method, path, headers })
    const { hostname, port, pathname, search } = new URL(path)
    const onward = request({ hostname, port, method, path: pathname + search, headers, agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.rawHeaders)
      answer.pipe(outgoing)
    })
    onward.on('error', () => outgoing.destroy())
    incoming.pipe(onward)
  })
  server.on('connect', (incoming: IncomingMessage, client: Socket) => {
    seen.push({ method: 'CONNECT', path: incoming.url ?? '', headers: incoming.headers })
    if (!tunnels) {
      client.end('HTTP/1.1 403 Forbidden\r\n\r\n')
      return
    }
    const [hostname, port] = (incoming.url ?? '').split(':')
    const onward = connect(Number(port), hostname, () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      onward.pipe(client).pipe(onward)
    })
    onward.on('error', () => client.destroy())
    client.on('error', () => onward.destroy())
    client.on('close', () => onward.destroy())
  })
  return await listen(server, seen)
}

async function listen(server: Server, seen: SeenRequest[]): Promise<Loopback> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { endpoint: `http://127.0.0.1:${port}`, seen, stop }
}

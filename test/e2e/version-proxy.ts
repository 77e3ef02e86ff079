import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A way to a server on which it says that it is of another major, of as many digits. Without TLS. */
export async function startVersionProxy(
  target: { port: number; major: number },
  major: number,
): Promise<{ port: number; stop(): Promise<void> }> {
  const sockets = new Set<Socket>()
  // 170012, and 17.12 (Debian 17.12-1): as long as before, so that every message keeps its length.
  const own = new RegExp(`\\b${target.major}(?=00\\d\\d\\b|\\.\\d)`, 'g')
  const proxy = createServer((client) => {
    const server = connect(target.port, '127.0.0.1')
    client.on('data', (chunk) => server.write(chunk))
    server.on('data', (chunk) => {
      client.write(Buffer.from(chunk.toString('latin1').replaceAll(own, String(major)), 'latin1'))
    })
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => undefined)
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
    }
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const address = proxy.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    port: address.port,
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      proxy.close()
      await once(proxy, 'close')
    },
  }
}

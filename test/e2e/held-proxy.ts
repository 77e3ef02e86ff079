import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A way to a server on which a big answer comes to a halt in its middle. */
export interface HeldProxy {
  readonly port: number
  /** Resolves when a connection has been held. */
  readonly held: Promise<void>
  stop(): Promise<void>
}

/** Passes on at most `bytes` from the server on each connection, then holds that connection open and silent. */
export async function startHeldProxy(target: number, bytes: number): Promise<HeldProxy> {
  const sockets = new Set<Socket>()
  const { promise: held, resolve: hold } = Promise.withResolvers<void>()
  const proxy = createServer((client) => {
    const server = connect(target, '127.0.0.1')
    let passed = 0
    server.on('data', (chunk) => {
      passed += chunk.length
      client.write(chunk)
      if (passed < bytes) return
      server.pause()
      hold()
    })
    client.on('data', (chunk) => server.write(chunk))
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
    held,
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      proxy.close()
      await once(proxy, 'close')
    },
  }
}

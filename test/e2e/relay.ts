import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A way to a server on this machine, by another port. */
export interface Relay {
  readonly port: number
  stop(): Promise<void>
}

/** Calls `pass` for each connection, to pass on what comes on either side; when one side closes, so does the other. */
export async function startRelay(target: number, pass: (client: Socket, server: Socket) => void): Promise<Relay> {
  const sockets = new Set<Socket>()
  const listener = createServer((client) => {
    const server = connect(target, '127.0.0.1')
    pass(client, server)
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
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('the relay has no port')
  return {
    port: address.port,
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      listener.close()
      await once(listener, 'close')
    },
  }
}

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Pace {
  /** What passes on each connection at full speed. */
  burstBytes: number
  /** At most, from then on. */
  bytesPerSecond: number
}

/** A way to a server whose answers come at a pace of their own, however fast the machine is. */
export async function startPacedProxy(target: number, pace: Pace): Promise<{ port: number; stop(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const proxy = createServer((client) => {
    const server = connect(target, '127.0.0.1')
    client.pipe(server)
    relay(server, client, pace).catch(() => client.destroy())
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

async function relay(from: Socket, to: Socket, { burstBytes, bytesPerSecond }: Pace): Promise<void> {
  let passed = 0
  for await (const chunk of from as AsyncIterable<Buffer>) {
    passed += chunk.length
    if (passed > burstBytes) await sleep((chunk.length * 1_000) / bytesPerSecond)
    await new Promise<void>((resolve, reject) => to.write(chunk, (error) => (error ? reject(error) : resolve())))
  }
  to.end()
}

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A way to a server on which what a client asks for can be held up. */
export interface GateProxy {
  readonly port: number
  /** Holds the next connection on which a client sends `text`: what it sends from there on, or what it is answered. */
  hold(text: string, what?: 'question' | 'answer'): Gate
  stop(): Promise<void>
}

export interface Gate {
  /** Resolves when a connection is held. */
  readonly reached: Promise<void>
  /** Lets that connection go on. */
  open(): void
}

interface Waiting {
  text: string
  what: 'question' | 'answer'
  reach: () => void
  opened: Promise<void>
}

/** Passes everything on, in plain text both ways, except what a gate holds. */
export async function startGateProxy(target: number): Promise<GateProxy> {
  const sockets = new Set<Socket>()
  const waiting: Waiting[] = []
  const proxy = createServer((client) => {
    const server = connect(target, '127.0.0.1')
    let tail = ''
    client.on('data', (chunk) => {
      const text = tail + chunk.toString('latin1')
      const gate = waiting.find((one) => text.includes(one.text))
      // A question that came in pieces is found all the same.
      tail = gate === undefined ? text.slice(-100) : ''
      if (gate === undefined) return void server.write(chunk)
      waiting.splice(waiting.indexOf(gate), 1)
      const held = gate.what === 'question' ? client : server
      held.pause()
      gate.reach()
      if (gate.what === 'answer') server.write(chunk)
      void gate.opened.then(() => {
        if (gate.what === 'question') server.write(chunk)
        held.resume()
      })
    })
    server.on('data', (chunk) => client.write(chunk))
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
    hold: (text, what = 'question') => {
      const reached = Promise.withResolvers<void>()
      const opened = Promise.withResolvers<void>()
      waiting.push({ text, what, reach: reached.resolve, opened: opened.promise })
      return { reached: reached.promise, open: opened.resolve }
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      proxy.close()
      await once(proxy, 'close')
    },
  }
}

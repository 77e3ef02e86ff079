import { type Relay, startRelay } from './relay.ts'

/** A way to a server on which what a client asks for can be held up. */
export interface GateProxy extends Relay {
  /** Holds the next connection on which a client sends `text`: what it sends from there on, or what it is answered. */
  hold(text: string, what?: 'question' | 'answer'): Gate
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
  const waiting: Waiting[] = []
  const relay = await startRelay(target, (client, server) => {
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
  })
  return {
    ...relay,
    hold: (text, what = 'question') => {
      const reached = Promise.withResolvers<void>()
      const opened = Promise.withResolvers<void>()
      waiting.push({ text, what, reach: reached.resolve, opened: opened.promise })
      return { reached: reached.promise, open: opened.resolve }
    },
  }
}

import { type Relay, startRelay } from './relay.ts'

/** A way to a server on which a big answer comes to a halt in its middle. */
export interface HeldProxy extends Relay {
  /** Resolves when a connection has been held. */
  readonly held: Promise<void>
}

/** Passes on at most `bytes` from the server on each connection, then holds that connection open and silent. */
export async function startHeldProxy(target: number, bytes: number): Promise<HeldProxy> {
  const { promise: held, resolve: hold } = Promise.withResolvers<void>()
  const relay = await startRelay(target, (client, server) => {
    let passed = 0
    server.on('data', (chunk) => {
      passed += chunk.length
      client.write(chunk)
      if (passed < bytes) return
      server.pause()
      hold()
    })
    client.on('data', (chunk) => server.write(chunk))
  })
  return { ...relay, held }
}

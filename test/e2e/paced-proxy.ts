import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Relay, startRelay } from './relay.ts'

export interface Pace {
  /** What passes on each connection at full speed. */
  burstBytes: number
  /** At most, from then on. */
  bytesPerSecond: number
}

/** A way to a server whose answers come at a pace of their own, however fast the machine is. */
export function startPacedProxy(target: number, pace: Pace): Promise<Relay> {
  return startRelay(target, (client, server) => {
    client.pipe(server)
    paced(server, client, pace).catch(() => client.destroy())
  })
}

async function paced(from: Socket, to: Socket, { burstBytes, bytesPerSecond }: Pace): Promise<void> {
  let passed = 0
  for await (const chunk of from as AsyncIterable<Buffer>) {
    passed += chunk.length
    if (passed > burstBytes) await sleep((chunk.length * 1_000) / bytesPerSecond)
    await new Promise<void>((resolve, reject) => to.write(chunk, (error) => (error ? reject(error) : resolve())))
  }
  to.end()
}

import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Fault, type SeenRequest, startIntermediary } from '../storage/loopback.ts'

/** What is wrong with the line and with the service behind it. */
export interface Trouble {
  /** What is done to a request instead of passing it on. `proxy` is the one that asks. */
  fault?: (request: SeenRequest, proxy: FaultProxy) => Fault | undefined
  /** No connection is accepted until `accept()`. */
  refusing?: boolean
  /** So many connections, the first ones, are reset as soon as they stand. */
  resetting?: number
  /** Resets a connection once that many bytes have gone one way on it, the first `times` times. */
  cut?: { way: 'up' | 'down'; bytes: number; times: number }
  /** Every chunk is late by that many milliseconds, and all connections together get no more than that rate. */
  slow?: { latency: number; bytesPerSecond: number }
}

/** A service as it is seen over a bad line. What the client signed, its Host included, arrives as it was signed. */
export interface FaultProxy {
  readonly endpoint: string
  readonly seen: readonly SeenRequest[]
  /** When something was done to a request or a connection, by `performance.now()`. */
  readonly strikes: readonly number[]
  /** Refuses connections from now on, and cuts those that stand. */
  refuse(): void
  accept(): Promise<void>
  stop(): Promise<void>
}

/** Stands before the service at `target` on a port of 127.0.0.1. */
export async function startFaultProxy(target: string, trouble: Trouble): Promise<FaultProxy> {
  const strikes: number[] = []
  const strike = () => strikes.push(performance.now())
  const intermediary = await startIntermediary(target, (request) => {
    const fault = trouble.fault?.(request, proxy)
    if (fault) strike()
    return fault
  })
  const behind = Number(new URL(intermediary.endpoint).port)
  const sockets = new Set<Socket>()
  const meter = meterFor(trouble, strike)
  let resets = trouble.resetting ?? 0
  const front = createServer((client) => {
    if (resets === 0) return join(client, connect(behind, '127.0.0.1'), sockets, meter)
    resets -= 1
    strike()
    client.on('error', () => undefined)
    client.resetAndDestroy()
  })
  const port = await listen(front, 0)
  const proxy: FaultProxy = {
    endpoint: `http://127.0.0.1:${port}`,
    seen: intermediary.seen,
    strikes,
    refuse: () => {
      strike()
      front.close()
      for (const socket of sockets) socket.resetAndDestroy()
    },
    accept: async () => {
      if (!front.listening) await listen(front, port)
    },
    stop: async () => {
      front.close()
      for (const socket of sockets) socket.destroy()
      await intermediary.stop()
    },
  }
  if (trouble.refusing) proxy.refuse()
  return proxy
}

/** Lets a chunk pass in its time; false: the connection is to be reset. `before`: bytes that went the same way. */
type Meter = (way: 'up' | 'down', chunk: Buffer, before: number) => Promise<boolean>

function meterFor({ cut, slow }: Trouble, strike: () => unknown): Meter {
  let cuts = cut?.times ?? 0
  let free = 0
  return async (way, chunk, before) => {
    if (cut?.way === way && cuts > 0 && before + chunk.length > cut.bytes) {
      cuts -= 1
      strike()
      return false
    }
    if (slow) {
      free = Math.max(free, performance.now()) + (chunk.length * 1_000) / slow.bytesPerSecond
      await sleep(free - performance.now() + slow.latency)
    }
    return true
  }
}

function join(client: Socket, service: Socket, sockets: Set<Socket>, meter: Meter): void {
  for (const [from, to, way] of [
    [client, service, 'up'],
    [service, client, 'down'],
  ] as const) {
    sockets.add(from)
    from.on('error', () => undefined)
    from.on('close', () => {
      sockets.delete(from)
      to.destroy()
    })
    relay(from, to, way, meter).catch(() => {
      client.resetAndDestroy()
      service.destroy()
    })
  }
}

async function relay(from: Socket, to: Socket, way: 'up' | 'down', meter: Meter): Promise<void> {
  let passed = 0
  for await (const chunk of from as AsyncIterable<Buffer>) {
    if (!(await meter(way, chunk, passed))) throw new Error('cut')
    passed += chunk.length
    await new Promise<void>((resolve, reject) => to.write(chunk, (error) => (error ? reject(error) : resolve())))
  }
  to.end()
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      server.off('error', reject)
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })
}

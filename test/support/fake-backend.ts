import { createServer, type Socket } from 'node:net'

export interface FakeBackend {
  port: number
  connections: number
  stop(): Promise<void>
}

type Behaviour = 'silent' | { refuse: { code: string; message: string } } | { row: string[] }

/**
 * Speaks just enough of the protocol for what no real server says on demand: nothing at all, one error, or one row
 * (columns c0, c1, … unless `names` are given) to every query.
 */
export async function startFakeBackend(behaviour: Behaviour, names: string[] = []): Promise<FakeBackend> {
  const sockets = new Set<Socket>()
  const state = { port: 0, connections: 0 }
  const server = createServer((socket) => {
    sockets.add(socket)
    state.connections += 1
    socket.on('error', () => {})
    let started = false
    socket.on('data', (data) => {
      if (behaviour === 'silent') return
      if (!started && data.readInt32BE(4) === 80_877_103) return void socket.write('N')
      if ('refuse' in behaviour) {
        const { code, message: text } = behaviour.refuse
        socket.end(message('E', Buffer.from(`SFATAL\0C${code}\0M${text}\0\0`)))
      } else if (!started) {
        socket.write(Buffer.concat([message('R', int32(0)), message('Z', Buffer.from('I'))]))
      } else if (data[0] === 'Q'.charCodeAt(0)) {
        socket.write(oneRow(behaviour.row, names))
      }
      started = true
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  state.port = typeof address === 'object' && address !== null ? address.port : 0
  return Object.assign(state, {
    stop: () => {
      for (const socket of sockets) socket.destroy()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    },
  })
}

function oneRow(row: string[], names: string[]): Buffer {
  const fields = row.map((_, index) =>
    Buffer.concat([
      Buffer.from(`${names[index] ?? `c${index}`}\0`),
      int32(0),
      int16(0),
      int32(25),
      int16(-1),
      int32(-1),
      int16(0),
    ]),
  )
  const values = row.flatMap((value) => [int32(Buffer.byteLength(value)), Buffer.from(value)])
  return Buffer.concat([
    message('T', Buffer.concat([int16(row.length), ...fields])),
    message('D', Buffer.concat([int16(row.length), ...values])),
    message('C', Buffer.from('SELECT 1\0')),
    message('Z', Buffer.from('I')),
  ])
}

function message(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32BE(value)
  return buffer
}

function int16(value: number): Buffer {
  const buffer = Buffer.alloc(2)
  buffer.writeInt16BE(value)
  return buffer
}

import type pg from 'pg'
import { destroyClient, wireOf } from './attempt.ts'

/** What takes the rows: the front of a chunk as long as it is CopyData messages; returns how many bytes that is. */
export interface CopyDataSink {
  updateMessages(chunk: Buffer): number
}

const HEADER_BYTES = 5
/** Whoever reads faster than the server writes gets crumbs, and each crumb costs as much as a full read (64 KiB). */
const CRUMB_BYTES = 32 << 10
const GATHER_MS = 1

/**
 * Runs a COPY TO STDOUT, and gives its rows to the sink as the server sends them, message headers and all: to make an object
 * of each row, as pg and pg-copy-streams do, takes longer than to hash it. All other messages go to pg, as ever.
 * Rejects with the server's error, or, on an abort, when the connection is destroyed.
 */
export async function copyOut(
  client: pg.Client,
  statement: string,
  sink: CopyDataSink,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted()
  const wire = wireOf(client)
  const [toPg, ...others] = wire.listeners('data') as ((chunk: Buffer) => void)[]
  if (toPg === undefined || others.length > 0) throw new Error('pg reads its connection in another way than it did')
  const isEncrypted = 'encrypted' in wire
  const filter = new MessageFilter(sink, (bytes) => toPg.call(wire, bytes))
  let timer: NodeJS.Timeout | undefined
  const onData = (chunk: Buffer) => {
    filter.take(chunk)
    // TLS comes in records of at most 16 KiB.
    if (isEncrypted || chunk.length >= CRUMB_BYTES) return
    wire.pause()
    timer = setTimeout(() => wire.resume(), GATHER_MS)
  }
  const abort = () => destroyClient(client)
  signal.addEventListener('abort', abort, { once: true })
  wire.off('data', toPg).on('data', onData)
  try {
    await client.query(statement)
  } finally {
    signal.removeEventListener('abort', abort)
    clearTimeout(timer)
    wire.off('data', onData).on('data', toPg)
    wire.resume()
  }
}

/** Tells CopyData messages from others in a stream of messages with any borders. */
export class MessageFilter {
  readonly #sink: CopyDataSink
  readonly #pass: (bytes: Buffer) => void
  #header = Buffer.alloc(0)
  /** Of a message of another kind. */
  #left = 0

  constructor(sink: CopyDataSink, pass: (bytes: Buffer) => void) {
    this.#sink = sink
    this.#pass = pass
  }

  take(chunk: Buffer): void {
    let rest = chunk
    while (rest.length > 0) {
      if (this.#left === 0 && this.#header.length === 0) rest = rest.subarray(this.#sink.updateMessages(rest))
      rest = this.#takeOther(rest)
    }
  }

  /** Passes on what there is of one message; returns what follows. */
  #takeOther(bytes: Buffer): Buffer {
    if (bytes.length === 0) return bytes
    if (this.#left > 0) {
      const payload = bytes.subarray(0, this.#left)
      this.#left -= payload.length
      this.#pass(payload)
      return bytes.subarray(payload.length)
    }
    const missing = HEADER_BYTES - this.#header.length
    this.#header = Buffer.concat([this.#header, bytes.subarray(0, missing)])
    if (this.#header.length === HEADER_BYTES) {
      const header = this.#header
      this.#header = Buffer.alloc(0)
      this.#left = header.readUInt32BE(1) - 4
      this.#pass(header)
    }
    return bytes.subarray(missing)
  }
}

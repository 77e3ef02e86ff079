import { createHash, type Hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { LifeboatError } from '../base/errors.ts'

/**
 * What a table's content comes to, whatever the order of its rows. Fingerprints of parts add up to that of the whole.
 * `rows` counts lines of COPY text, `bytes` is the length of the COPY text with its line ends and without the end marker,
 * `sum` is two 64-bit sums (modulo 2^64, big-endian, 32 lower-case hex digits) over the hashes of all lines.
 */
export interface Fingerprint {
  rows: number
  bytes: number
  sum: string
}

/** TypeScript knows WebAssembly from browsers only. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object) => { exports: unknown }
}

interface Kernel {
  memory: { buffer: ArrayBuffer }
  INPUT_BYTES: { value: number }
  STATE_BYTES: { value: number }
  input(): number
  state(): number
  update(length: number): void
  updateMessages(length: number): number
}

export const EMPTY_FINGERPRINT: Fingerprint = Object.freeze({ rows: 0, bytes: 0, sum: '0'.repeat(32) })

// One instance is enough, and has to be: an engine reserves gigabytes of address space per instance. It is no state: the
// state of a fingerprint is copied into it and out of it around each synchronous call.
const kernel = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(new URL('./kernel.wasm', import.meta.url))))
  .exports as unknown as Kernel
const kernelBytes = new Uint8Array(kernel.memory.buffer)
const INPUT = kernel.input()
const INPUT_BYTES = kernel.INPUT_BYTES.value
const STATE = kernel.state()
const STATE_BYTES = kernel.STATE_BYTES.value
/** Which of the 64-bit words of the state counts the bytes that came in messages. */
const COPIED = 12

/**
 * Computes the fingerprint of COPY text that comes in chunks with any borders, in constant memory however long a line is.
 * A line is what ends in LF: PostgreSQL escapes LF and CR inside of values, and no client encoding has 0x0A as a later
 * byte of a character (Documentation: COPY, "Text Format").
 */
export class LineFingerprinter {
  readonly #state = new Uint8Array(STATE_BYTES)
  #bytes = 0

  /** Length of the COPY text so far. */
  get bytes(): number {
    return this.#bytes + Number(new BigUint64Array(this.#state.buffer)[COPIED] ?? 0n)
  }

  update(chunk: Uint8Array): void {
    this.#bytes += chunk.length
    feed(this.#state, chunk, (length) => {
      kernel.update(length)
      return length
    })
  }

  /**
   * Takes COPY text as the server sends it, in CopyData messages that begin and end anywhere in the chunks. Returns how many
   * bytes of the chunk it took: all, or those before a message of another kind, which begins there. Documentation:
   * Frontend/Backend Protocol, "Message Formats".
   */
  updateMessages(chunk: Uint8Array): number {
    return feed(this.#state, chunk, kernel.updateMessages)
  }

  /** Rejects, as LifeboatError `cut-row`, text that ends in the middle of a line. May be called between updates. */
  digest(): Fingerprint {
    const [rows = 0n, sum1 = 0n, sum2 = 0n, unfinished = 0n] = new BigUint64Array(this.#state.buffer)
    if (unfinished !== 0n) {
      throw new LifeboatError(
        'cut-row',
        'The table data ends in the middle of a row.',
        'Treat this backup set as damaged: dump again, or restore from another one.',
      )
    }
    return { rows: Number(rows), bytes: this.bytes, sum: hex(sum1) + hex(sum2) }
  }
}

/** Gives a chunk to the kernel, as far as `take` takes it. No method: the bundler does not find the asset of a module with private ones. */
function feed(state: Uint8Array, chunk: Uint8Array, take: (length: number) => number): number {
  let taken = 0
  kernelBytes.set(state, STATE)
  while (taken < chunk.length) {
    const piece = chunk.subarray(taken, taken + INPUT_BYTES)
    kernelBytes.set(piece, INPUT)
    const length = take(piece.length)
    taken += length
    if (length < piece.length) break
  }
  state.set(kernelBytes.subarray(STATE, STATE + STATE_BYTES))
  return taken
}

/** The fingerprint of all of them together, for instance of a table from those of its segments. */
export function addFingerprints(...fingerprints: readonly Fingerprint[]): Fingerprint {
  let rows = 0
  let bytes = 0
  let sum1 = 0n
  let sum2 = 0n
  for (const fingerprint of fingerprints) {
    rows += fingerprint.rows
    bytes += fingerprint.bytes
    sum1 += BigInt(`0x${fingerprint.sum.slice(0, 16)}`)
    sum2 += BigInt(`0x${fingerprint.sum.slice(16)}`)
  }
  return { rows, bytes, sum: hex(sum1) + hex(sum2) }
}

export function sameFingerprint(a: Fingerprint, b: Fingerprint): boolean {
  return a.rows === b.rows && a.bytes === b.bytes && a.sum === b.sum
}

/**
 * The fingerprint of one large object, whose content comes in pieces: one row, the length of its content, and as sum the
 * first 16 bytes of the SHA-256 of `<oid>:<content>`, so that the fingerprints of many add up just as those of tables do.
 */
export class LargeObjectFingerprinter {
  readonly #hash: Hash
  #bytes = 0

  constructor(oid: number | bigint) {
    this.#hash = createHash('sha256').update(`${oid}:`)
  }

  update(piece: Uint8Array): this {
    this.#hash.update(piece)
    this.#bytes += piece.length
    return this
  }

  /** To be asked for once, at the end. */
  digest(): Fingerprint {
    return { rows: 1, bytes: this.#bytes, sum: this.#hash.digest('hex').slice(0, 32) }
  }
}

/** The same of a content that is a stream. */
export async function largeObjectFingerprint({
  oid,
  content,
}: {
  oid: number | bigint
  content: AsyncIterable<Uint8Array>
}): Promise<Fingerprint> {
  const object = new LargeObjectFingerprinter(oid)
  for await (const piece of content) object.update(piece)
  return object.digest()
}

function hex(sum: bigint): string {
  return BigInt.asUintN(64, sum).toString(16).padStart(16, '0')
}

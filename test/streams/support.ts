import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'

export async function* chunksOf(bytes: Buffer, ...sizes: number[]): AsyncGenerator<Buffer, void, void> {
  let at = 0
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? bytes.length
    yield bytes.subarray(at, at + size)
    at += size
  }
}

/** A message of PostgreSQL's protocol: its kind (`d`: CopyData), its length, its payload. */
export function message(kind: number | string, payload: Buffer): Buffer {
  const header = Buffer.alloc(5, kind)
  header.writeUInt32BE(payload.length + 4, 1)
  return Buffer.concat([header, payload])
}

/** The same chunks, each in the place of the one before, as who reads a file into one buffer lends them. */
export async function* lent(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  let place: Buffer = Buffer.alloc(0)
  for await (const chunk of source) {
    if (place.length < chunk.length) place = Buffer.alloc(chunk.length)
    yield place.subarray(0, chunk.copy(place))
  }
}

export async function collect(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of source) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

/** The code of the LifeboatError that reading to the end ends with, `none` if it does not fail. */
export async function failureOf(source: AsyncIterable<unknown>): Promise<unknown> {
  try {
    for await (const _ of source);
    return 'none'
  } catch (error) {
    return (error as { code?: unknown }).code ?? error
  }
}

/** Sizes of chunks, tiny and large ones mixed, used over and over; never only zeros. */
export const chunkSizes = fc
  .array(fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 200_000 })), {
    minLength: 1,
    maxLength: 12,
  })
  .filter((sizes) => sizes.some((size) => size > 0))

/** Bytes that look like nothing in particular, and are the same in every run. */
export function noise(bytes: number, seed = 1): Buffer {
  const out = Buffer.alloc(bytes)
  let state = seed
  for (let at = 0; at < bytes; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    out[at] = state >>> 16
  }
  return out
}

/** What a command makes of its standard input. Throws if the command is missing or fails. */
export function runTool(command: string, args: readonly string[], input: Buffer): Buffer {
  const { status, stdout, stderr, error } = spawnSync(command, args, { input, maxBuffer: 2 ** 28, timeout: 120_000 })
  if (error) throw error
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}`)
  return stdout
}

export async function inDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'lifeboat-streams-'))
  try {
    return await work(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

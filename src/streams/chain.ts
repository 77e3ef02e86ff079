import type { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/**
 * The source's bytes after they went through all the stages (at least one), with backpressure from end to end.
 * An error anywhere destroys every stage, ends the source and is what the reader gets; so does stopping to read. An abort
 * ends it at once with the signal's reason. Nothing is read from the source before somebody reads here.
 */
export async function* runChain(
  source: AsyncIterable<Buffer>,
  stages: readonly Transform[],
  signal?: AbortSignal,
): AsyncGenerator<Buffer, void, void> {
  const last = stages.at(-1)
  if (last === undefined) throw new Error('a chain needs a stage')
  // A stage that fails after everything is over, as zlib's do at times, must not bring the process down.
  for (const stage of stages) stage.on('error', () => {})
  // Whoever reads the last stage learns of every error; the pipeline's own promise may settle before the last bytes came.
  // Its types know streams only; it takes any async iterable as its source.
  const first = source as unknown as NodeJS.ReadableStream
  pipeline([first, ...stages], { signal }).catch(() => {})
  try {
    for await (const chunk of last) yield chunk
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    for (const stage of stages) stage.destroy()
  }
}

import { addAbortSignal, Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/**
 * The source's bytes after they went through all the stages (at least one), with backpressure from end to end.
 * An error anywhere destroys every stage, ends the source and is what the reader gets; so does stopping to read. An abort
 * ends it at once with the signal's reason. Nothing is read from the source before somebody reads here. `see` is shown
 * each chunk of the source.
 */
export async function* runChain(
  source: AsyncIterable<Buffer>,
  stages: readonly Transform[],
  signal?: AbortSignal,
  see: (chunk: Buffer) => void = () => {},
): AsyncGenerator<Buffer, void, void> {
  const last = stages.at(-1)
  if (last === undefined) throw new Error('a chain needs a stage')
  // A stage that fails after everything is over, as zlib's do at times, must not bring the process down.
  for (const stage of stages) stage.on('error', () => {})
  if (signal) addAbortSignal(signal, last)
  const [first = last] = stages
  if (stages.length > 1) pipeline(stages).catch(() => {})
  const endSource = feed(source, first, see)
  try {
    for await (const chunk of last) yield chunk
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    endSource()
    for (const stage of stages) stage.destroy()
  }
}

/**
 * Gives the source's chunks to a stage, the next one when the stage has done with the one before: a chunk is only lent.
 * Ends the source when the stage is closed, also while the source is silent; so does what is returned.
 */
function feed(source: AsyncIterable<Buffer>, stage: Transform, see: (chunk: Buffer) => void): () => void {
  const iterator = source[Symbol.asyncIterator]()
  const fail = (error: Error) => stage.destroy(error)
  const pull = () => {
    if (stage.destroyed) return
    iterator.next().then(({ value, done }) => {
      if (stage.destroyed) return
      if (done) {
        stage.end()
        return
      }
      see(value)
      stage.write(value, (error) => (error ? fail(error) : pull()))
    }, fail)
  }
  const end = () => {
    if (source instanceof Readable) source.destroy()
    // Where it waits for something, this takes effect when that comes.
    else void iterator.return?.().catch(() => undefined)
  }
  stage.once('close', end)
  pull()
  return end
}

import { type AgeIdentity, decryptAge, encryptAge } from './age.ts'
import { runChain } from './chain.ts'
import { gatherChunks } from './chunks.ts'
import { DigestMeter } from './digest.ts'
import { compressZstd, decompressZstd } from './zstd.ts'

/** Storage is not fed smaller chunks than this, the last one excepted. */
const MIN_CHUNK_BYTES = 64 * 1024

/** How parts are stored: zstd of that level (1 to 19), and age on top where there are recipients. */
export interface Sealing {
  level: number
  recipients: readonly string[]
}

export interface SealResult {
  /** Length of what went in. */
  plainBytes: number
  /** Length and SHA-256 (lower-case hex) of what came out, as it is stored. */
  bytes: number
  sha256: string
}

export interface Sealed {
  stream: AsyncIterable<Buffer>
  /** Throws unless the stream was read to its end. */
  result(): SealResult
}

/** What the name of a stored part ends in. */
export function sealedSuffix(sealing: Sealing): '.zst' | '.zst.age' {
  return sealing.recipients.length > 0 ? '.zst.age' : '.zst'
}

/**
 * Compresses, encrypts and digests a stream on its way to storage, in constant memory. See `runChain` for errors and aborts:
 * the stream ends with the source's own error if that is what failed.
 */
export function seal(source: AsyncIterable<Buffer>, sealing: Sealing, signal?: AbortSignal): Sealed {
  let plainBytes = 0
  const stored = new DigestMeter()
  const encryption = sealing.recipients.length > 0 ? [encryptAge(sealing.recipients)] : []
  const stages = [compressZstd(sealing.level), ...encryption, stored]
  let complete = false
  async function* stream(): AsyncGenerator<Buffer, void, void> {
    const chain = runChain(source, stages, signal, (chunk) => {
      plainBytes += chunk.length
    })
    yield* gatherChunks(chain, MIN_CHUNK_BYTES)
    complete = true
  }
  return {
    stream: stream(),
    result: () => {
      if (!complete) throw new Error('the sealed stream was not read to its end')
      return { plainBytes, bytes: stored.bytes, sha256: stored.sha256() }
    },
  }
}

/**
 * Stored bytes back to plain ones, in constant memory. Ends with LifeboatError `wrong-identity`, `damaged-encryption` or
 * `damaged-compression`; what came before an error is not to be relied on. See `runChain` for errors and aborts.
 */
export function unseal(
  source: AsyncIterable<Buffer>,
  options: { encrypted: boolean; identities: readonly AgeIdentity[] },
  signal?: AbortSignal,
): AsyncIterable<Buffer> {
  const decryption = options.encrypted ? [decryptAge(options.identities)] : []
  return runChain(source, [...decryption, decompressZstd()], signal)
}

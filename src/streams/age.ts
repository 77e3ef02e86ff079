import { randomBytes } from 'node:crypto'
import { Transform, type TransformCallback } from 'node:stream'
import type { Decrypter } from 'age-encryption'
import { LifeboatError } from '../base/errors.ts'
import { BlockCutter, NONCE_BYTES, PayloadCipher, PLAIN_CHUNK_BYTES, payloadKey, TAG_BYTES } from './age-payload.ts'

// The age v1 format, https://age-encryption.org/v1. The header (the file key wrapped for each recipient) is the library's
// business. The payload is ours: the library's own cipher, in JavaScript, is some ten times slower than node:crypto.
// Loaded when it is needed: with its curves it is a quarter of a bundle, which every run would have to parse.

const INTRODUCTION = Buffer.from('age-encryption.org/v1\n')
const HEADER_END = '\n--- '
/** More than 500 recipients' worth. */
const MAX_HEADER_BYTES = 64 * 1024
const LINE_FEED = 0x0a

/** A private key. Never shows itself: not in JSON, not when it is logged. */
export class AgeIdentity {
  readonly #secret: string

  constructor(secret: string) {
    this.#secret = secret
  }

  addTo(decrypter: Decrypter): void {
    decrypter.addIdentity(this.#secret)
  }

  /** The lines that must be masked in logs. */
  get secret(): string {
    return this.#secret
  }
}

/**
 * The public keys in a text: `age1…`, one a line or separated by commas or blanks; `#` starts a comment; doubles are dropped.
 * Rejects with LifeboatError `bad-recipient`, which never repeats what might be a private key.
 */
export async function parseRecipients(text: string): Promise<string[]> {
  const recipients = new Set<string>()
  for (const word of wordsOf(text)) {
    if (/^AGE-SECRET-KEY-/i.test(word)) {
      throw badRecipient(
        'one of them is a private key (AGE-SECRET-KEY-…)',
        ' Replace that key pair: it was in the wrong place.',
      )
    }
    // Bech32 after "age1" never contains a "1": with one, it is a plugin's or a post-quantum recipient.
    if (!/^age1[02-9ac-hj-np-z]+$/.test(word)) throw badRecipient(`${shorten(word)} is not an age X25519 public key`)
    try {
      const { Encrypter } = await loadLibrary()
      new Encrypter().addRecipient(word)
    } catch {
      throw badRecipient(`${shorten(word)} has a typing error or is cut off (its checksum is wrong)`)
    }
    recipients.add(word)
  }
  return [...recipients]
}

/**
 * The private keys in a text, as `age-keygen` writes it: `AGE-SECRET-KEY-1…`, one a line; `#` starts a comment.
 * Rejects with LifeboatError `bad-identity`, which repeats nothing of the text.
 */
export async function parseIdentities(text: string): Promise<AgeIdentity[]> {
  const identities: AgeIdentity[] = []
  for (const word of new Set(wordsOf(text))) {
    if (word.startsWith('age1')) throw badIdentity('holds a public key (age1…) where the private key is needed')
    const identity = new AgeIdentity(word)
    try {
      if (!word.startsWith('AGE-SECRET-KEY-1')) throw new Error('not an X25519 identity')
      const { Decrypter } = await loadLibrary()
      identity.addTo(new Decrypter())
    } catch {
      throw badIdentity('is not an age X25519 private key, or is cut off')
    }
    identities.push(identity)
  }
  return identities
}

/** Encrypts for all the recipients (`age1…`, at least one) into an age v1 file that `age -d` reads. */
export function encryptAge(recipients: readonly string[]): Transform {
  if (recipients.length === 0) throw badRecipient('there are none')
  return new AgeEncrypt(recipients)
}

/**
 * Decrypts an age v1 file with whichever identity fits. Gives out only bytes that have been authenticated.
 * Ends with LifeboatError `wrong-identity` if none fits, `damaged-encryption` if the file is changed, cut, followed by more
 * bytes or not an age file.
 */
export function decryptAge(identities: readonly AgeIdentity[]): Transform {
  return new AgeDecrypt(identities)
}

class AgeEncrypt extends Transform {
  readonly #recipients: readonly string[]
  readonly #cutter = new BlockCutter(PLAIN_CHUNK_BYTES)
  #cipher: PayloadCipher | undefined

  constructor(recipients: readonly string[]) {
    super()
    this.#recipients = recipients
  }

  override _construct(done: (error?: Error | null) => void): void {
    this.#begin().then(
      () => done(),
      (cause: unknown) => done(badRecipient('one of them cannot be encrypted to', '', cause)),
    )
  }

  /** Has the library encrypt nothing at all, for the header, and learns the file key as one more recipient would. */
  async #begin(): Promise<void> {
    const { Encrypter } = await loadLibrary()
    const encrypter = new Encrypter()
    for (const recipient of this.#recipients) encrypter.addRecipient(recipient)
    let fileKey = new Uint8Array()
    encrypter.addRecipient({
      wrapFileKey: (key) => {
        fileKey = Uint8Array.from(key)
        return []
      },
    })
    const empty = await encrypter.encrypt(new Uint8Array())
    const nonce = randomBytes(NONCE_BYTES)
    this.push(Buffer.concat([empty.subarray(0, empty.length - NONCE_BYTES - TAG_BYTES), nonce]))
    this.#cipher = new PayloadCipher(payloadKey(fileKey, nonce))
  }

  #give(block: Buffer, last: boolean): void {
    if (this.#cipher === undefined) throw new Error('the header was not written yet')
    for (const part of this.#cipher.encrypt(block, last)) this.push(part)
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    for (const block of this.#cutter.cut(chunk)) this.#give(block, false)
    done()
  }

  override _flush(done: TransformCallback): void {
    this.#give(this.#cutter.rest(), true)
    done()
  }
}

class AgeDecrypt extends Transform {
  readonly #identities: readonly AgeIdentity[]
  readonly #cutter = new BlockCutter(PLAIN_CHUNK_BYTES + TAG_BYTES)
  readonly #head = Buffer.allocUnsafe(MAX_HEADER_BYTES)
  #headUsed = 0
  #cipher: PayloadCipher | undefined

  constructor(identities: readonly AgeIdentity[]) {
    super()
    this.#identities = identities
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#take(chunk).then(
      () => done(),
      (error: Error) => done(error),
    )
  }

  override _flush(done: TransformCallback): void {
    const rest = this.#cutter.rest()
    try {
      if (this.#cipher === undefined) throw damaged('it is cut off')
      // age allows an empty last chunk only where it is the only one.
      if (rest.length < TAG_BYTES || (rest.length === TAG_BYTES && this.#cipher.chunks > 0))
        throw damaged('it is cut off')
      this.#give(this.#cipher, rest, true)
      done()
    } catch (error) {
      done(error as Error)
    }
  }

  async #take(chunk: Buffer): Promise<void> {
    let payload = chunk
    if (this.#cipher === undefined) {
      const taken = chunk.copy(this.#head, this.#headUsed)
      this.#headUsed += taken
      const headBytes = await this.#readHead()
      if (this.#cipher === undefined) return
      payload = chunk.subarray(taken - (this.#headUsed - headBytes))
    }
    for (const block of this.#cutter.cut(payload)) this.#give(this.#cipher, block, false)
  }

  /** How many bytes header and nonce take, once they are there as a whole; 0 before that. */
  async #readHead(): Promise<number> {
    const head = this.#head.subarray(0, this.#headUsed)
    const introduction = head.subarray(0, INTRODUCTION.length)
    if (!introduction.equals(INTRODUCTION.subarray(0, introduction.length))) throw damaged('it is not an age v1 file')
    const macLine = head.indexOf(HEADER_END)
    const headerEnd = macLine < 0 ? -1 : head.indexOf(LINE_FEED, macLine + HEADER_END.length)
    const headBytes = headerEnd + 1 + NONCE_BYTES
    if (headerEnd < 0 || head.length < headBytes) {
      if (head.length === MAX_HEADER_BYTES) throw damaged('its header has no end')
      return 0
    }
    const fileKey = await unwrapFileKey(head.subarray(0, headerEnd + 1), this.#identities)
    this.#cipher = new PayloadCipher(payloadKey(fileKey, head.subarray(headerEnd + 1, headBytes)))
    return headBytes
  }

  #give(cipher: PayloadCipher, block: Buffer, last: boolean): void {
    let plain: Buffer
    try {
      plain = cipher.decrypt(block, last)
    } catch (cause) {
      throw damaged('its content was changed, or it is cut off', cause)
    }
    this.push(plain)
  }
}

async function unwrapFileKey(header: Buffer, identities: readonly AgeIdentity[]): Promise<Uint8Array> {
  const { Decrypter } = await loadLibrary()
  const decrypter = new Decrypter()
  for (const identity of identities) identity.addTo(decrypter)
  let noneFits = false
  // Asked last, so only if no identity before it has fitted.
  decrypter.addIdentity({
    unwrapFileKey: () => {
      noneFits = true
      return null
    },
  })
  try {
    return await decrypter.decryptHeader(header)
  } catch (cause) {
    if (!noneFits) throw damaged('its header was changed', cause)
    const tried = identities.length === 0 ? 'no private key was given' : 'none of the private keys given fits'
    throw new LifeboatError(
      'wrong-identity',
      `The data is encrypted and ${tried}.`,
      'Give the input `identity` the private key (AGE-SECRET-KEY-1…) of one of the recipients of this backup set.',
    )
  }
}

function loadLibrary(): Promise<typeof import('age-encryption')> {
  return import('age-encryption')
}

function* wordsOf(text: string): Generator<string, void, void> {
  for (const line of text.split(/\r?\n/)) {
    yield* (line.split('#', 1)[0] ?? '').split(/[\s,]+/).filter((word) => word !== '')
  }
}

function shorten(word: string): string {
  return JSON.stringify(word.length > 20 ? `${word.slice(0, 12)}…` : word)
}

function badRecipient(problem: string, also = '', cause?: unknown): LifeboatError {
  const remedy = `Give the input \`recipients\` public keys as \`age-keygen\` prints them (age1…), one a line.${also}`
  return new LifeboatError('bad-recipient', `recipients cannot be used: ${problem}`, remedy, { cause })
}

function badIdentity(problem: string): LifeboatError {
  return new LifeboatError(
    'bad-identity',
    `identity ${problem}`,
    'Give the input `identity` the key file that `age-keygen` wrote; its line AGE-SECRET-KEY-1… is what counts.',
  )
}

function damaged(problem: string, cause?: unknown): LifeboatError {
  return new LifeboatError(
    'damaged-encryption',
    `The encrypted data is damaged: ${problem}.`,
    'Use another backup set; action-verify with `mode: integrity` says which parts of this one are damaged.',
    { cause },
  )
}

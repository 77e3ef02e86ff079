import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { LifeboatError } from '../base/errors.ts'

/** An Ed25519 private key from PEM (`openssl genpkey -algorithm ed25519`). Error: `bad-signing-key`. */
export function parseSigningKey(pem: string): KeyObject {
  return parseKey(
    () => createPrivateKey(pem),
    'bad-signing-key',
    'signing-key is not an Ed25519 private key in PEM form',
  )
}

/** The Ed25519 public keys in a text of one or more PEM blocks. Error: `bad-verify-key`. */
export function parseVerifyKeys(pem: string): KeyObject[] {
  const blocks = pem.match(/-----BEGIN PUBLIC KEY-----[\s\S]*?-----END PUBLIC KEY-----/g) ?? [pem]
  return blocks.map((block) =>
    parseKey(() => createPublicKey(block), 'bad-verify-key', 'verify-key is not an Ed25519 public key in PEM form'),
  )
}

/** The public half: what verifies whatever the private key signs. */
export function publicKeyOf(signingKey: KeyObject): KeyObject {
  return createPublicKey(signingKey)
}

function parseKey(read: () => KeyObject, code: string, message: string): KeyObject {
  const remedy =
    'Make a pair with `openssl genpkey -algorithm ed25519 -out signing.pem` and `openssl pkey -in signing.pem -pubout -out verify.pem`; give the file’s whole text.'
  let key: KeyObject
  try {
    key = read()
  } catch {
    // The library's message may quote the key.
    throw new LifeboatError(code, message, remedy)
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new LifeboatError(code, message, remedy)
  return key
}

/** The raw 64-byte signature; `openssl pkeyutl -verify -pubin -inkey verify.pem -rawin -in FILE -sigfile FILE.sig` checks it. */
export function signDocument(document: Buffer, key: KeyObject): Buffer {
  return sign(null, document, key)
}

/** Whether any of the keys made the signature. */
export function isSignedBy(document: Buffer, signature: Buffer, keys: readonly KeyObject[]): boolean {
  return keys.some((key) => verify(null, document, key, signature))
}

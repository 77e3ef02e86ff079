import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  type Head,
  headSchema,
  type Manifest,
  parseDocument,
  serializeDocument,
} from '../../src/backup-set/documents.ts'
import { layout } from '../../src/backup-set/layout.ts'
import { signDocument } from '../../src/backup-set/signature.ts'
import { systemClock } from '../../src/base/ports.ts'
import { openDirectory } from '../../src/storage/directory.ts'
import type { Storage } from '../../src/storage/storage.ts'
import type { AgeIdentity } from '../../src/streams/age.ts'
import { PlainSet } from './plain-set.ts'

/** Who seals a changed set anew, as the signature shows: whoever has the key, or somebody who has not. */
export type Signer = 'ours' | 'nobody' | 'stranger' | 'stale'

export interface Resealing {
  /** Default: the newest set. */
  id?: string
  database?: string
  /** Default `ours`. `stale`: the signature stays as it was. */
  signer?: Signer
  /** Whether the contents (lengths, fingerprints, counts) are made to fit what is sealed. Default true. */
  fit?: boolean
}

export interface Access {
  identities: readonly AgeIdentity[]
  recipients: readonly string[]
  signingKey: KeyObject
}

/** A copy of the specimen's storage, to be damaged. */
export class Bench {
  readonly storage: Storage
  /** The ids of shop's sets. */
  readonly newest: string
  readonly older: string
  readonly crm: string
  readonly #directory: string
  readonly #access: Access

  private constructor(directory: string, access: Access, [newest, older, crm]: [string, string, string]) {
    this.#directory = directory
    this.#access = access
    this.storage = openDirectory({ directory, url: 'file:///backups' }, { clock: systemClock })
    this.newest = newest
    this.older = older
    this.crm = crm
  }

  static async open(directory: string, access: Access): Promise<Bench> {
    const ids = async (database: string) => {
      const names = await readdir(join(directory, layout.heads(database)))
      return names.map((name) => name.replace(/\.json$/, '')).sort()
    }
    const [older = '', newest = ''] = await ids('shop')
    const [crm = ''] = await ids('crm')
    return new Bench(directory, access, [newest, older, crm])
  }

  /** Where an object of shop's newest set is: `manifest.json`, `head`, or the path of a part. */
  file(name: string, id = this.newest, database = 'shop'): string {
    return join(this.#directory, name === 'head' ? layout.head(database, id) : layout.part(database, id, name))
  }

  /** Every object of the newest set. */
  async objects(): Promise<string[]> {
    const prefix = layout.set('shop', this.newest)
    const names = ['head']
    for await (const { key } of this.storage.list(prefix)) names.push(key.slice(prefix.length))
    return names.sort()
  }

  async alter(name: string, change: (bytes: Buffer) => Buffer): Promise<void> {
    const file = this.file(name)
    const bytes = await readFile(file)
    const changed = change(bytes)
    // Damage that changes nothing would be found by nobody.
    if (changed.equals(bytes)) throw new Error(`${name} was not altered`)
    await writeFile(file, changed)
  }

  async swap(one: string, other: string): Promise<void> {
    const [a, b, between] = [this.file(one), this.file(other), this.file(`${one}.between`)]
    await rename(a, between)
    await rename(b, a)
    await rename(between, b)
  }

  async add(name: string, bytes: Buffer): Promise<void> {
    await writeFile(this.file(name), bytes)
  }

  /** Puts another set's object in the place of the newest set's. */
  async takeFrom(id: string, name: string, database = 'shop'): Promise<void> {
    await cp(this.file(name, id, database), this.file(name))
  }

  remove(name: string): Promise<void> {
    return rm(this.file(name))
  }

  async discard(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true })
  }

  /** Copies a set, as it is, to another name; its head, too. */
  async copySet(from: { id: string; database?: string }, id: string): Promise<void> {
    const { database = 'shop' } = from
    await cp(dirname(this.file('manifest.json', from.id, database)), dirname(this.file('manifest.json', id)), {
      recursive: true,
    })
    await cp(this.file('head', from.id, database), this.file('head', id))
  }

  async removeSet(id: string): Promise<void> {
    await rm(dirname(this.file('manifest.json', id)), { recursive: true })
    await rm(this.file('head', id))
  }

  /** Opens a set, changes what is inside, and seals it so that everything fits but what `options` say. */
  async reseal(
    { id = this.newest, database = 'shop', signer, fit = true }: Resealing,
    change: (plain: PlainSet) => unknown,
  ): Promise<void> {
    const head = await this.#head(database, id)
    const plain = await PlainSet.read(this.storage, head, this.#access.identities)
    await change(plain)
    const parts = await plain.seal(this.#access.recipients, fit)
    await rm(dirname(this.file('manifest.json', id, database)), { recursive: true })
    await rm(this.file('head', id, database))
    for (const [path, bytes] of parts) {
      await this.storage.put(layout.part(plain.manifest.database, plain.manifest.id, path), bytes)
    }
    await this.#publish(plain.manifest, head, signer)
  }

  /** Edits the manifest alone, and makes head and signature as `signer` can. */
  async editManifest(signer: Signer, change: (manifest: Manifest) => unknown): Promise<void> {
    const head = await this.#head('shop', this.newest)
    const manifest = JSON.parse(await readFile(this.file('manifest.json'), 'utf8')) as Manifest
    change(manifest)
    await this.#publish(manifest, head, signer)
  }

  async #publish(manifest: Manifest, before: Head, signer: Signer = 'ours'): Promise<void> {
    const { database, id, takenAt, content, totals, dumpSeconds, history } = manifest
    const bytes = serializeDocument(manifest)
    const signature = await this.#sign(bytes, before, signer)
    await writeFile(await this.#madeFile(layout.manifest(database, id)), bytes)
    const signatureFile = await this.#madeFile(layout.signature(database, id))
    if (signature) await writeFile(signatureFile, signature)
    else await rm(signatureFile, { force: true })
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const stored = { manifest: { bytes: bytes.length, sha256 }, signature: signature ? {} : null }
    const told = { database, id, takenAt, content, totals, dumpSeconds, ...(history && { history }) }
    const head: Head = { ...before, ...told, ...stored }
    await writeFile(await this.#madeFile(layout.head(database, id)), serializeDocument(head))
  }

  async #sign(manifest: Buffer, before: Head, signer: Signer): Promise<Buffer | undefined> {
    if (signer === 'nobody') return undefined
    if (signer === 'stale') return this.#stale.get(before.id)
    const { signingKey } = this.#access
    return signDocument(manifest, signer === 'ours' ? signingKey : generateKeyPairSync('ed25519').privateKey)
  }

  /** Signatures as they were when a set was first read. */
  readonly #stale = new Map<string, Buffer>()

  async #head(database: string, id: string): Promise<Head> {
    const signature = await readFile(this.file('manifest.json.sig', id, database))
    if (!this.#stale.has(id)) this.#stale.set(id, signature)
    return parseDocument(headSchema, await readFile(this.file('head', id, database)), id)
  }

  async #madeFile(key: string): Promise<string> {
    const file = join(this.#directory, key)
    await mkdir(dirname(file), { recursive: true })
    return file
  }
}

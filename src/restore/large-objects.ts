import type pg from 'pg'
import { type Meter, silentMeter } from '../base/progress.ts'
import {
  addFingerprints,
  EMPTY_FINGERPRINT,
  type Fingerprint,
  LargeObjectFingerprinter,
} from '../streams/fingerprint.ts'

const READ_BYTES = 512 << 10
const OBJECTS_PER_QUERY = 32
const WRITE_BYTES = 4 << 20

/** Where the contents of large objects go. */
export interface LargeObjectSink {
  /** Writes `content` into the object from `offset` on. The object exists. */
  write(client: pg.Client, oid: number, offset: number, content: AsyncIterable<Buffer>): Promise<void>
  /** Writes the whole contents of objects that exist, of `LARGE_OBJECT_BATCH_BYTES` or so together: all of them, or none. */
  writeAll(client: pg.Client, objects: readonly LargeObject[]): Promise<void>
}

/** A whole large object, which is small. */
export interface LargeObject {
  oid: number
  content: Buffer
}

/** Enough for a statement of its own to be no cost. */
export const LARGE_OBJECT_BATCH_BYTES = 1 << 20

/** The OID in the name that pg_dump gives the file of a large object; undefined for other files. */
export function readOid(fileName: string): number | undefined {
  const match = /^blob_(\d+)\.dat$/.exec(fileName)
  return match ? Number(match[1]) : undefined
}

export const serverLargeObjects: LargeObjectSink = {
  async write(client, oid, offset, content) {
    let position = offset
    const flush = async (bytes: Buffer) => {
      await client.query('select pg_catalog.lo_put($1, $2, $3)', [oid, position, bytes])
      position += bytes.length
    }
    let held: Buffer[] = []
    let size = 0
    for await (const chunk of content) {
      held.push(chunk)
      size += chunk.length
      if (size < WRITE_BYTES) continue
      await flush(Buffer.concat(held))
      held = []
      size = 0
    }
    if (size > 0) await flush(Buffer.concat(held))
  },

  /** One statement, and one parameter with all contents one after the other: an array of them would go as text. */
  async writeAll(client, objects) {
    const lengths = objects.map(({ content }) => content.length)
    const starts: number[] = []
    let next = 1
    for (const length of lengths) {
      starts.push(next)
      next += length
    }
    await client.query(
      `select pg_catalog.lo_put(oid, 0, pg_catalog.substr($4::bytea, start, length))
      from unnest($1::oid[], $2::int[], $3::int[]) as object (oid, start, length)`,
      [objects.map(({ oid }) => oid), starts, lengths, Buffer.concat(objects.map(({ content }) => content))],
    )
  },
}

/** Count and fingerprint of all large objects of a database, read back from the server; `meter` is told of their bytes. */
export async function readLargeObjects(
  client: pg.Client,
  signal: AbortSignal,
  meter: Meter = silentMeter,
): Promise<{ count: number; fingerprint: Fingerprint }> {
  const { rows } = await client.query<{ oid: string }>('select oid::text from pg_largeobject_metadata order by 1')
  const oids = rows.map(({ oid }) => Number(oid))
  let fingerprint = EMPTY_FINGERPRINT
  for (let start = 0; start < oids.length; start += OBJECTS_PER_QUERY) {
    signal.throwIfAborted()
    const heads = await readHeads(client, oids.slice(start, start + OBJECTS_PER_QUERY))
    for (const { oid, head } of heads) {
      fingerprint = addFingerprints(fingerprint, await fingerprintOf(client, oid, head, signal, meter))
    }
  }
  return { count: oids.length, fingerprint }
}

async function readHeads(client: pg.Client, oids: number[]): Promise<{ oid: number; head: Buffer }[]> {
  const { rows } = await client.query<{ oid: string; head: Buffer }>(
    'select oid::text, pg_catalog.lo_get(oid, 0, $2) as head from unnest($1::oid[]) as oid',
    [oids, READ_BYTES],
  )
  return rows.map(({ oid, head }) => ({ oid: Number(oid), head }))
}

async function fingerprintOf(
  client: pg.Client,
  oid: number,
  head: Buffer,
  signal: AbortSignal,
  meter: Meter,
): Promise<Fingerprint> {
  const object = new LargeObjectFingerprinter(oid).update(head)
  let bytes = head.length
  meter.add(bytes)
  for (let last = head; last.length === READ_BYTES; ) {
    signal.throwIfAborted()
    const { rows } = await client.query<{ piece: Buffer }>('select pg_catalog.lo_get($1, $2, $3) as piece', [
      oid,
      bytes,
      READ_BYTES,
    ])
    last = rows[0]?.piece ?? Buffer.alloc(0)
    object.update(last)
    bytes += last.length
    meter.add(last.length)
  }
  return object.digest()
}

import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Evidence, type Head, type Manifest, serializeDocument } from '../../src/backup-set/documents.ts'
import { layout, newSetId } from '../../src/backup-set/layout.ts'
import { systemClock } from '../../src/base/ports.ts'
import { openDirectory } from '../../src/storage/directory.ts'
import type { Storage } from '../../src/storage/storage.ts'

export const NOW = new Date('2026-11-22T12:00:00Z')

export function hoursAgo(hours: number): Date {
  return new Date(NOW.getTime() - hours * 3_600_000)
}

/** Runs `work` with a storage in a directory of its own. */
export async function withStorage<T>(work: (storage: Storage, directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'lifeboat-sets-'))
  try {
    return await work(openDirectory({ directory, url: 'file:///backups' }, { clock: systemClock }), directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

export function manifestOf(takenAt: Date, content: Manifest['content'] = 'whole'): Manifest {
  return {
    kind: 'pg-lifeboat manifest',
    format: 1,
    database: 'shop',
    id: newSetId(takenAt, 'nightly'),
    takenAt: takenAt.toISOString(),
    content,
    source: {
      systemIdentifier: '7412345678901234567',
      database: 'shop',
      serverVersion: '17.12',
      serverMajor: 17,
      standby: false,
      lsn: '0/1A2B3C4',
    },
    tools: { pgDump: '17.12', lifeboat: '0.1.0' },
    sealing: { compression: 'zstd', level: 1, recipients: [] },
    parts: [],
    totals: { tables: 3, rows: 40, largeObjects: 0, plainBytes: 1_000, storedBytes: 400, parts: 0 },
    dumpSeconds: 1.5,
  }
}

export function headOf(manifest: Manifest, signature: Head['signature'] = null): Head {
  const { database, id, takenAt, content, source, totals, dumpSeconds } = manifest
  const { systemIdentifier, database: dumped } = source
  const bytes = serializeDocument(manifest)
  const digest = { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
  return {
    kind: 'pg-lifeboat head',
    format: 1,
    database,
    id,
    takenAt,
    content,
    source: { systemIdentifier, database: dumped },
    totals,
    manifest: digest,
    signature,
    dumpSeconds,
  }
}

/** Stores manifest and head of a set without parts; returns its head. */
export async function storeSet(storage: Storage, takenAt: Date, content?: Manifest['content']): Promise<Head> {
  const manifest = manifestOf(takenAt, content)
  const head = headOf(manifest)
  await storage.put(layout.manifest('shop', manifest.id), serializeDocument(manifest))
  await storage.put(layout.head('shop', manifest.id), serializeDocument(head))
  return head
}

/** Evidence about the set of that head; what a test cares for is in `more`. */
export function evidenceOf(
  head: Head,
  test: Evidence['test'],
  verdict: Evidence['verdict'],
  at: Date,
  more: Partial<Evidence> = {},
): Evidence {
  const { id, database } = head
  const manifestSha256 = head.manifest.sha256
  const document = { kind: 'pg-lifeboat evidence', format: 1, seconds: 1 } as const
  return { ...document, checks: [], database, id, test, verdict, at: at.toISOString(), manifestSha256, ...more }
}

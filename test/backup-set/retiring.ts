import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Head, type Manifest, serializeDocument } from '../../src/backup-set/documents.ts'
import { writeEvidence } from '../../src/backup-set/evidence.ts'
import { historyOf } from '../../src/backup-set/evidence-history.ts'
import { readCatalog } from '../../src/backup-set/find.ts'
import { layout } from '../../src/backup-set/layout.ts'
import type { RetentionPolicy } from '../../src/backup-set/retention.ts'
import { type Retirement, type RetireOptions, retireSets } from '../../src/backup-set/retire.ts'
import { signDocument } from '../../src/backup-set/signature.ts'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import { silentMeter } from '../../src/base/progress.ts'
import { openDirectory } from '../../src/storage/directory.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { headOf, manifestOf } from './support.ts'

export const LAST_ONE: RetentionPolicy = { keepLast: 1, keepDaily: 0, keepWeekly: 0, keepMonthly: 0, keepPartial: 1 }

/** Runs `work` with a storage in a directory that lies in memory, where there is such a place: it syncs every write. */
export async function withQuickStorage<T>(work: (storage: Storage) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'lifeboat-sets-'))
  try {
    return await work(openDirectory({ directory, url: 'file:///backups' }, { clock: systemClock }))
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

export function keyPair(): { privateKey: KeyObject; publicKey: KeyObject } {
  return generateKeyPairSync('ed25519')
}

export interface Written {
  content?: Manifest['content']
  signedBy?: KeyObject
  /** Locks every object. */
  lockUntil?: Date
  /** Whether the head says so, as it does where `lock-days` was given. */
  isToldOfLock?: boolean
  parts?: number
}

/** Writes a whole set with parts, as a dump does; its head. */
export async function writeSet(storage: Storage, takenAt: Date, options: Written = {}): Promise<Head> {
  const { content = 'whole', signedBy, lockUntil, isToldOfLock = true, parts = 2 } = options
  const lock = lockUntil === undefined ? {} : { lockUntil }
  const told = lockUntil && isToldOfLock ? { lockUntil: lockUntil.toISOString() } : {}
  const manifest: Manifest = { ...manifestOf(takenAt, content), ...told }
  const { id } = manifest
  const bytes = serializeDocument(manifest)
  for (let index = 0; index < parts; index += 1) {
    await storage.put(layout.part('shop', id, `database/${index}.dat.zst`), Buffer.alloc(100), lock)
  }
  await storage.put(layout.manifest('shop', id), bytes, lock)
  if (signedBy) await storage.put(layout.signature('shop', id), signDocument(bytes, signedBy), lock)
  const head: Head = { ...headOf(manifest, signedBy ? {} : null), ...told }
  await storage.put(layout.head('shop', id), serializeDocument(head), lock)
  return head
}

/** Records that a restore test of the set ended like this. */
export async function testRestore(
  storage: Storage,
  { id, manifest }: Head,
  verdict: 'passed' | 'failed',
  at: Date,
): Promise<void> {
  await writeEvidence(storage, {
    kind: 'pg-lifeboat evidence',
    format: 1,
    database: 'shop',
    id,
    test: 'restore-test',
    verdict,
    at: at.toISOString(),
    seconds: 1,
    manifestSha256: manifest.sha256,
    checks: [],
  })
}

/** Runs retention on the database `shop`. */
export async function retire(
  storage: Storage,
  options: Partial<RetireOptions> = {},
): Promise<Retirement & { lines: string[] }> {
  const log = memoryLog()
  const retirement = await retireSets({
    storage,
    database: 'shop',
    isPlan: false,
    policy: LAST_ONE,
    readSets: async () => {
      const { sets, evidence } = await readCatalog(storage, 'shop', [])
      const healthy = evidence.withoutFailures()
      return {
        sets,
        statesOf: async (id) => ({ state: await evidence.stateOf(id), stateIfHealthy: await healthy.stateOf(id) }),
        isHistory: historyOf(evidence.names),
      }
    },
    verifyKeys: [],
    clock: systemClock,
    log,
    meter: silentMeter,
    signal: new AbortController().signal,
    ...options,
  })
  return { ...retirement, lines: log.lines }
}

/** `id: outcome`, newest first. */
export function outcomes({ sets }: Retirement): string[] {
  return sets.map(({ id, outcome }) => `${id}: ${outcome}`)
}

/** Every key, in order. */
export async function keysOf(storage: Storage, prefix = ''): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of storage.list(prefix)) keys.push(key)
  return keys
}

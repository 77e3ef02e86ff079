import { createHash, type KeyObject } from 'node:crypto'
import { type Contents, type Head, type Manifest, serializeDocument } from '../backup-set/documents.ts'
import { layout } from '../backup-set/layout.ts'
import { CONTENTS_NAME } from '../backup-set/open-set.ts'
import {
  PREPARE_NAME,
  RESTORE_GUIDE_NAME,
  type RestoreGuideFacts,
  renderRestoreGuide,
} from '../backup-set/restore-guide.ts'
import { signDocument } from '../backup-set/signature.ts'
import { buildPrepareArchive } from './prepare-archive.ts'
import { type SetWriter, versionOf } from './set-writer.ts'

export interface Publication {
  contents: Contents
  /** Without what publishing itself adds. */
  manifest: Omit<Manifest, 'parts' | 'totals' | 'history'>
  tables: number
  rows: number
  /** Of the archive. */
  attachesInLevels: boolean
  /** Bytes of what pg_dump wrote. */
  plainBytes: number
  signingKey?: KeyObject
  /** The whole sets before this one. */
  history?: Head['history']
  /** Of a partial set: what it holds of the tables that it has, and schemas that it takes for granted. */
  partial?: { holds: RestoreGuideFacts['holds']; schemas: readonly string[] }
}

/**
 * Ends a set: contents, the archive that RESTORE.md begins with, RESTORE.md, manifest, signature, and last the head,
 * from which moment on the set exists. Whatever fails before leaves no set.
 */
export async function publishSet(writer: SetWriter, publication: Publication): Promise<Head> {
  const { contents, signingKey, history = [] } = publication
  await writer.store({ path: CONTENTS_NAME, content: single(serializeDocument(contents)) })
  await writer.store({
    path: PREPARE_NAME,
    content: single(buildPrepareArchive(contents, publication.partial?.schemas)),
  })
  await writer.storePlain(RESTORE_GUIDE_NAME, Buffer.from(guideFor(writer, publication)))
  const manifest: Manifest = {
    ...publication.manifest,
    parts: [...writer.parts].sort((a, b) => (a.path < b.path ? -1 : 1)),
    totals: totalsOf(writer, publication),
    ...(history.length > 0 && { history }),
  }
  const bytes = serializeDocument(manifest)
  const { database, id } = manifest
  const storedManifest = await writer.storeDocument(layout.manifest(database, id), bytes)
  const signature =
    signingKey === undefined
      ? null
      : versionOf(await writer.storeDocument(layout.signature(database, id), signDocument(bytes, signingKey)))
  const head: Head = {
    kind: 'pg-lifeboat head',
    format: 1,
    database,
    id,
    takenAt: manifest.takenAt,
    content: manifest.content,
    source: { systemIdentifier: manifest.source.systemIdentifier, database: manifest.source.database },
    totals: manifest.totals,
    manifest: {
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      ...versionOf(storedManifest),
    },
    signature,
    dumpSeconds: manifest.dumpSeconds,
    ...(manifest.clockSkewSeconds === undefined ? {} : { clockSkewSeconds: manifest.clockSkewSeconds }),
    ...(manifest.lockUntil === undefined ? {} : { lockUntil: manifest.lockUntil }),
    ...(history.length > 0 && { history }),
  }
  await writer.storeDocument(layout.head(database, id), serializeDocument(head))
  return head
}

function totalsOf(writer: SetWriter, { contents, tables, rows, plainBytes }: Publication): Manifest['totals'] {
  return {
    tables,
    rows,
    largeObjects: contents.largeObjects.count,
    plainBytes,
    storedBytes: writer.parts.reduce((sum, part) => sum + part.bytes, 0),
    parts: writer.parts.length,
  }
}

function guideFor(writer: SetWriter, publication: Publication): string {
  const { manifest, contents, signingKey } = publication
  const { encoding, localeProvider, collate, ctype, locale, icuRules } = contents.databaseFacts
  return renderRestoreGuide({
    database: manifest.database,
    id: manifest.id,
    takenAt: manifest.takenAt,
    isFiltered: manifest.content === 'filtered',
    holds: publication.partial?.holds ?? 'all',
    serverMajor: manifest.source.serverMajor,
    encrypted: manifest.sealing.recipients.length > 0,
    signed: signingKey !== undefined,
    ...totalsOf(writer, publication),
    attachesInLevels: publication.attachesInLevels,
    databaseParts: writer.parts.filter(({ path }) => path.startsWith('database/')).length,
    encoding,
    localeProvider,
    collate,
    ctype,
    locale,
    icuRules,
    pins: contents.pins,
  })
}

async function* single(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

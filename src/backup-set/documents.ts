import { z } from 'zod'
import { LifeboatError } from '../base/errors.ts'

/**
 * The documents of a backup set, as data. `docs/schemas/` holds the JSON Schemas made from these. A reader refuses a
 * format number that it does not know; unknown keys of a known format are kept out of the way, not refused.
 */
const bytes = z.int().nonnegative()
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const fingerprint = z
  .object({ rows: bytes, bytes, sum: z.string().regex(/^[0-9a-f]{32}$/) })
  .describe('rows, bytes of COPY text, and the sum of a 128-bit hash per row, as 32 hexadecimal digits')

const totals = z.object({
  tables: bytes,
  rows: bytes,
  largeObjects: bytes,
  plainBytes: bytes.describe('bytes of what pg_dump wrote'),
  storedBytes: bytes.describe('bytes of all parts as stored'),
  parts: bytes,
})

const content = z.enum(['whole', 'schema', 'data', 'filtered'])

const systemIdentifier = z.string().nullable().describe('of the cluster; null where the role may not read it')
const setSource = z.object({ systemIdentifier, database: z.string() })
const clockSkewSeconds = z
  .number()
  .describe("how far the database server's clock was ahead of that of the runner; negative: behind")

const part = z.object({
  path: z.string().describe("relative to the set's folder"),
  bytes: bytes.describe('as stored'),
  sha256: sha256.describe('of the stored bytes'),
  plainBytes: bytes.describe('before compression and encryption'),
  versionId: z.string().optional(),
})

/** How many earlier sets, or rehearsals, a document tells of. */
export const HISTORY_LENGTH = 30

const pastSet = z.object({
  id: z.string(),
  plainBytes: bytes,
  storedBytes: bytes,
  rows: bytes,
  tables: bytes.optional(),
  largeObjects: bytes.optional(),
  source: setSource.optional(),
  dumpSeconds: z.number(),
})

const pastRehearsal = z.object({
  at: z.iso.datetime(),
  id: z.string().describe('of the set that was restored'),
  rtoSeconds: z.number(),
  restoreSeconds: z.number().optional(),
  plainBytes: bytes.optional(),
})

/** It is there to be looked at: one that cannot be read is none, and no damage. */
function history<T extends z.ZodType>(entry: T, what: string) {
  return z.array(entry).max(HISTORY_LENGTH).optional().catch(undefined).describe(`${what}, oldest first`)
}

const setHistory = history(pastSet, 'the whole sets before this one, of a whole set')

export const manifestSchema = z.object({
  kind: z.literal('pg-lifeboat manifest'),
  format: z.literal(1),
  database: z.string(),
  id: z.string(),
  takenAt: z.iso.datetime().describe('when the snapshot was taken, by the database server’s clock'),
  content,
  source: z.object({
    systemIdentifier,
    database: z.string(),
    serverVersion: z.string(),
    serverMajor: z.int(),
    standby: z.boolean(),
    lsn: z.string().nullable(),
  }),
  tools: z.object({ pgDump: z.string(), lifeboat: z.string() }),
  sealing: z.object({ compression: z.literal('zstd'), level: z.int(), recipients: z.array(z.string()) }),
  parts: z.array(part),
  totals,
  dumpSeconds: z.number(),
  clockSkewSeconds: clockSkewSeconds.optional(),
  lockUntil: z.iso.datetime().optional(),
  history: setHistory,
})

export const headSchema = z.object({
  kind: z.literal('pg-lifeboat head'),
  format: z.literal(1),
  database: z.string(),
  id: z.string(),
  takenAt: z.iso.datetime(),
  content,
  source: setSource.optional(),
  totals,
  manifest: z.object({ bytes, sha256, versionId: z.string().optional() }),
  signature: z.object({ versionId: z.string().optional() }).nullable().describe('null: the set is not signed'),
  dumpSeconds: z.number(),
  clockSkewSeconds: clockSkewSeconds.optional(),
  lockUntil: z.iso.datetime().optional(),
  history: setHistory,
})

const segment = z.object({ path: z.string(), plainBytes: bytes, fingerprint: fingerprint.optional() })

const file = z.object({
  name: z.string().describe('as pg_dump named it'),
  plainBytes: bytes,
  segments: z.array(segment).optional().describe('parts that joined give the file; absent for a file in a bundle'),
  bundle: z.string().optional().describe('path of the part that holds the file as a tar member'),
})

const dumpedTable = z.object({
  dumpId: z.int(),
  schema: z.string(),
  name: z.string(),
  file: z.string(),
  loadsInto: z
    .string()
    .describe('the table that its COPY statement names, as quoted there; differs for partitions dumped via the root'),
  fingerprint,
})

export const contentsSchema = z.object({
  kind: z.literal('pg-lifeboat contents'),
  format: z.literal(1),
  database: z.string(),
  id: z.string(),
  files: z.array(file),
  tables: z.array(dumpedTable),
  largeObjects: z.object({ count: bytes, fingerprint }),
  excluded: z.array(z.object({ schema: z.string(), name: z.string(), reason: z.string() })),
  pins: z.array(z.tuple([z.string(), z.string()])).describe('session settings under which rows are text'),
  databaseFacts: z.object({
    encoding: z.string(),
    localeProvider: z.enum(['libc', 'icu', 'builtin']),
    collate: z.string(),
    ctype: z.string(),
    locale: z.string().nullable(),
    icuRules: z.string().nullable(),
    settings: z.array(z.object({ role: z.string().nullable(), name: z.string(), value: z.string() })),
  }),
  roles: z.array(z.string()).describe('every role that the schema names'),
  inventory: z.unknown().describe('what the catalog said the database holds, in the snapshot of the dump'),
  snapshotXmin: z
    .string()
    .regex(/^\d+$/)
    .optional()
    .describe('what transactions before this one committed is in the snapshot (pg_snapshot_xmin)'),
})

export const evidenceSchema = z.object({
  kind: z.literal('pg-lifeboat evidence'),
  format: z.literal(1),
  database: z.string(),
  id: z.string(),
  test: z.enum(['stored-bytes', 'integrity', 'restore-test']),
  slice: z
    .object({ number: z.int().positive(), of: z.int().positive() })
    .optional()
    .describe('which share of the parts was read; absent: all of them'),
  verdict: z.enum(['passed', 'failed', 'unverified']),
  at: z.iso.datetime(),
  seconds: z.number(),
  manifestSha256: sha256,
  checks: z.array(z.object({ id: z.string(), status: z.string(), summary: z.string() })),
  rtoSeconds: z.number().optional(),
  rpoSeconds: z.number().optional(),
  rowsProven: bytes.optional(),
  restoreSeconds: z.number().optional().describe('the restore alone, without the server’s start and the proof'),
  plainBytes: bytes.optional().describe('bytes of what pg_dump had written'),
  history: history(pastRehearsal, 'the restore tests that passed before this one, of one that passed'),
  run: z.string().optional().describe('address of the workflow run'),
})

export type Manifest = z.infer<typeof manifestSchema>
export type Part = z.infer<typeof part>
export type Head = z.infer<typeof headSchema>
export type Contents = z.infer<typeof contentsSchema>
export type DumpedFile = z.infer<typeof file>
export type DumpedTable = z.infer<typeof dumpedTable>
export type Evidence = z.infer<typeof evidenceSchema>
export type Totals = z.infer<typeof totals>
export type PastSet = z.infer<typeof pastSet>
export type PastRehearsal = z.infer<typeof pastRehearsal>
export type SetContent = z.infer<typeof content>

/**
 * The document in `text`, checked. `what` names it in errors, e.g. the key it was read from.
 * Errors: `unknown-format` (written by a newer pg-lifeboat), `damaged-document`.
 */
export function parseDocument<S extends z.ZodType>(schema: S, text: Buffer | string, what: string): z.infer<S> {
  let value: unknown
  try {
    value = JSON.parse(text.toString('utf8'))
  } catch {
    throw damagedDocument(what, 'it is not JSON')
  }
  const format = (value as { format?: unknown } | null)?.format
  if (typeof format === 'number' && format !== 1) {
    throw new LifeboatError(
      'unknown-format',
      `${what} has format ${format}; this version reads format 1`,
      'Use the version of pg-lifeboat that wrote the set, or a newer one.',
    )
  }
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw damagedDocument(what, `${issue?.path.join('.') || 'the document'}: ${issue?.message}`)
}

/** What is told of a document that is none. */
export function damagedDocument(what: string, why: string): LifeboatError {
  return new LifeboatError(
    'damaged-document',
    `${what} cannot be read: ${why}`,
    'The set has been changed or damaged since it was written: restore test the set before it, and find out who can write to the storage.',
  )
}

/** The document as it is stored: stable, readable, one trailing newline. */
export function serializeDocument(document: Manifest | Head | Contents | Evidence): Buffer {
  return Buffer.from(`${JSON.stringify(document, null, document.kind === 'pg-lifeboat contents' ? 0 : 2)}\n`)
}

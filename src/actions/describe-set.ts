import type { Head } from '../backup-set/documents.ts'
import { parseSetId } from '../backup-set/layout.ts'
import type { OpenSet } from '../backup-set/open-set.ts'
import type { SetFacts } from '../reports/report.ts'

const SIGNATURES: Record<OpenSet['signature'], SetFacts['signature']> = {
  checked: 'verified',
  unchecked: 'not checked',
  none: 'none',
}

/** What head and manifest say of a set, for its report; also of one whose manifest cannot be opened. */
export async function describeSet(head: Head, opened: () => Promise<OpenSet>): Promise<SetFacts> {
  let code: unknown
  const set = await opened().catch((error: unknown) => {
    code = (error as { code?: unknown }).code
    return undefined
  })
  const unopened = head.signature === null ? 'none' : code === 'bad-signature' ? 'wrong' : 'not checked'
  const { tables, rows, plainBytes, storedBytes, parts } = head.totals
  return {
    takenAt: head.takenAt,
    label: parseSetId(head.id)?.label ?? '',
    whole: head.content === 'whole',
    serverVersion: set?.manifest.source.serverVersion ?? 'unknown',
    tables,
    rows,
    plainBytes,
    storedBytes,
    parts,
    encrypted: set?.encrypted ?? false,
    signature: set === undefined ? unopened : SIGNATURES[set.signature],
  }
}

import type { TocEntry } from './toc-types.ts'

export const INDEX_ATTACH = 'INDEX ATTACH'

/**
 * Whether indexes of partitions of partitions are attached: one and the same index takes partitions and is attached itself.
 * pg_restore with several jobs may do both at the same moment. Neither then sees what the other has done, the topmost index
 * stays invalid for good, and foreign keys to its table are refused.
 */
export function attachesInLevels(entries: readonly TocEntry[]): boolean {
  const attachments = entries.filter(({ desc }) => desc === INDEX_ATTACH).map(({ defn }) => parseAttachment(defn ?? ''))
  const parents = new Set(attachments.map((attachment) => attachment?.parent))
  // What cannot be read is taken for the worst: it costs time, nothing else.
  return attachments.some((attachment) => attachment === undefined || parents.has(attachment.child))
}

const NAME = String.raw`(?:"(?:[^"]|"")+"|[^\s".;]+)(?:\.(?:"(?:[^"]|"")+"|[^\s".;]+))?`
const ATTACHMENT = new RegExp(`^\\s*ALTER INDEX (${NAME}) ATTACH PARTITION (${NAME});\\s*$`)

function parseAttachment(statement: string): { parent: string; child: string } | undefined {
  const [, parent, child] = ATTACHMENT.exec(statement) ?? []
  return parent === undefined || child === undefined ? undefined : { parent, child }
}

import type { Part } from '../backup-set/documents.ts'
import { layout } from '../backup-set/layout.ts'
import type { OpenSet } from '../backup-set/open-set.ts'
import type { Finding } from '../base/findings.ts'
import { formatBytes, formatCount } from '../base/units.ts'
import type { Check } from './check.ts'
import type { NamedTables } from './name-tables.ts'

const LISTED = 20
/** In the set's folder, and no parts. */
const DOCUMENTS = new Set(['manifest.json', 'manifest.json.sig'])

export const partsCheck: Check = {
  id: 'parts',
  title: 'Every part is there at its size',
  modes: ['smoke', 'integrity'],
  vouches: true,
  async run(context) {
    const set = await context.openSet()
    const stored = new Map(await context.stored())
    const named = await context.named()
    const parts = set.manifest.parts.filter(({ path }) => named === undefined || isAbout(named, path))
    const findings: Finding[] = []
    const hidden: string[] = []
    for (const part of parts) {
      const listed = stored.get(part.path)
      stored.delete(part.path)
      if (listed === part.bytes) continue
      const bytes = (await sizeOfVersion(set, part)) ?? listed
      if (bytes === part.bytes) {
        hidden.push(part.path)
        continue
      }
      const state =
        bytes === undefined ? 'is missing' : `has ${formatBytes(bytes)} instead of ${formatBytes(part.bytes)}`
      findings.push({ severity: 'failure', message: `${part.path} ${state}`, remedy: REMEDY })
    }
    const bad = findings.length
    const listed = new Set(set.manifest.parts.map(({ path }) => path))
    const extra = [...stored.keys()].filter((path) => !DOCUMENTS.has(path) && !listed.has(path))
    if (extra.length > 0) {
      const message = `${formatCount(extra.length)} objects in the set's folder belong to no part, e.g. ${extra[0]}`
      findings.push({ severity: 'warning', message, remedy: 'Find out who else writes to this storage.' })
    }
    if (hidden.length > 0) {
      const message = `${formatCount(hidden.length)} parts were deleted or replaced; what was written is still there as an older version, e.g. of ${hidden[0]}`
      findings.push({
        severity: 'warning',
        message,
        remedy: 'Find out who else writes to this storage, and remove their versions.',
      })
    }
    const { length } = parts
    return {
      summary: `${formatCount(length - bad)} of ${formatCount(length)} parts`,
      findings: findings.slice(0, LISTED),
    }
  },
}

const REMEDY =
  'Restore from another set; look for a lifecycle rule or another job that deletes or replaces objects in this bucket.'

/** Whether a part holds rows of the named tables, or what is needed to read them. */
function isAbout({ parts }: NamedTables, path: string): boolean {
  return parts.has(path) || !/^database\/(?!toc\.dat\.)/.test(path)
}

/** A part that a delete marker hides is still there under its version. */
async function sizeOfVersion(set: OpenSet, part: Part): Promise<number | undefined> {
  if (part.versionId === undefined) return undefined
  const key = layout.part(set.head.database, set.head.id, part.path)
  return (await set.storage.head(key, { versionId: part.versionId }))?.bytes
}

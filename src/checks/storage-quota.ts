import { measureUsage } from '../backup-set/usage.ts'
import { formatBytes, formatCount } from '../base/units.ts'
import type { Check } from './check.ts'

/** Fractions of the quota. */
const WARN = 0.8
const FAIL = 0.9

export const storageQuotaCheck: Check = {
  id: 'storage-quota',
  title: 'The backups fit into their storage',
  modes: ['smoke'],
  async run({ storage, catalog, storageQuota, signal }) {
    const sets = `${formatCount(catalog.sets.length)} ${catalog.sets.length === 1 ? 'backup' : 'backups'}`
    if (storageQuota === undefined) return { status: 'not run', summary: `${sets}; no storage-quota`, findings: [] }
    const { bytes, bytesWithVersions } = await measureUsage(storage, catalog.database, signal)
    const used = bytesWithVersions ?? bytes
    const share = `${Math.round((100 * used) / storageQuota)} %`
    const hidden =
      bytesWithVersions === undefined
        ? 'hidden versions not counted'
        : `${formatBytes(used - bytes)} of it hidden versions`
    const summary = `${sets}, ${formatBytes(used)} of ${formatBytes(storageQuota)} (${share}), ${hidden}`
    if (used <= WARN * storageQuota) return { summary, findings: [] }
    return {
      summary,
      findings: [
        {
          severity: used > FAIL * storageQuota ? 'failure' : 'warning',
          message: `The backups of ${catalog.database} take ${formatBytes(used)}, ${share} of \`storage-quota\``,
          remedy:
            'See with `retention: plan` what could go, expire old versions by a lifecycle rule, or raise `storage-quota`.',
        },
      ],
    }
  },
}

import { formatCount } from '../base/units.ts'
import type { Check } from './check.ts'

export const manifestCheck: Check = {
  id: 'manifest',
  title: 'Head and manifest agree',
  modes: ['smoke', 'integrity', 'database'],
  vouches: true,
  async run(context) {
    const { manifest } = await context.openSet()
    return { summary: `manifest of ${formatCount(manifest.parts.length)} parts`, findings: [] }
  },
}

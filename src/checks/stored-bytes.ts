import { formatBytes, formatCount } from '../base/units.ts'
import type { Check } from './check.ts'

const LISTED = 20

export const storedBytesCheck: Check = {
  id: 'stored-bytes',
  title: 'Every stored byte is what was written',
  modes: ['integrity'],
  async run(context) {
    const { bytesRead, partsRead, damage } = await context.reading()
    const { manifest } = await context.openSet()
    const parts = `${formatCount(partsRead)} of ${formatCount(manifest.parts.length)} parts`
    return { summary: `${parts}, ${formatBytes(bytesRead)}`, findings: damage.slice(0, LISTED) }
  },
}

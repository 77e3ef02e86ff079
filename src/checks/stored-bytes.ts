import { describeSlice } from '../backup-set/slices.ts'
import { formatBytes, formatCount } from '../base/units.ts'
import type { Check } from './check.ts'

const LISTED = 20

export const storedBytesCheck: Check = {
  id: 'stored-bytes',
  title: 'Every stored byte is what was written',
  modes: ['integrity'],
  vouches: true,
  async run(context) {
    const { bytesRead, partsRead, partsExpected, damage } = await context.reading()
    const { slice } = context
    const share = slice === undefined ? '' : ` of the slice ${describeSlice(slice)}`
    const parts = `${formatCount(partsRead)} of ${formatCount(partsExpected)} parts${share}`
    return { summary: `${parts}, ${formatBytes(bytesRead)}`, findings: damage.slice(0, LISTED) }
  },
}

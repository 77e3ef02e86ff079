import type { Finding } from '../base/findings.ts'
import { formatDuration } from '../base/units.ts'
import type { Check } from './check.ts'

/** Seconds. */
const TOLERATED = 60
/** A snapshot that lies further in the future than this counts as forged. */
const HARMFUL = 300

export const clocksCheck: Check = {
  id: 'clocks',
  title: 'The clocks of the database and of the runner agree',
  modes: ['smoke', 'database'],
  async run(context) {
    const { clockSkewSeconds: recorded } = context.head
    const live = context.looksAtServer ? (await context.live()).clockSkewSeconds : undefined
    const told = [
      ...(recorded === undefined ? [] : [{ skew: recorded, when: 'at the dump' }]),
      ...(live === undefined ? [] : [{ skew: live, when: 'now' }]),
    ]
    if (told.length === 0) return { status: 'not run', summary: 'the set does not tell', findings: [] }
    const findings = told.filter(({ skew }) => Math.abs(skew) > TOLERATED).map(finding)
    return { summary: told.map(({ skew, when }) => `${describe(skew)} ${when}`).join(', '), findings }
  },
}

function finding({ skew, when }: { skew: number; when: string }): Finding {
  return {
    severity: Math.abs(skew) > HARMFUL ? 'failure' : 'warning',
    message: `The database server's clock was ${describe(skew)} of the runner's ${when}`,
    remedy: 'Let both be set by NTP: the age of backups, and so their retention, goes by these clocks.',
  }
}

function describe(skew: number): string {
  return `${formatDuration(Math.abs(skew))} ${skew < 0 ? 'behind' : 'ahead'}`
}

import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import type { Inventory } from '../postgres/inventory.ts'
import { sequencesBehind } from '../postgres/sequence-standing.ts'
import { sequenceSets } from '../postgres/toc.ts'
import type { Check } from './check.ts'
import { lookInside } from './reading.ts'

/** A sequence that is set back gives numbers away for the second time. */
export const sequencesCheck: Check = {
  id: 'sequence-values',
  title: 'No sequence is behind where it stood',
  modes: ['integrity'],
  vouches: true,
  run: lookInside(({ contents, toc }) => {
    if (!toc) return { status: 'not run', summary: 'the archive has no readable table of contents', findings: [] }
    const behind = sequencesBehind((contents.inventory ?? {}) as Partial<Inventory>, toc)
    const findings = behind.slice(0, 20).map(
      ({ schema, name, dumped, before }): Finding => ({
        severity: 'failure',
        message: `the archive sets the sequence ${schema}.${name} to ${dumped}, and it stood at ${before} before the dump`,
        remedy: 'If it was set back while the dump ran, dump again; else restore from another set.',
      }),
    )
    return { summary: `${formatCount(sequenceSets(toc).length)} sequences`, findings }
  }),
}

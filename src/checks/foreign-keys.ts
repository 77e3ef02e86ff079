import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import type { ForeignKey } from '../postgres/foreign-keys.ts'
import type { Check } from './check.ts'

const LISTED = 20

/** Those that the server does not vouch for, and those of the named tables: rows are counted, and none is shown. */
export const foreignKeysCheck: Check = {
  id: 'foreign-keys',
  title: 'Every row has what its foreign keys name',
  modes: ['database'],
  async run(context) {
    const { foreignKeys } = await context.live()
    if (foreignKeys.length === 0) {
      const summary = 'no constraint is NOT VALID, and none of a named table is there'
      return { status: 'not run', summary, findings: [] }
    }
    const counted = foreignKeys.filter(({ unmatched }) => unmatched !== undefined)
    const findings = foreignKeys.flatMap(judge).slice(0, LISTED)
    const summary = `${formatCount(counted.length)} of ${formatCount(foreignKeys.length)} constraints counted`
    const isUnverified = counted.length === 0
    return { ...(isUnverified && { status: 'not run' as const }), summary, findings }
  },
}

function judge({ name, table, references, unproven, unmatched, reason }: ForeignKey): Finding[] {
  if (unmatched === undefined) {
    return [
      {
        severity: 'note',
        message: `Not counted: the foreign key ${name} of ${table} (${REASONS[reason ?? 'no privilege']})`,
      },
    ]
  }
  if (unmatched === 0) return []
  const rows = unmatched === 1 ? '1 row' : `${formatCount(unmatched)} rows`
  const verb = unmatched === 1 ? 'names' : 'name'
  const message = `${rows} of ${table} ${verb} nothing in ${references} (${name}${unproven ? `, ${unproven}` : ''})`
  if (unproven === undefined) {
    const remedy =
      'Mend the rows: the server believes that there are none, and a restore of this database will refuse the constraint.'
    return [{ severity: 'failure', message, remedy }]
  }
  const remedy =
    unproven === 'NOT VALID'
      ? `Mend the rows, then \`ALTER TABLE ${table} VALIDATE CONSTRAINT …\`.`
      : 'If that is meant to be, nothing.'
  return [{ severity: unproven === 'NOT VALID' ? 'warning' : 'note', message, remedy }]
}

const REASONS = {
  'no privilege': 'this role may not read both tables whole',
  'takes too long': 'it takes longer than 30 s',
  'about periods': 'it is about periods',
} as const

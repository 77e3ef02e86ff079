import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import type { LiveDatabase } from '../postgres/live-database.ts'
import { mendingStatements, type Unreadable } from '../postgres/privileges.ts'
import type { Check } from './check.ts'
import type { NamedTables } from './name-tables.ts'

const LISTED = 10

/** With the role that dumps: what it cannot read would end the next dump. */
export const readableCheck: Check = {
  id: 'readable',
  title: 'The role can read everything that a dump reads',
  modes: ['database'],
  async run(context) {
    const live = await context.live()
    const named = await context.named()
    const unreadable = named ? live.unreadable.filter((one) => isAbout(one, live, named)) : live.unreadable
    if (unreadable.length === 0) return { summary: 'every table, sequence and large object', findings: [] }
    const names = unreadable.slice(0, LISTED).map(({ kind, identity, reason }) => `${kind} ${identity} ${reason}`)
    const more = unreadable.length > LISTED ? ` and ${formatCount(unreadable.length - LISTED)} more` : ''
    const finding: Finding = {
      severity: 'failure',
      message: `The next dump by this role would stop: ${names.join(', ')}${more}`,
      remedy: `Run as a superuser or the owner: ${mendingStatements(unreadable).slice(0, LISTED).join(' ')}`,
    }
    return { summary: `${formatCount(unreadable.length)} objects cannot be read`, findings: [finding] }
  },
}

/** Of named tables: they themselves, and the schemas that they are in. */
function isAbout({ kind, identity }: Unreadable, { inventory }: LiveDatabase, named: NamedTables): boolean {
  const tables = inventory.tables.filter(named.has).map((table) => table.identity)
  return kind === 'schema' ? tables.some((table) => table.startsWith(`${identity}.`)) : tables.includes(identity)
}

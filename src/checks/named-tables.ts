import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import type { Inventory } from '../postgres/inventory.ts'
import type { Check } from './check.ts'

/** Rows are in tables; partitioned tables, views and foreign tables have none of their own. */
const WITH_ROWS = 'r'

export const namedTablesCheck: Check = {
  id: 'named-tables',
  title: 'The named tables are in the backup',
  modes: ['smoke', 'integrity', 'database'],
  async run(context) {
    const named = await context.named()
    const contents = named && (await context.contents())
    if (!named || !contents) return { status: 'not run', summary: 'no `tables` were named', findings: [] }
    const stored = contents.tables.filter(named.has)
    const has = new Set(stored.map(({ schema, name }) => JSON.stringify([schema, name])))
    const missing = (contents.inventory as Inventory).tables.filter(
      (table) => table.kind === WITH_ROWS && named.has(table) && !has.has(JSON.stringify([table.schema, table.name])),
    )
    const findings = missing.map(({ schema, name, extension }): Finding => {
      const reason = contents.excluded.find((one) => one.schema === schema && one.name === name)?.reason
      const why =
        reason ?? (extension === undefined ? 'no reason is told' : `the extension ${extension} makes them anew`)
      return {
        severity: extension === undefined ? 'failure' : 'note',
        message: `The backup has no rows of ${schema}.${name}: ${why}`,
        ...(extension === undefined && { remedy: 'Choose a whole backup with `backup`, or take a new dump.' }),
      }
    })
    const rows = stored.reduce((sum, { fingerprint }) => sum + fingerprint.rows, 0)
    const names = stored.slice(0, 5).map(({ schema, name }) => `${schema}.${name}`)
    const more = stored.length > names.length ? ` and ${formatCount(stored.length - names.length)} more` : ''
    return { summary: `${names.join(', ') || 'none'}${more}: ${formatCount(rows)} rows`, findings }
  },
}

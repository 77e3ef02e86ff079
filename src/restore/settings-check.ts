import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import { describeSetting, type OwnSetting } from '../postgres/database-settings.ts'
import type { DatabaseSetting, Inventory } from '../postgres/inventory.ts'

/**
 * Compares ALTER DATABASE and ALTER ROLE … IN DATABASE settings with those of the source. One that the server refused is
 * a note: a library that is not here, a parameter of another version. No summary: neither side has any. Values are not
 * shown: applications keep secrets there.
 */
export function judgeSettings(
  source: Pick<Inventory, 'databaseSettings'>,
  restored: Pick<Inventory, 'databaseSettings'>,
  refused: readonly OwnSetting[],
): { findings: Finding[]; summary?: string } {
  const [before, after] = [index(source.databaseSettings), index(restored.databaseSettings)]
  const notTaken = new Set(refused.map(keyOf))
  const findings: Finding[] = []
  let equal = 0
  for (const [key, setting] of before) {
    const counterpart = after.get(key)
    const name = describeSetting(setting)
    if (counterpart?.value === setting.value) equal += 1
    else if (counterpart !== undefined) findings.push(wrong(`the setting ${name} came back with another value`))
    else if (!notTaken.has(key)) findings.push(wrong(`the setting ${name} did not come back`))
    else findings.push({ severity: 'note', message: `the server restored into does not take the setting ${name}` })
  }
  for (const [key, setting] of after) {
    if (!before.has(key)) findings.push(wrong(`the setting ${describeSetting(setting)} came out of nowhere`))
  }
  if (before.size + after.size === 0) return { findings }
  return { findings, summary: `${formatCount(equal)} of ${formatCount(before.size)} came back` }
}

function wrong(message: string): Finding {
  return { severity: 'failure', message, remedy: 'See the errors of the restore; if there are none, please report it.' }
}

function index(settings: readonly DatabaseSetting[]): Map<string, OwnSetting> {
  const parsed = settings.map(({ role, setting }) => {
    const equals = setting.indexOf('=')
    return { role, name: setting.slice(0, equals), value: setting.slice(equals + 1) }
  })
  return new Map(parsed.map((setting) => [keyOf(setting), setting]))
}

function keyOf({ role, name }: OwnSetting): string {
  return JSON.stringify([role ?? null, name])
}

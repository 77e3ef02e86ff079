import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import { decoderOf } from '../postgres/archive-text.ts'
import type { Check } from './check.ts'
import { type Inside, lookInside } from './reading.ts'

/** Without its roles a schema comes back owned by whoever restores it, and open to nobody. */
export const rolesCheck: Check = {
  id: 'roles',
  title: 'The roles that the schema names are in the backup',
  modes: ['integrity'],
  vouches: true,
  run: lookInside((inside) => {
    const { contents } = inside
    const decode = decoderOf(contents.databaseFacts.encoding)
    const sources = [
      { name: 'roles.sql', roles: rolesInSql(inside, decode), isReadable: decode ? () => true : isAscii },
      { name: 'prepare.dat', roles: rolesInArchive(inside), isReadable: () => true },
    ]
    const findings = sources.flatMap(({ name, roles, isReadable }): Finding[] => {
      const missing = contents.roles.filter((role) => !roles?.has(role) && isReadable(role))
      if (roles !== undefined && missing.length === 0) return []
      const what = roles === undefined ? 'is missing' : `lacks ${listed(missing)}`
      return [{ severity: 'failure', message: `${name} ${what}`, remedy: REMEDY }]
    })
    return { summary: `${formatCount(contents.roles.length)} roles`, findings }
  }),
}

const REMEDY = 'Restore from another set, and take a new dump; if the set was never touched, please report it.'

/** In an encoding that nothing here can read the plain names are those that can be looked for. */
function isAscii(name: string): boolean {
  return /^[ -~]*$/.test(name)
}

function rolesInSql({ roles }: Inside, decode: ReturnType<typeof decoderOf>): Set<string> | undefined {
  if (roles === undefined) return undefined
  const text = decode ? decode(roles) : roles.toString('latin1')
  const names = text.matchAll(/^CREATE ROLE (?:"((?:[^"]|"")+)"|([^\s;"]+));/gm)
  return new Set(names.map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? ''))
}

/** Its entries are named after the roles, and after settings, of which no role is missed. */
function rolesInArchive({ prepare }: Inside): Set<string> | undefined {
  return prepare && new Set(prepare.entries.map(({ tag }) => tag))
}

function listed(names: readonly string[]): string {
  const more = names.length > 5 ? ` and ${names.length - 5} more` : ''
  return `the roles ${names.slice(0, 5).join(', ')}${more}`
}

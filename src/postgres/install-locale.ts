import { access, readFile } from 'node:fs/promises'
import { Apt, type AptOptions } from './apt.ts'

const PACKAGE = 'locales'
const SUPPORTED = '/usr/share/i18n/SUPPORTED'

/** `language_TERRITORY`, perhaps with a codeset and a modifier: nothing else reaches a command. */
const NAME = /^(?<place>[a-z]{2,3}(?:_[A-Z]{2})?)(?:\.(?<codeset>[A-Za-z0-9-]+))?(?<modifier>@[a-z]+)?$/

/**
 * Makes a locale of the C library, on Debian and Ubuntu, as root or with sudo that asks no password; the package `locales`
 * is installed first where it is missing. Resolves to undefined, or to the reason why it could not, in a clause.
 */
export async function installLocale(name: string, options: AptOptions): Promise<string | undefined> {
  const { log, signal, root = '' } = options
  const { place, codeset, modifier = '' } = NAME.exec(name)?.groups ?? {}
  if (place === undefined) return 'its name is none of the C library’s'
  const apt = new Apt(options)
  const obstacle = await apt.findObstacle()
  if (obstacle !== undefined) return obstacle
  return log.group(`Make the locale ${name}`, async () => {
    const problem = await provideSources(apt, root)
    if (problem !== undefined) return problem
    signal?.throwIfAborted()
    const charmap = await findCharmap(root + SUPPORTED, `${place}${modifier}`, codeset)
    if (charmap === undefined) return 'the C library knows no such locale'
    // A directory of its own: a server that has read the archive of all locales would not look into it again.
    const command = ['localedef', '--no-archive', '--quiet', '-i', `${place}${modifier}`, '-f', charmap, name]
    const { exitCode } = await apt.privileged(command)
    // 1: it was made, with warnings.
    return exitCode <= 1 ? undefined : `localedef ended with exit code ${exitCode}`
  })
}

async function provideSources(apt: Apt, root: string): Promise<string | undefined> {
  const isThere = await access(root + SUPPORTED).then(
    () => true,
    () => false,
  )
  if (isThere) return undefined
  if (await apt.makeAvailable([PACKAGE], { pgdg: false })) return apt.install([PACKAGE])
  return `no package source of this machine offers ${PACKAGE}`
}

/** The character map that goes with a locale; without a codeset the one that the C library takes by default. */
async function findCharmap(file: string, locale: string, codeset: string | undefined): Promise<string | undefined> {
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n').map((line) => line.trim().split(/\s+/))
  const found = lines.find(([name = '', charmap = '']) => {
    const own = name.replace(/\.[^@]*/, '')
    return own === locale && (codeset === undefined ? name === locale : normal(charmap) === normal(codeset))
  })
  return found?.[1]
}

/** `UTF-8` and `utf8` are the same. */
function normal(codeset: string): string {
  return codeset.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
}

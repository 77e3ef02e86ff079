import { Apt, type AptOptions } from './apt.ts'

export interface InstallOptions extends AptOptions {
  major: number
  need: 'client' | 'server'
}

/** The Debian packages (the distribution's and PGDG's have the same names) of one major. */
export function packageNames(major: number, need: 'client' | 'server'): string[] {
  return need === 'server' ? [`postgresql-client-${major}`, `postgresql-${major}`] : [`postgresql-client-${major}`]
}

/**
 * Installs one major's packages with apt, on Debian and Ubuntu, as root or with sudo that asks no password: PGDG's where
 * its setup script is there (postgresql-common has it), else the distribution's. Resolves to undefined, or to the reason why it
 * could not, in a clause.
 */
export async function installPackages(options: InstallOptions): Promise<string | undefined> {
  const { major, need, log, signal } = options
  const apt = new Apt(options)
  const obstacle = await apt.findObstacle()
  if (obstacle !== undefined) return obstacle
  const packages = packageNames(major, need)
  return log.group(`Install ${packages.join(' ')}`, async () => {
    if (!(await apt.makeAvailable(packages))) return `no package source of this machine offers ${packages.join(' ')}`
    signal?.throwIfAborted()
    const restoreFile = need === 'server' ? await apt.preventMainCluster() : undefined
    try {
      return await apt.install(packages)
    } finally {
      await restoreFile?.()
    }
  })
}

import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { connectionOf, download, type Lab, readGuide, type TestStorage } from '../e2e/support.ts'
import type { TestServer } from '../support/postgres.ts'
import { runTool } from '../support/run-tool.ts'

/** What RESTORE.md names, and what every system has. */
const PROGRAMS = ['age', 'zstd', 'tar', 'sh', 'cat', 'mkdir', 'mktemp', 'rm']

export interface Guided {
  lab: Lab
  target: TestServer
  storage: TestStorage
  /** Of the set. */
  prefix: string
  database: string
  identityFile?: string | undefined
}

/** Does what a set's RESTORE.md says, with nothing on the PATH but what it asks for; fails if anything complains. */
export async function followGuide({ lab, target, storage, prefix, database, identityFile }: Guided): Promise<void> {
  const folder = await lab.directory('set')
  await download(storage.storage, prefix, folder)
  const guide = await readGuide(folder)
  const bin = await lab.directory('bin')
  for (const name of PROGRAMS) {
    const { stdout } = await runTool('/bin/sh', ['-c', `command -v ${name}`], { PATH: process.env.PATH ?? '' })
    await symlink(stdout.trim(), join(bin, name))
  }
  for (const name of ['pg_restore', 'createdb']) await symlink(join(target.bin, name), join(bin, name))
  const env = {
    PATH: bin,
    TMPDIR: await lab.directory('tmp'),
    ...connectionOf(target, database),
    ...(identityFile === undefined ? {} : { AGE_IDENTITY: identityFile }),
  }
  for (const script of [guide.createDatabase, guide.script]) {
    const { code, stderr } = await runTool(join(bin, 'sh'), ['-c', script], env, folder)
    // The server's own warnings are of settings that name what this server does not have: a tablespace.
    const complaints = stderr.replaceAll(/^(?:WARNING|DETAIL): .*\n/gm, '')
    if (code !== 0 || complaints !== '') throw new Error(`RESTORE.md ended with ${code}: ${stderr}`)
  }
}

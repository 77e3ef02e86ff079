import { readdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestServer } from '../support/postgres.ts'
import { runTool, type ToolResult } from '../support/run-tool.ts'
import { connectionOf, download, type Lab, readGuide, type TestStorage } from './support.ts'

/** What RESTORE.md names, and what every system has. */
const PROGRAMS = ['age', 'zstd', 'tar', 'sh', 'cat', 'mkdir', 'mktemp', 'rm']

export interface GuidedOptions {
  lab: Lab
  /** Where the set is restored, by its superuser. */
  target: TestServer
  database: string
  identityFile?: string | undefined
}

/** Downloads the set at `prefix` into a new folder. */
export async function fetchSet(lab: Lab, storage: TestStorage, prefix: string): Promise<string> {
  const folder = await lab.directory('set')
  await download(storage.storage, prefix, folder)
  return folder
}

/** Somebody who does, in the folder of a set, what its RESTORE.md says, and has nothing but what it asks for. */
export class Guided {
  readonly #folder: string
  readonly #options: GuidedOptions
  #temp = ''

  constructor(folder: string, options: GuidedOptions) {
    this.#folder = folder
    this.#options = options
  }

  /** Runs the guide's command that creates the database. */
  async createDatabase(): Promise<ToolResult> {
    return this.#run((await readGuide(this.#folder)).createDatabase, ['createdb'])
  }

  /** Runs the guide's script. */
  async restore(): Promise<ToolResult> {
    return this.#run((await readGuide(this.#folder)).script, ['pg_restore'])
  }

  /** What the script left in the temporary directory. */
  leftOvers(): Promise<string[]> {
    return readdir(this.#temp)
  }

  async #run(script: string, postgresPrograms: readonly string[]): Promise<ToolResult> {
    const { lab, target, database, identityFile } = this.#options
    this.#temp ||= await lab.directory('tmp')
    const bin = await lab.directory('bin')
    for (const name of PROGRAMS) await symlink(await which(name), join(bin, name))
    for (const name of postgresPrograms) await symlink(join(target.bin, name), join(bin, name))
    const env = {
      PATH: bin,
      TMPDIR: this.#temp,
      ...connectionOf(target, database),
      ...(identityFile === undefined ? {} : { AGE_IDENTITY: identityFile }),
    }
    return runTool(join(bin, 'sh'), ['-c', script], env, this.#folder)
  }
}

async function which(name: string): Promise<string> {
  const { stdout } = await runTool('/bin/sh', ['-c', `command -v ${name}`], { PATH: process.env.PATH ?? '' })
  if (stdout === '') throw new Error(`${name} is not installed`)
  return stdout.trim()
}

import { execFile } from 'node:child_process'
import { chmod, mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import type { ProcessOwner } from '../../src/postgres/commands.ts'
import { binDirectory } from '../support/postgres.ts'
import type { Lab } from './support.ts'

const run = promisify(execFile)

/** What makes the machine that an action finds another one. Everything here is an environment, to be given to a step. */
type Environment = Record<string, string>

/** A directory of the lab that everybody may read, or also `write` to: as root, servers run as another user. */
export async function openDirectory(lab: Lab, name: string, write = false): Promise<string> {
  const directory = await lab.directory(name)
  await chmod(dirname(directory), 0o711)
  await chmod(directory, write ? 0o777 : 0o755)
  return directory
}

/** A directory of programs, each a shell script. */
async function programs(lab: Lab, scripts: Readonly<Record<string, string>>): Promise<string> {
  const directory = await openDirectory(lab, 'bin')
  for (const [name, script] of Object.entries(scripts)) {
    await writeFile(join(directory, name), `#!/bin/sh\n${script}\n`)
    await chmod(join(directory, name), 0o755)
  }
  return directory
}

/** The tools of a major, some of them replaced by a script, in which `$real` is the path of the real one. */
export async function withTools(
  lab: Lab,
  major: number,
  scripts: Readonly<Record<string, string>>,
): Promise<Environment> {
  const directory = await openDirectory(lab, 'tools')
  const real = binDirectory(major)
  const lines = Object.entries(scripts).map(([name, script]) => [name, `real='${join(real, name)}'\n${script}`])
  const bin = join(directory, String(major), 'bin')
  await mkdir(join(directory, String(major)))
  await symlink(await programs(lab, Object.fromEntries(lines)), bin)
  for (const name of await readdir(real)) if (!(name in scripts)) await symlink(join(real, name), join(bin, name))
  return { LIFEBOAT_POSTGRES_DIRS: directory }
}

/** Any package may be asked for, and no source has it. Nothing real is installed, nor is any source asked. */
export async function withoutPackages(lab: Lab): Promise<Environment> {
  const nothing = Object.fromEntries(['apt-cache', 'apt-get', 'env', 'sudo'].map((name) => [name, 'exit 0']))
  return { PATH: `${await programs(lab, nothing)}:${process.env.PATH}` }
}

/** Whoever is not root cannot become root. */
export async function withoutSudo(lab: Lab): Promise<Environment> {
  return { PATH: `${await programs(lab, { sudo: 'exit 1' })}:${process.env.PATH}` }
}

/** Nobody is root, nor can become it: what the action may run as root it believes that it may not. */
export async function withoutRoot(lab: Lab): Promise<Environment> {
  const { PATH: path = '' } = process.env
  const id = `[ "$*" = -u ] && { echo 1000; exit; }\nPATH='${path}' exec id "$@"`
  return { PATH: `${await programs(lab, { id, sudo: 'exit 1' })}:${path}` }
}

/** Code that a step's process runs before anything of the action. */
export async function preloading(lab: Lab, code: string): Promise<Environment> {
  const file = join(await lab.directory('preload'), 'preload.mjs')
  await writeFile(file, code)
  return { NODE_OPTIONS: `--import=${pathToFileURL(file).href}` }
}

/** The process kills itself as soon as it has begun the stage whose title begins so: not sooner, and not a line later. */
export function killedAt(lab: Lab, title: string): Promise<Environment> {
  return preloading(
    lab,
    `const write = process.stdout.write
     process.stdout.write = function (text, ...rest) {
       const done = write.call(this, text, ...rest)
       if (String(text).startsWith(${JSON.stringify(`::group::${title}`)})) process.kill(process.pid, 'SIGKILL')
       return done
     }`,
  )
}

/** The process is that user's, and so is all that the job has written so far; without ids it stays whose it is. */
export function ownedBy(lab: Lab, { uid, gid }: ProcessOwner, home: string | undefined): Promise<Environment> {
  const leave = `
     for (const entry of ['', ...readdirSync(job, { recursive: true })]) lchownSync(join(job, entry), ${uid}, ${gid})
     process.setgroups([])
     process.setgid(${gid})
     process.setuid(${uid})`
  return preloading(
    lab,
    `import { lchownSync, readdirSync } from 'node:fs'
     import { dirname, join } from 'node:path'
     const job = dirname(process.env.RUNNER_TEMP)
     ${uid === undefined ? '' : leave}
     ${home === undefined ? 'delete process.env.HOME' : `process.env.HOME = ${JSON.stringify(home)}`}`,
  )
}

/** Does something while `directory` is a disk of its own of so many MiB, open to everybody. Needs root, or sudo. */
export async function onSmallDisk<T>(directory: string, mebibytes: number, work: () => Promise<T>): Promise<T> {
  const prefix = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const asRoot = async (...command: string[]) => {
    const [program = '', ...args] = [...prefix, ...command]
    await run(program, args)
  }
  await asRoot('mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=1777`, 'tmpfs', directory)
  try {
    return await work()
  } finally {
    await asRoot('umount', directory)
  }
}

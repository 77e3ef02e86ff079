import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { isFeatureAvailable, restoreCache, saveCache } from '@actions/cache'
import { messageOf } from '../base/errors.ts'
import type { Log } from '../base/ports.ts'
import type { CommandResult } from './commands.ts'

/** One package file that an installation needs, with the digest that apt's signed package lists give for it. */
export interface PackageFile {
  name: string
  bytes: number
  sha256: string
}

export interface PackageCacheOptions {
  /** Runs `apt-get install … <args> <packages>` without privileges. */
  list(args: string[]): Promise<CommandResult>
  /** Removes a path with apt's own rights: apt gives the directories that it downloads to away to its own user. */
  remove(path: string): Promise<unknown>
  packages: readonly string[]
  env: NodeJS.ProcessEnv
  log: Log
  /** For tests: what stands for `/`. */
  root: string
}

export interface PackageCache {
  /** Tells apt to look for package files in, and download them to, a directory of our own. */
  readonly aptOptions: string[]
  /** After a successful installation keeps what was downloaded for later runs; cleans up. Never rejects. */
  finish(installed: boolean): Promise<void>
}

/**
 * Package files in the GitHub Actions cache: they spare later runs the download from the distribution's or PGDG's
 * archive. What comes out of a cache is not trusted. apt itself does not help there: it takes any file in its archive
 * directory whose *size* is right [tried with apt 2.6]. So every file is checked here against the SHA-256 in the signed
 * package lists, and removed if it differs; apt then downloads it. (The unpacking itself can only be protected by who may
 * write to the cache, hence the caller's permission.) Undefined where there is no cache to use.
 */
export async function openPackageCache(options: PackageCacheOptions): Promise<PackageCache | undefined> {
  const { env, log, packages } = options
  if (!isFeatureAvailable()) return undefined
  // The same in every run: the cache's key includes the path.
  const directory = join(env.RUNNER_TEMP ?? tmpdir(), 'pg-lifeboat-packages', packages.join('+'))
  await options.remove(directory)
  await mkdir(join(directory, 'partial'), { recursive: true })
  const wanted = await listPackageFiles(options, directory)
  if (wanted.length === 0) return undefined
  const key = await cacheKey(wanted, options)
  const restored = await restoreCache([directory], key).catch((error: unknown) => {
    log.warning(`The package cache could not be read: ${messageOf(error)}`)
    return undefined
  })
  const good = await keepGenuine(directory, wanted, log)
  if (restored !== undefined) log.info(`Package cache: ${good} of ${wanted.length} package files`)
  await mkdir(join(directory, 'partial'), { recursive: true })
  return {
    aptOptions: ['-o', `Dir::Cache::archives=${directory}`, '-o', 'APT::Keep-Downloaded-Packages=true'],
    finish: async (installed) => {
      if (installed && restored === undefined) await save(directory, key, wanted, options)
      await options.remove(directory)
    },
  }
}

async function save(
  directory: string,
  key: string,
  wanted: PackageFile[],
  options: PackageCacheOptions,
): Promise<void> {
  try {
    await options.remove(join(directory, 'partial'))
    await options.remove(join(directory, 'lock'))
    if ((await keepGenuine(directory, wanted, options.log)) < wanted.length) return
    await saveCache([directory], key)
  } catch (error) {
    options.log.warning(`The package cache could not be written: ${messageOf(error)}`)
  }
}

/** What apt would download, with the directory empty; only files with a SHA-256 are cached. */
async function listPackageFiles(options: PackageCacheOptions, empty: string): Promise<PackageFile[]> {
  const args = ['--print-uris', '-qq', '-o', 'Acquire::ForceHash=SHA256', '-o', `Dir::Cache::archives=${empty}`]
  const { exitCode, stdout } = await options.list(args)
  if (exitCode !== 0) return []
  const lines = stdout.matchAll(/^'[^']+' ([^\s/]+\.deb) (\d+) SHA256:([0-9a-f]{64})$/gm)
  return [...lines].map(([, name = '', bytes, sha256 = '']) => ({ name, bytes: Number(bytes), sha256 }))
}

/** Names what is in the cache: any other package, version or build has another key. */
async function cacheKey(wanted: PackageFile[], { packages, root }: PackageCacheOptions): Promise<string> {
  const release = await readFile(`${root}/etc/os-release`, 'utf8').catch(() => '')
  const field = (name: string) => new RegExp(`^${name}="?([^"\\n]*)"?$`, 'm').exec(release)?.[1] ?? 'unknown'
  const contents = wanted.map(({ name, sha256 }) => `${name} ${sha256}\n`).sort()
  const digest = createHash('sha256').update(contents.join('')).digest('hex').slice(0, 32)
  return `pg-lifeboat-${field('ID')}-${field('VERSION_ID')}-${process.arch}-${packages.join('+')}-${digest}`
}

/** Removes everything from the directory that is not, byte for byte, a wanted package; how many are left. */
export async function keepGenuine(directory: string, wanted: readonly PackageFile[], log: Log): Promise<number> {
  let good = 0
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    const expected = wanted.find(({ name }) => name === entry.name)
    if (expected !== undefined && entry.isFile() && (await sha256Of(path)) === expected.sha256) {
      good += 1
      continue
    }
    if (expected !== undefined)
      log.warning(`The cached package ${entry.name} is not the genuine one; it is downloaded again`)
    await rm(path, { recursive: true, force: true })
  }
  return good
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

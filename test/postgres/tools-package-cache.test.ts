import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { memoryLog } from '../../src/base/ports.ts'
import { openPackageCache } from '../../src/postgres/package-cache.ts'
import { type CacheService, startCacheService } from '../support/cache-service.ts'

const genuine = { 'libpq5_17.12-1_amd64.deb': 'genuine library', 'postgresql-17_17.12-1_amd64.deb': 'genuine server' }

let temp: string
let service: CacheService
let before: NodeJS.ProcessEnv
beforeEach(async () => {
  before = { ...process.env }
  temp = await mkdtemp(join(tmpdir(), 'lifeboat-cache-'))
  service = await startCacheService()
  // `@actions/cache` reads its environment itself.
  Object.assign(process.env, service.env, { RUNNER_TEMP: temp, GITHUB_WORKSPACE: temp })
})
afterEach(async () => {
  process.env = before
  await service.close()
  await rm(temp, { recursive: true, force: true })
})

/** What apt prints for files of these contents. */
function printUris(files: Record<string, string>): string {
  const lines = Object.entries(files).map(([name, content]) => {
    const digest = createHash('sha256').update(content).digest('hex')
    return `'http://archive.example/pool/${encodeURIComponent(name)}' ${name} ${content.length} SHA256:${digest}\n`
  })
  return lines.join('')
}

async function open(files: Record<string, string>, log = memoryLog()) {
  const list = async () => ({ exitCode: 0, stdout: printUris(files), stderr: '' })
  const remove = (path: string) => rm(path, { recursive: true, force: true })
  const env = { RUNNER_TEMP: temp }
  const cache = await openPackageCache({ list, remove, packages: ['postgresql-17'], env, log, root: temp })
  const directory = /^Dir::Cache::archives=(.*)$/.exec(cache?.aptOptions[1] ?? '')?.[1] ?? ''
  return { cache, directory, log }
}

async function contents(directory: string): Promise<Record<string, string>> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.deb')).sort()
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(directory, name), 'utf8')])),
  )
}

/** As apt does: downloads what is not there. */
async function download(directory: string, files: Record<string, string>): Promise<void> {
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content)
  await writeFile(join(directory, 'lock'), '')
}

test('what one run downloads, the next one finds', async () => {
  const first = await open(genuine)
  expect(await contents(first.directory)).toEqual({})
  await download(first.directory, genuine)
  await first.cache?.finish(true)
  expect([...service.entries.keys()]).toEqual([expect.stringMatching(/^pg-lifeboat-.*-postgresql-17-[0-9a-f]{32}$/)])

  const second = await open(genuine)
  expect(await contents(second.directory)).toEqual(genuine)
  expect(second.log.lines).toEqual(['Package cache: 2 of 2 package files'])
  await second.cache?.finish(true)
  expect(service.calls.filter((call) => call.startsWith('CreateCacheEntry'))).toHaveLength(1)

  const newer = await open({ ...genuine, 'libpq5_17.13-1_amd64.deb': 'newer' })
  expect(await contents(newer.directory)).toEqual({})
})

test('a poisoned cache gives nothing but what is genuine', async () => {
  const poisoned = { ...genuine, 'postgresql-17_17.12-1_amd64.deb': 'poisoned serve', 'evil_1_amd64.deb': 'extra' }
  const attacker = await open(poisoned)
  await download(attacker.directory, poisoned)
  await attacker.cache?.finish(true)
  service.planted = [...service.entries.values()][0]
  const victim = await open(genuine)
  expect(await contents(victim.directory)).toEqual({ 'libpq5_17.12-1_amd64.deb': 'genuine library' })
  expect(victim.log.lines.join('\n')).toMatch(/warning: .*postgresql-17_17\.12-1_amd64\.deb is not the genuine one/)
})

test('an incomplete download is not kept; without the service there is no cache', async () => {
  const { cache, directory } = await open(genuine)
  await mkdir(join(directory, 'partial'), { recursive: true })
  await writeFile(join(directory, 'libpq5_17.12-1_amd64.deb'), 'genuine library')
  await cache?.finish(true)
  expect(service.entries.size).toBe(0)
  delete process.env.ACTIONS_RESULTS_URL
  expect((await open(genuine)).cache).toBeUndefined()
})

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { memoryLog } from '../../src/base/ports.ts'
import type { Database } from '../../src/postgres/database.ts'
import { applySettings } from '../../src/postgres/database-settings.ts'
import {
  type DatabaseSpec,
  type ScratchCluster,
  startScratchCluster,
  stopScratchCluster,
} from '../../src/postgres/scratch-cluster.ts'
import { isRunning } from '../../src/postgres/server-process.ts'
import { findTools, type PostgresTools } from '../../src/postgres/tools.ts'
import { availableMajors, binDirectory } from '../support/postgres.ts'

const majors = availableMajors()
const newest = majors.at(-1) ?? 0

async function serverTools(major: number): Promise<PostgresTools> {
  const env = { PATH: '/usr/bin:/bin', LIFEBOAT_POSTGRES_DIRS: join(binDirectory(major), '..', '..') }
  return findTools({ major, need: 'server', env, log: memoryLog(), install: false })
}

async function value(database: Database, sql: string): Promise<unknown> {
  const client = await database.connect('test')
  try {
    const { rows } = await client.query({ text: sql, rowMode: 'array' })
    return rows[0]?.[0]
  } finally {
    await client.end()
  }
}

const latin: DatabaseSpec = {
  name: 'Latín "one"',
  encoding: 'LATIN1',
  localeProvider: 'libc',
  collate: 'C',
  ctype: 'C',
}

let parent: string
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'lifeboat-parent-'))
  // As RUNNER_TEMP: others may pass through.
  await rm(parent, { recursive: true })
  await mkdir(parent, { mode: 0o755 })
})
afterAll(() => rm(parent, { recursive: true, force: true }))

describe.each(majors)('PostgreSQL %d', (major) => {
  let cluster: ScratchCluster | undefined
  afterEach(() => cluster?.stop())

  test('starts for loopback and passwords only, makes databases like the source’s, leaves nothing', async () => {
    const log = memoryLog()
    cluster = await startScratchCluster({ tools: await serverTools(major), parent, log, env: process.env })
    const { directory, pid } = cluster
    expect(await isRunning(pid)).toBe(true)
    expect(await value(cluster.admin, 'show server_version_num')).toMatch(new RegExp(`^${major}\\d{4}$`))
    const reach = `current_setting('listen_addresses') || current_setting('unix_socket_directories')`
    expect(await value(cluster.admin, `select ${reach} || current_setting('autovacuum')`)).toBe('127.0.0.1off')
    expect(log.lines.join('\n')).not.toContain(cluster.password)

    const made = await cluster.createDatabase(latin)
    expect(await value(made, 'show server_encoding')).toBe('LATIN1')

    const icu = await cluster.createDatabase({
      ...latin,
      name: 'icu',
      encoding: 'UTF8',
      localeProvider: 'icu',
      locale: 'es-AR',
      collate: 'C.UTF-8',
      ctype: 'C.UTF-8',
    })
    const column = major >= 17 ? 'datlocale' : 'daticulocale'
    const current = `pg_database where datname = current_database()`
    expect(await value(icu, `select datlocprovider::text || ${column} from ${current}`)).toBe('ies-AR')
    expect(await value(icu, `select 'ñ' < 'o' and 'n' < 'ñ'`)).toBe(true)

    if (major >= 17) {
      const spec = { ...latin, name: 'b', encoding: 'UTF8', localeProvider: 'builtin' as const, locale: 'C.UTF-8' }
      const builtin = await cluster.createDatabase(spec)
      expect(await value(builtin, `select datlocprovider::text from ${current}`)).toBe('b')
    }

    await cluster.stop()
    await cluster.stop()
    expect(await isRunning(pid)).toBe(false)
    expect(existsSync(directory)).toBe(false)
  })

  test('a locale that is missing here is named; database settings are kept, bad ones told', async () => {
    cluster = await startScratchCluster({ tools: await serverTools(major), parent, log: memoryLog(), env: process.env })
    const foreign = { ...latin, name: 'foreign', encoding: 'UTF8', collate: 'tlh_QO.UTF-8', ctype: 'tlh_QO.UTF-8' }
    await expect(cluster.createDatabase(foreign)).rejects.toMatchObject({
      code: 'missing-locale',
      message: expect.stringContaining('tlh_QO.UTF-8'),
      remedy: expect.stringContaining('locale-gen tlh_QO.UTF-8'),
    })
    const icu = { ...foreign, name: 'icu', localeProvider: 'icu' as const, locale: 'es-AR' }
    await expect(cluster.createDatabase(icu)).rejects.toMatchObject({
      code: 'missing-locale',
      remedy: expect.stringContaining('locale-gen tlh_QO.UTF-8'),
    })
    if (major < 17) {
      const builtin = { ...latin, localeProvider: 'builtin' as const, locale: 'C.UTF-8' }
      await expect(cluster.createDatabase(builtin)).rejects.toThrow(/C\.UTF-8.*has no builtin locale provider/)
    }

    const settings = [
      { name: 'search_path', value: '"$user", public, "Odd ""name"""' },
      { name: 'statement_timeout', value: '1234' },
      { name: 'app.secret', value: "it's; drop" },
      { name: 'work_mem', value: 'plenty' },
      { name: 'no_such_setting', value: '1' },
      { name: 'session_preload_libraries', value: 'pg_cron' },
    ]
    const owner = await cluster.createDatabase({ ...latin, name: 'with settings' })
    const client = await owner.connect('settings')
    const refused = await applySettings(client, 'with settings', settings).finally(() => client.end())
    expect(refused.map(({ name }) => name)).toEqual(['work_mem', 'no_such_setting', 'session_preload_libraries'])
    const stored = `select array_to_string(setconfig, '|') from pg_db_role_setting s
      join pg_database d on d.oid = s.setdatabase where datname = 'with settings'`
    const expected = `search_path="$user", public, "Odd ""name"""|statement_timeout=1234|app.secret=it's; drop`
    expect(await value(cluster.admin, stored)).toBe(expected)
  })
})

test('a cluster that was detached lives on and is stopped by its place, but only if it is that server', async () => {
  const tools = await serverTools(newest)
  let announced = ''
  const onDirectory = (directory: string) => {
    announced = directory
  }
  const cluster = await startScratchCluster({ tools, parent, log: memoryLog(), env: process.env, onDirectory })
  const { directory, pid } = cluster
  expect(announced).toBe(directory)
  await cluster.detach()
  expect(await isRunning(pid)).toBe(true)
  expect(await stopScratchCluster({ directory: parent })).toBe('refused')
  expect(await stopScratchCluster({ directory, pid: process.pid })).toBe('refused')
  expect(await stopScratchCluster({ directory, pid })).toBe('stopped')
  expect(await isRunning(pid)).toBe(false)
  expect(existsSync(directory)).toBe(false)
  expect(await stopScratchCluster({ directory, pid })).toBe('not running')
})

test('a process that got the id of a dead server is left alone', async () => {
  const bystander = spawn('sleep', ['60'], { stdio: 'ignore' })
  await once(bystander, 'spawn')
  const pid = bystander.pid ?? 0
  const directory = join(parent, 'pg-lifeboat-scratch-abcdef')
  await mkdir(join(directory, 'data'), { recursive: true })
  await writeFile(join(directory, 'data', 'postmaster.pid'), `${pid}\n${join(directory, 'data')}\n`)
  expect(await stopScratchCluster({ directory, pid })).toBe('not running')
  expect(existsSync(directory)).toBe(false)
  expect(await isRunning(pid)).toBe(true)
  bystander.kill()
})

test('a server that cannot start says why, and leaves nothing', async () => {
  const tools = await serverTools(newest)
  const broken = join(parent, 'broken')
  await writeFile(broken, '#!/bin/sh\necho "FATAL: could not write lock file: No space left on device" >&2\nexit 1\n')
  await chmod(broken, 0o755)
  const path = (tool: string) => (tool === 'postgres' ? broken : tools.path(tool))
  const start = startScratchCluster({ tools: { ...tools, path }, parent, log: memoryLog(), env: process.env })
  await expect(start).rejects.toMatchObject({
    code: 'scratch-cluster-failed',
    message: expect.stringMatching(/no space left.*No space left on device/),
  })
  const left = await readdir(parent)
  expect(left.filter((name) => name.startsWith('pg-lifeboat-scratch-'))).toEqual([])
})

test('where the server’s user cannot reach a directory, the one that it is in is used', async () => {
  const closed = await mkdtemp(join(parent, 'closed-'))
  const cluster = await startScratchCluster({
    tools: await serverTools(newest),
    parent: closed,
    log: memoryLog(),
    env: process.env,
  })
  try {
    const asRoot = process.getuid?.() === 0
    expect(dirname(cluster.directory)).toBe(asRoot ? parent : closed)
    expect(await value(cluster.admin, 'select 1')).toBe(1)
  } finally {
    await cluster.stop()
  }
})

test('cancelled while it starts, it leaves nothing', async () => {
  const cancel = new AbortController()
  const onDirectory = () => cancel.abort(new Error('cancelled'))
  const tools = await serverTools(newest)
  const { signal } = cancel
  const start = startScratchCluster({ tools, parent, log: memoryLog(), env: process.env, signal, onDirectory })
  await expect(start).rejects.toThrow('cancelled')
  const left = await readdir(parent)
  expect(left.filter((name) => name.startsWith('pg-lifeboat-scratch-'))).toEqual([])
})

test('when the process that started it is killed, server and directory are gone within 10 s', async () => {
  const script = fileURLToPath(new URL('../support/start-scratch-cluster.ts', import.meta.url))
  const child = spawn(process.execPath, [script, String(newest), parent], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })
  const [line] = (await once(lines, 'line')) as [string]
  const { pid, directory } = JSON.parse(line) as { pid: number; directory: string }
  expect(await isRunning(pid)).toBe(true)
  child.kill('SIGKILL')
  for (let turn = 0; turn < 100 && (existsSync(directory) || (await isRunning(pid))); turn += 1) await sleep(100)
  expect(await isRunning(pid)).toBe(false)
  expect(existsSync(directory)).toBe(false)
})

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { ProcessGroup } from '../../src/postgres/process-group.ts'

let directory: string
const spawned: number[] = []
const idle = new AbortController().signal

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lifeboat-group-'))
})

afterEach(async () => {
  for (const pid of spawned.splice(0)) {
    if (await isAlive(pid)) process.kill(pid, 'SIGKILL')
  }
  await rm(directory, { recursive: true, force: true })
})

/** Whether the process runs or is stopped; one that is dead and not yet waited for is neither. */
async function isAlive(pid: number): Promise<boolean> {
  const state = await stateOf(pid)
  return state !== undefined && state !== 'Z'
}

async function stateOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[0]
}

async function until(condition: () => Promise<boolean>, seconds: number): Promise<number> {
  const began = Date.now()
  while (!(await condition())) {
    if (Date.now() - began > seconds * 1_000) throw new Error(`not within ${seconds} s`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return (Date.now() - began) / 1_000
}

/** Starts a shell with one worker; resolves when both ids are known. */
async function startPair(script: string, signal: AbortSignal = idle): Promise<{ group: ProcessGroup; worker: number }> {
  const file = join(directory, 'worker')
  const group = await ProcessGroup.start('/bin/sh', ['-c', script, 'sh', file], { env: {}, signal })
  await until(async () => existsSync(file) && (await readFile(file, 'utf8')).endsWith('\n'), 5)
  const worker = Number(await readFile(file, 'utf8'))
  spawned.push(group.pid, worker)
  return { group, worker }
}

const PAIR = 'sleep 60 & echo $! > "$1"; wait'
/** Neither of them hears SIGTERM. */
const DEAF_PAIR = `trap '' TERM; sh -c 'trap "" TERM; while :; do sleep 1; done' & echo $! > "$1"; while :; do wait; done`

test('tells exit code, signal and the words of a tool', async () => {
  const script = 'echo out; echo words >&2; exit 3'
  const group = await ProcessGroup.start('/bin/sh', ['-c', script], { env: {}, signal: idle })
  expect(await group.ended).toEqual({ code: 3, signal: null, stderr: 'words\n' })
  // After the end there is nobody to signal; the id may be somebody else's by now.
  group.pause()
  group.resume()
  expect((await group.stop()).code).toBe(3)
})

test('a tool that is not there is an error that names it', async () => {
  const start = ProcessGroup.start(join(directory, 'pg_dump'), [], { env: {}, signal: idle })
  await expect(start).rejects.toMatchObject({ code: 'tool-failed', message: expect.stringContaining('ENOENT') })
})

test('stop ends the workers with the leader', async () => {
  const { group, worker } = await startPair(PAIR)
  const end = await group.stop()
  expect(end.code === null || end.code !== 0).toBe(true)
  expect(await isAlive(worker)).toBe(false)
})

test('stop reaches those who are paused', async () => {
  const { group, worker } = await startPair(PAIR)
  group.pause()
  await until(async () => (await stateOf(worker)) === 'T' && (await stateOf(group.pid)) === 'T', 2)
  await group.stop()
  expect(await isAlive(worker)).toBe(false)
})

test('who does not hear SIGTERM is killed within 5 s, also by an abort', async () => {
  const cancel = new AbortController()
  const { group, worker } = await startPair(DEAF_PAIR, cancel.signal)
  const began = Date.now()
  cancel.abort()
  expect((await group.ended).signal).toBe('SIGKILL')
  expect(Date.now() - began).toBeLessThan(5_000)
  await until(async () => !(await isAlive(worker)), 1)
})

test.each(['exit 1', 'kill -9 $$'])('workers do not outlive a leader that ends by itself (%s)', async (ending) => {
  const { group, worker } = await startPair(`sleep 60 & echo $! > "$1"; ${ending}`)
  const { code, signal } = await group.ended
  expect([code, signal]).toEqual(ending === 'exit 1' ? [1, null] : [null, 'SIGKILL'])
  await until(async () => !(await isAlive(worker)), 1)
})

test('a paused group goes on where it stood', async () => {
  const { group, worker } = await startPair('sleep 0.3 & echo $! > "$1"; wait; echo done >&2')
  group.pause()
  await until(async () => (await stateOf(worker)) === 'T', 2)
  await new Promise((resolve) => setTimeout(resolve, 600))
  expect(await isAlive(worker)).toBe(true)
  group.resume()
  expect(await group.ended).toEqual({ code: 0, signal: null, stderr: 'done\n' })
})

test('of very many words the last are kept', async () => {
  const script = `i=0; while [ $i -lt 9 ]; do head -c 1048576 /dev/zero | tr '\\0' a >&2; i=$((i+1)); done; echo last >&2`
  const group = await ProcessGroup.start('/bin/sh', ['-c', script], {
    env: { PATH: process.env.PATH ?? '' },
    signal: idle,
  })
  const { stderr } = await group.ended
  expect(stderr.length).toBe(4 << 20)
  expect(stderr.endsWith('alast\n')).toBe(true)
})

test.each(['running', 'paused'])('when this process is killed, a %s group and its spool go too', async (state) => {
  const file = join(directory, 'ids')
  const spool = join(directory, 'spool')
  const program = `
    import { mkdirSync, writeFileSync } from 'node:fs'
    import { ProcessGroup } from ${JSON.stringify(new URL('../../src/postgres/process-group.ts', import.meta.url).href)}
    mkdirSync(${JSON.stringify(spool)})
    const options = { env: {}, signal: new AbortController().signal, removeOnDeath: ${JSON.stringify(spool)} }
    const group = await ProcessGroup.start('/bin/sh', ['-c', ${JSON.stringify(PAIR)}, 'sh', ${JSON.stringify(`${file}.worker`)}], options)
    setTimeout(() => {
      ${state === 'paused' ? 'group.pause()' : ''}
      writeFileSync(${JSON.stringify(file)}, group.pid + '\\n')
    }, 500)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await until(async () => existsSync(file) && (await readFile(file, 'utf8')).endsWith('\n'), 20)
  const ids = [Number(await readFile(file, 'utf8')), Number(await readFile(`${file}.worker`, 'utf8'))]
  spawned.push(...ids, parent.pid ?? 0)
  if (state === 'paused') await until(async () => (await Promise.all(ids.map(stateOf))).every((one) => one === 'T'), 2)
  parent.kill('SIGKILL')
  await once(parent, 'exit')
  await until(async () => !(await Promise.all(ids.map(isAlive))).some(Boolean), 5)
  await until(async () => !existsSync(spool), 6)
})

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { ProcessGroup } from '../../src/postgres/process-group.ts'
import { startClock, until } from '../until.ts'

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

/** Starts a shell with one worker; resolves when both ids are known. */
async function startPair(script: string, signal: AbortSignal = idle): Promise<{ group: ProcessGroup; worker: number }> {
  const file = join(directory, 'worker')
  const group = await ProcessGroup.start('/bin/sh', ['-c', script, 'sh', file], { env: {}, signal })
  await until(async () => existsSync(file) && (await readFile(file, 'utf8')).endsWith('\n'))
  const worker = Number(await readFile(file, 'utf8'))
  spawned.push(group.pid, worker)
  return { group, worker }
}

const PAIR = 'sleep 600 & echo $! > "$1"; wait'
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
  // Its output is closed by then; that it is counted out takes a moment more.
  await until(async () => !(await isAlive(worker)))
})

test('stop reaches those who are paused', async () => {
  const { group, worker } = await startPair(PAIR)
  group.pause()
  await until(async () => (await stateOf(worker)) === 'T' && (await stateOf(group.pid)) === 'T')
  await group.stop()
  await until(async () => !(await isAlive(worker)))
})

test('who does not hear SIGTERM is killed within 5 s, also by an abort', async () => {
  const cancel = new AbortController()
  const { group, worker } = await startPair(DEAF_PAIR, cancel.signal)
  const clock = startClock()
  cancel.abort()
  expect((await group.ended).signal).toBe('SIGKILL')
  expect(clock.seconds()).toBeLessThan(5)
  await until(async () => !(await isAlive(worker)))
})

test.each(['exit 1', 'kill -9 $$'])('workers do not outlive a leader that ends by itself (%s)', async (ending) => {
  const { group, worker } = await startPair(`sleep 600 & echo $! > "$1"; ${ending}`)
  const { code, signal } = await group.ended
  expect([code, signal]).toEqual(ending === 'exit 1' ? [1, null] : [null, 'SIGKILL'])
  await until(async () => !(await isAlive(worker)))
})

test('nor does who closed its output and does not hear SIGTERM', async () => {
  const { group, worker } = await startPair(`(trap '' TERM; exec sleep 600 >&- 2>&-) & echo $! > "$1"; exit 1`)
  expect((await group.ended).code).toBe(1)
  await until(async () => !(await isAlive(worker)))
})

test('what it writes is told while it runs', async () => {
  const told: string[] = []
  const script = 'echo out; echo words >&2; read -r word && echo "$word"; echo last'
  const group = await ProcessGroup.start('/bin/sh', ['-c', script], {
    env: {},
    cwd: directory,
    onOutput: (stdout, stderr) => {
      for (const stream of [stdout, stderr]) stream.on('data', (chunk) => told.push(String(chunk)))
    },
  })
  expect(await group.ended).toEqual({ code: 0, signal: null, stderr: 'words\n' })
  // Nobody writes to its input.
  expect(told.join('').match(/\w+/g)?.sort()).toEqual(['last', 'out', 'words'])
})

test('a paused group goes on where it stood', async () => {
  const script = `sh -c 'while [ ! -e "$1.go" ]; do sleep 0.05; done' sh "$1" & echo $! > "$1"; wait; echo done >&2`
  const { group, worker } = await startPair(script)
  group.pause()
  await until(async () => (await stateOf(worker)) === 'T')
  await writeFile(join(directory, 'worker.go'), '')
  await new Promise((resolve) => setTimeout(resolve, 500))
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

test('when this process is killed, its group and its spool go too, whether it runs or is paused', async () => {
  await Promise.all([killParent('running'), killParent('paused')])
})

async function killParent(state: string): Promise<void> {
  const file = join(directory, `${state}-ids`)
  const spool = join(directory, `${state}-spool`)
  const program = `
    import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
    import { ProcessGroup } from ${JSON.stringify(new URL('../../src/postgres/process-group.ts', import.meta.url).href)}
    const worker = ${JSON.stringify(`${file}.worker`)}
    mkdirSync(${JSON.stringify(spool)})
    const options = { env: {}, signal: new AbortController().signal, removeOnDeath: ${JSON.stringify(spool)} }
    const group = await ProcessGroup.start('/bin/sh', ['-c', ${JSON.stringify(PAIR)}, 'sh', worker], options)
    while (!existsSync(worker) || !readFileSync(worker, 'utf8').endsWith('\\n')) await new Promise((done) => setTimeout(done, 20))
    ${state === 'paused' ? 'group.pause()' : ''}
    writeFileSync(${JSON.stringify(file)}, group.pid + '\\n')
    setInterval(() => {}, 1_000)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await until(async () => existsSync(file) && (await readFile(file, 'utf8')).endsWith('\n'))
  const ids = [Number(await readFile(file, 'utf8')), Number(await readFile(`${file}.worker`, 'utf8'))]
  spawned.push(...ids, parent.pid ?? 0)
  if (state === 'paused') await until(async () => (await Promise.all(ids.map(stateOf))).every((one) => one === 'T'))
  parent.kill('SIGKILL')
  await once(parent, 'exit')
  await until(async () => !(await Promise.all(ids.map(isAlive))).some(Boolean))
  await until(() => !existsSync(spool))
}

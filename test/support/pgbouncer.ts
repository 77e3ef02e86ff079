import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findFreePort } from '../../src/postgres/server-process.ts'
import type { TestServer } from './postgres.ts'

const PROGRAM = '/usr/sbin/pgbouncer'

export interface TestPooler {
  port: number
  stop(): Promise<void>
}

/** PgBouncer in front of a test server. It refuses to run as root, so it runs as `postgres` then. */
export async function startPooler(
  server: TestServer,
  mode: 'transaction' | 'session',
  lines = '',
): Promise<TestPooler> {
  if (!existsSync(PROGRAM)) throw new Error('PgBouncer is missing: run  sudo apt-get install -y pgbouncer')
  const directory = await mkdtemp(join(tmpdir(), 'lifeboat-pgbouncer-'))
  await chmod(directory, 0o777)
  await writeFile(join(directory, 'users'), `"postgres" "${server.password}"\n`, { mode: 0o644 })
  const remove = () => rm(directory, { recursive: true, force: true })
  for (let attempt = 1; ; attempt += 1) {
    const port = await findFreePort()
    const configuration = [
      '[databases]',
      `* = host=127.0.0.1 port=${server.port}`,
      '[pgbouncer]',
      `listen_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =`,
      `pool_mode = ${mode}\nauth_type = scram-sha-256\nauth_file = ${join(directory, 'users')}`,
      lines,
    ]
    await writeFile(join(directory, 'pgbouncer.ini'), `${configuration.join('\n')}\n`, { mode: 0o644 })
    const pooler = await startProgram(directory)
    if (pooler.isUp) return { port, stop: () => pooler.end().then(remove) }
    await pooler.end()
    if (pooler.said().includes('Address already in use') && attempt < 5) continue
    await remove()
    throw new Error(`PgBouncer did not start: ${pooler.said()}`)
  }
}

/** Starts it and waits for its own word that it is up; `isUp` is false if it has ended, or says nothing for a minute. */
async function startProgram(directory: string) {
  const child = spawn(PROGRAM, [join(directory, 'pgbouncer.ini')], {
    ...unprivileged(),
    cwd: directory,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  const ended = once(child, 'close').then(() => false)
  const up = new Promise<boolean>((resolve) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (said.includes('process up')) resolve(true)
    })
  })
  const late = new AbortController()
  const isUp = await Promise.race([up, ended, sleep(60_000, false, { signal: late.signal })])
  late.abort()
  const end = async () => {
    child.kill('SIGKILL')
    await ended
  }
  return { isUp, said: () => said, end }
}

function unprivileged(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres']))
  return { uid: id('-u'), gid: id('-g') }
}

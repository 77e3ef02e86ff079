import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
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
  const port = await freePort()
  const configuration = [
    '[databases]',
    `* = host=127.0.0.1 port=${server.port}`,
    '[pgbouncer]',
    `listen_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =`,
    `pool_mode = ${mode}\nauth_type = scram-sha-256\nauth_file = ${join(directory, 'users')}`,
    lines,
  ]
  await writeFile(join(directory, 'pgbouncer.ini'), `${configuration.join('\n')}\n`, { mode: 0o644 })
  await writeFile(join(directory, 'users'), `"postgres" "${server.password}"\n`, { mode: 0o644 })
  const child = spawn(PROGRAM, [join(directory, 'pgbouncer.ini')], {
    ...unprivileged(),
    cwd: directory,
    stdio: 'ignore',
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const stop = async () => {
    child.kill('SIGKILL')
    await ended
    await rm(directory, { recursive: true, force: true })
  }
  for (let attempt = 0; !(await answers(port)); attempt += 1) {
    if (attempt < 100 && child.exitCode === null) await sleep(50)
    else {
      await stop()
      throw new Error(`PgBouncer did not start (exit code ${child.exitCode})`)
    }
  }
  return { port, stop }
}

function unprivileged(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres']))
  return { uid: id('-u'), gid: id('-g') }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => socket.destroy() && resolve(true))
    socket.once('error', () => resolve(false))
  })
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

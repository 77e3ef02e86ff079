import { chown, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findServerOwner, type ProcessOwner, runAs } from '../../src/postgres/commands.ts'
import { findFreePort, spawnServer, stopServer, waitForServer } from '../../src/postgres/server-process.ts'
import type { TestServer } from './postgres.ts'

const START_SECONDS = 120

export interface Standby {
  readonly port: number
  /** Of the superuser, whose password is that of the primary. */
  url(database: string, user?: string): string
  stop(): Promise<void>
}

/** A streaming standby of that server, by pg_basebackup. It ends with `stop()` or with this process. */
export async function startStandby(primary: TestServer): Promise<Standby> {
  const owner = await findServerOwner()
  if (owner?.uid === undefined && process.getuid?.() === 0) throw new Error('PostgreSQL does not run as root')
  const directory = await mkdtemp(join(tmpdir(), `lifeboat-standby-${primary.major}-`))
  const env = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
  try {
    if (owner?.uid !== undefined && owner.gid !== undefined) await chown(directory, owner.uid, owner.gid)
    const connection = ['-h', '127.0.0.1', '-p', String(primary.port), '-U', 'postgres', '--no-password']
    const copy = ['-D', join(directory, 'data'), '-R', '-X', 'stream', '--checkpoint=fast', '--no-sync']
    const options = { cwd: directory, env: { ...env, PGPASSWORD: primary.password } }
    const backup = await runAs(owner ?? {}, join(primary.bin, 'pg_basebackup'), [...connection, ...copy], options)
    if (backup.exitCode !== 0) throw new Error(`pg_basebackup: ${backup.stderr}`)
    const { server, port } = await start(join(primary.bin, 'postgres'), directory, owner ?? {}, env)
    const stop = async () => {
      await stopServer(server.pid)
      await rm(directory, { recursive: true, force: true, maxRetries: 5 })
      server.release()
    }
    const url = (database: string, user = 'postgres') =>
      `postgresql://${user}:${primary.password}@127.0.0.1:${port}/${encodeURIComponent(database)}`
    return { port, url, stop }
  } catch (error) {
    await rm(directory, { recursive: true, force: true })
    throw error
  }
}

async function start(program: string, directory: string, owner: ProcessOwner, env: Record<string, string>) {
  for (let attempt = 1; ; attempt += 1) {
    const port = await findFreePort()
    const server = await spawnServer({ program, directory, port, owner, env })
    const state = await waitForServer(server, directory, { seconds: START_SECONDS })
    if (state === 'ready') return { server, port }
    await stopServer(server.pid)
    server.release()
    // Another process may have taken the port between our look and the server's bind.
    if (attempt === 5) throw new Error(`the standby is ${state}`)
  }
}

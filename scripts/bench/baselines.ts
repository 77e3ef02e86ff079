import { rm } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ScratchCluster } from '../../src/postgres/scratch-cluster.ts'
import { runScript } from './commands.ts'
import type { Gateway } from './gateway.ts'
import { measure } from './measure.ts'
import type { Sample } from './types.ts'
import { createDatabase, type Workbench } from './workbench.ts'

const UPLOAD = fileURLToPath(new URL('upload.ts', import.meta.url))

/** The plain tools that our actions are held against. Each script gets an empty folder to work in. */
export const SCRIPTS = {
  bare: 'pg_dump -Fd -j2 --compress=zstd:1 -f dump',
  plain: 'pg_dump -Fd -j2 -f dump',
  guide: 'pg_dump -Fc -Z9 -f dump.backup',
  /** Two at a time throughout: the same work, as well as a script does it. */
  sameWork: `
    pg_dump -Fd -j2 --compress=zstd:1 -f dump
    find dump -type f | xargs -P2 -I{} sh -c 'age -r "$0" -o "$1.age" "$1" && sha256sum "$1.age" > "$1.sha256"' "$1" {}
    psql -X -A -t -c "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables
      where schemaname not in ('pg_catalog', 'information_schema')" |
      xargs -P2 -I{} psql -X -A -t -c 'select count(*), sum(hashtextextended(t::text, 0)) from {} t' > hashes`,
} as const

/** Runs one of the scripts against a database of the source server. */
export async function runBaseline(
  bench: Workbench,
  database: string,
  script: string,
  args: readonly string[] = [],
): Promise<Sample> {
  const cwd = await bench.directory('baseline')
  const { signal, source } = bench
  try {
    const command = { script, args, env: bench.connection(database), cwd, signal }
    const { value: _, ...sample } = await measure({ serverPid: source.pid }, () => runScript(command))
    return sample
  } finally {
    await rm(cwd, { recursive: true, force: true })
  }
}

/** Bare pg_dump to a folder, then its files to a bucket. The upload counts without Node's start and its modules' loading. */
export async function runUploadBaseline(bench: Workbench, database: string, gateway: Gateway): Promise<Sample> {
  const bucket = await gateway.bucket()
  const cwd = await bench.directory('baseline')
  const { signal, source } = bench
  const dump = { script: SCRIPTS.bare, env: bench.connection(database), cwd, signal }
  const upload = {
    script: '"$1" "$2" dump "$3" "$4"',
    args: [process.execPath, UPLOAD, bucket, gateway.endpoint],
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', ...gateway.env },
    cwd,
    signal,
  }
  try {
    const { value: _, ...sample } = await measure({ serverPid: source.pid }, async () => {
      const { seconds } = await runScript(dump)
      const { stdout } = await runScript(upload)
      return { seconds: seconds + Number(stdout) }
    })
    return sample
  } finally {
    await rm(cwd, { recursive: true, force: true })
  }
}

/** Decrypts, decompresses and digests every sealed file below a folder, two at a time, and looks at nothing. */
export async function runDigestBaseline(bench: Workbench, folder: string): Promise<Sample> {
  const { signal, identityFile } = bench
  const script = `find "$1" -name '*.zst.age' -print0 |
    xargs -0 -n1 -P2 bash -euo pipefail -c 'age -d -i "$0" "$1" | zstd -dc | sha256sum > /dev/null' "$2"`
  const command = { script, args: [folder, identityFile], env: bench.connection(''), cwd: folder, signal }
  const { value: _, ...sample } = await measure({}, () => runScript(command))
  return sample
}

/** A local, unencrypted dump of the database, to restore from. */
export async function makeLocalCopy(bench: Workbench, database: string): Promise<string> {
  const cwd = await bench.directory('copy')
  await runScript({ script: SCRIPTS.bare, env: bench.connection(database), cwd, signal: bench.signal })
  return path.join(cwd, 'dump')
}

/** pg_restore of a local copy into a server that was just started as a restore test starts its own. */
export async function runRestoreBaseline(bench: Workbench, copy: string): Promise<Sample> {
  const { signal } = bench
  const server: ScratchCluster = await bench.startServer()
  try {
    await createDatabase(server, 'restored')
    const env = bench.connection('restored', server)
    const command = { script: 'pg_restore -Fd -j2 -d restored "$1"', args: [copy], env, cwd: copy, signal }
    const { value: _, ...sample } = await measure({ serverPid: server.pid }, () => runScript(command))
    return sample
  } finally {
    await server.stop()
  }
}

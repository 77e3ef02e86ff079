import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { findFreePort } from '../../src/postgres/server-process.ts'
import { type Authority, createAuthority } from '../support/certificates.ts'
import { startPooler } from '../support/pgbouncer.ts'
import { availableMajors, startServer, type TestServer } from '../support/postgres.ts'
import { openDirectory } from './machine.ts'
import { connectionOf, expectExit, Lab, type TestStorage } from './support.ts'

/** The ways to a server, each gone by a whole dump; what goes wrong on them: test/postgres/database*.test.ts. */
const lab = new Lab()
const HOST = 'db.example.test'
const HBA = [
  'local all keeper scram-sha-256',
  'hostssl all keeper 127.0.0.1/32 scram-sha-256',
  'host all keeper 127.0.0.1/32 reject',
  'host all postgres 127.0.0.1/32 scram-sha-256',
]

let authority: Authority
let server: TestServer
let sockets: string

beforeAll(async () => {
  authority = await createAuthority('Lifeboat Test CA')
  sockets = await openDirectory(lab, 'sockets', true)
  const { certificate, key } = await authority.issue(HOST, `DNS:${HOST}`)
  server = await startServer(availableMajors().at(-1) ?? 0, {
    settings: {
      ssl: 'on',
      ssl_cert_file: 'server.crt',
      ssl_key_file: 'server.key',
      unix_socket_directories: sockets,
    },
    files: { 'server.crt': certificate, 'server.key': key },
    hba: `${HBA.join('\n')}\n`,
  })
  await server.createDatabase('app')
  await server.psql(
    'app',
    `create role keeper login superuser password '${server.password}';
     create table a (id integer primary key); insert into a select generate_series(1, 700);
     create table b (id integer); insert into b select generate_series(1, 300); select lo_from_bytea(0, 'content')`,
  )
})
afterAll(async () => {
  await Promise.all([server?.stop(), authority?.remove(), lab.close()])
})

async function dump(inputs: Record<string, string>, env: Record<string, string> = {}): Promise<TestStorage> {
  const storage = await lab.storage('directory')
  const result = await lab.run('action-dump', storage, inputs, { env })
  expectExit(result, 0)
  expect(result.outputs).toMatchObject({ verdict: 'passed', tables: '2', rows: '1000' })
  expect(await storage.keys('app/heads/')).toEqual([`app/heads/${result.outputs['backup-id']}.json`])
  return storage
}

test('an own authority with verify-full, PG* variables, a socket, the second of two hosts, a pooler in session mode', async () => {
  const { port, password } = server
  const pooler = await startPooler(server, 'session')
  const nobody = await findFreePort()
  const url = (user: string, place: string, query = '') => ({
    'database-url': `postgresql://${user}:${password}@${place}/app${query}`,
  })
  try {
    const pooled = dump({ ...url('postgres', `127.0.0.1:${pooler.port}`), jobs: '2' }).then(async (storage) => {
      const restored = await lab.run('action-restore-test', storage)
      expectExit(restored, 0)
      expect(restored.outputs).toMatchObject({ verdict: 'passed', 'tables-proven': '2', 'rows-proven': '1000' })
    })
    await Promise.all([
      dump({
        // Its server refuses everything else.
        ...url('keeper', `${HOST}:${port}`, '?hostaddr=127.0.0.1&sslmode=verify-full'),
        'database-ca': await readFile(authority.file, 'utf8'),
      }),
      dump({}, connectionOf(server, 'app')),
      dump(url('keeper', `${encodeURIComponent(sockets)}:${port}`)),
      dump(url('postgres', `127.0.0.1:${nobody},127.0.0.1:${port}`)),
      pooled,
    ])
  } finally {
    await pooler.stop()
  }
})

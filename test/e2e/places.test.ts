import { chmod, cp, lchown, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { inputEnvironment, readActionFile } from '../../scripts/lib/action-file.ts'
import { createCommandFiles, readCommandFiles } from '../../scripts/lib/file-commands.ts'
import { runAction, startJob } from '../../scripts/lib/local-runner.ts'
import { findServerOwner, type ProcessOwner, runAs } from '../../src/postgres/commands.ts'
import { availableMajors, type TestServer } from '../support/postgres.ts'
import { scanForSecrets, secretsOf } from './secrets.ts'
import { actionEnvironment, expectExit, Lab, type TestStorage } from './support.ts'

const lab = new Lab()
const MAJOR = availableMajors().at(-1) ?? 0

let server: TestServer
let url: string
let storage: TestStorage

beforeAll(async () => {
  server = await lab.server(MAJOR)
  url = await server.createDatabase('app')
  await server.psql(
    'app',
    `create table big (id integer primary key, body text);
     insert into big select i, repeat(md5(i::text), 30) from generate_series(1, 20000) i;
     create table small (id integer primary key); insert into small select generate_series(1, 1000)`,
  )
  storage = await lab.storage('directory')
})
afterAll(() => lab.close())

async function giveAway(path: string, owner: ProcessOwner | undefined): Promise<void> {
  const { uid, gid } = owner ?? {}
  if (uid === undefined || gid === undefined) return
  for (const entry of ['', ...(await readdir(path, { recursive: true }))]) await lchown(join(path, entry), uid, gid)
}

/** The path itself, or of a copy below `place` where that user cannot get at it. */
async function reachable(path: string, owner: ProcessOwner | undefined, place: string): Promise<string> {
  const probe = await runAs(owner ?? {}, 'test', ['-r', path])
  if (probe.exitCode === 0) return path
  const copy = join(place, basename(path))
  await cp(path, copy, { recursive: true })
  await giveAway(place, owner)
  return copy
}

describe('several at once, and unusual places', () => {
  test('two dumps at once both publish; two restore tests at once do not meet', async () => {
    const own = await lab.storage('directory')
    const dump = () => lab.run('action-dump', own, { 'database-url': url })
    const dumps = await Promise.all([dump(), dump()])
    for (const result of dumps) expectExit(result, 0)
    const ids = dumps.map(({ outputs }) => outputs['backup-id'] ?? '')
    expect(await own.keys('app/heads/')).toEqual(ids.map((id) => `app/heads/${id}.json`).sort())
    const tests = await Promise.all(ids.map((backup) => lab.run('action-restore-test', own, { backup })))
    for (const result of tests) expectExit(result, 0)
    expect(tests.map(({ outputs }) => outputs['backup-id'])).toEqual(ids)
    expect(tests.map(({ outputs }) => outputs['rows-proven'])).toEqual(['21000', '21000'])
  })

  test('a RUNNER_TEMP with spaces', async () => {
    const temp = join(await lab.directory('spaces'), "the runner's own  place")
    for (const action of ['action-dump', 'action-verify', 'action-restore-test']) {
      const inputs: Record<string, string> = action === 'action-dump' ? { 'database-url': url } : {}
      const env = actionEnvironment()
      const result = await runAction({ action, inputs: { ...storage.inputs, ...inputs }, temp, env })
      expectExit(result, 0)
      await scanForSecrets(result, secretsOf(inputs, env), storage.storage)
    }
  })

  test('a user other than root', async () => {
    const owner = await findServerOwner()
    const own = await mkdtemp(join(tmpdir(), 'lifeboat e2e '))
    try {
      await chmod(own, 0o755)
      const node = await reachable(process.execPath, owner, own)
      const place = `file://${encodeURI(own)}/storage`
      for (const name of ['action-dump', 'action-verify', 'action-restore-test']) {
        const action = await readActionFile(name)
        const job = await startJob({ temp: join(own, name), env: { ...actionEnvironment(), HOME: own } })
        const given: Record<string, string> = {
          storage: place,
          ...(name === 'action-dump' ? { 'database-url': url } : {}),
        }
        const contexts = { github: {}, runner: {}, job: { status: 'success' } }
        const files = await createCommandFiles(join(own, name, 'commands'))
        const env = { ...job.environment(), ...inputEnvironment(action, given, contexts), ...files }
        await giveAway(own, owner)
        const script = join(await reachable(action.folder, owner, own), action.runs.main)
        const { exitCode, stdout, stderr } = await runAs(owner ?? {}, node, [script], { env, cwd: own })
        expect({ exitCode, text: exitCode === 0 ? '' : stdout + stderr }).toEqual({ exitCode: 0, text: '' })
        expect((await readCommandFiles(files)).GITHUB_OUTPUT).toMatch(/^passed$/m)
        expect((await job.finish()).orphans).toEqual([])
      }
    } finally {
      await rm(own, { recursive: true, force: true })
    }
  })
})

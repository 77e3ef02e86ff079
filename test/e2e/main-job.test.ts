import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { EXAMPLE_LARGE_OBJECTS, EXAMPLE_ROWS } from '../../examples/brisa/load.ts'
import type { StepResult } from '../../scripts/lib/local-runner.ts'
import type { Evidence, Head, Manifest } from '../../src/backup-set/documents.ts'
import type { DumpReport, RestoreTestReport, VerifyReport } from '../../src/reports/report.ts'
import { availableMajors, type TestServer } from '../support/postgres.ts'
import {
  type AgeKeys,
  EXAMPLE_DATABASE,
  expectExit,
  Lab,
  reportOf,
  type SigningKeys,
  type TestStorage,
} from './support.ts'

/** The main job, bundled actions and all, from dump to proven: what it says is held against the server and the storage. */
const lab = new Lab()
afterAll(() => lab.close(), 300_000)

interface Variant {
  major: number
  storage: 'directory' | 's3'
  encrypted: boolean
  signed: boolean
}

/** Every major with every storage, encrypted and not; all four pairs on one of them. */
function variantsOf(major: number): Variant[] {
  const variant = (storage: Variant['storage'], sealing = '') => ({
    major,
    storage,
    encrypted: sealing.includes('encrypted'),
    signed: sealing.includes('signed'),
  })
  if (major === 15) return [variant('directory'), variant('s3', 'encrypted')]
  if (major === 17) {
    return [
      variant('directory'),
      variant('directory', 'encrypted'),
      variant('s3', 'signed'),
      variant('s3', 'encrypted'),
    ]
  }
  return [variant('s3'), variant('directory', 'encrypted, signed')]
}

const CASES = availableMajors()
  .flatMap(variantsOf)
  .map((variant) => {
    const { major, storage, encrypted, signed } = variant
    const words = [`PostgreSQL ${major}`, storage, encrypted ? 'encrypted' : 'plain', ...(signed ? ['signed'] : [])]
    return [words.join(', '), variant] as const
  })

/** One line a table that holds rows: its name as the restore test shows it, and its rows as psql counts them. */
const COUNTS = `
  set search_path = '';
  select format('select %L || ''='' || count(*) from only %s', oid::regclass, oid::regclass) from pg_class
  where relkind = 'r' and relnamespace::regnamespace::text in ('public', 'ops', 'reporting')
    and relnamespace::regnamespace::text || '.' || relname !~ '^ops.notification_outbox_'
  order by 1 \\gexec
  select 'ops.notification_outbox (all partitions)=' || count(*) from ops.notification_outbox;`

/** What the README's own workflow asserts. */
const README_ASSERTION =
  /^ +assertions: \|\n +(.+)$/m.exec(readFileSync(new URL('../../README.md', import.meta.url), 'utf8'))?.[1] ?? ''

/** A command that reaches the restored database by both ways that it is told, as an application would. */
function commandFor({ bin }: TestServer): string {
  const psql = `'${join(bin, 'psql')}' -X -A -t`
  return `for url in '' "$DATABASE_URL"; do
    test "$(${psql} -c 'select count(*) > 0 from users' $url)" = t
    test "$(${psql} -c 'show search_path' $url)" = '"$user", public'
  done
  echo looked`
}

test.each(CASES)(
  '%s',
  async (_, variant) => {
    const server = await lab.example(variant.major)
    const storage = await lab.storage(variant.storage)
    const keys = variant.encrypted ? await lab.ageKeys() : undefined
    const signing = variant.signed ? await lab.signingKeys() : undefined
    const job = await lab.job(storage)
    const reading = readingInputs(storage, keys, signing)

    const dump = await job.run({
      action: 'action-dump',
      inputs: {
        ...storage.inputs,
        'database-url': server.url(EXAMPLE_DATABASE),
        label: 'e2e',
        ...(keys && { recipients: keys.recipient }),
        ...(signing && { 'signing-key': signing.privateKey }),
      },
    })
    expectExit(dump, 0)
    const { 'backup-id': id = '' } = dump.outputs
    await checkDump(dump, server, variant)
    await checkStored(storage, id, variant)

    const integrity = await job.run({ action: 'action-verify', inputs: { ...reading, mode: 'integrity' } })
    expectExit(integrity, 0)
    await checkIntegrity(integrity, id, variant)

    const asked = {
      assertions: README_ASSERTION,
      command: commandFor(server),
      'self-test': String(variant.encrypted),
    }
    const restored = await job.run({ action: 'action-restore-test', inputs: { ...reading, ...asked } })
    expectExit(restored, 0)
    await checkRestored(restored, id, server, variant)

    const smoke = await job.run({ action: 'action-verify', inputs: reading })
    expectExit(smoke, 0)
    expect(smoke.outputs).toMatchObject({ verdict: 'passed', 'backup-id': id, state: 'proven', 'checks-failed': '0' })
    expect((await reportOf<VerifyReport>(smoke)).bytesRead).toBe(0)

    await checkEvidence(storage, id, variant)
    const { posts, orphans } = await job.finish()
    expect(orphans).toEqual([])
    expect(posts.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0])
    const left = await readdir(join(job.directory, 'temp'))
    expect(left.filter((name) => !name.startsWith('pg-lifeboat-report-'))).toEqual([])
    for (const step of [dump, integrity, restored, smoke, ...posts]) expectNoSecret(step, server, keys, signing)
  },
  300_000,
)

function readingInputs(storage: TestStorage, keys: AgeKeys | undefined, signing: SigningKeys | undefined) {
  return {
    ...storage.inputs,
    ...(keys && { identity: keys.identity }),
    ...(signing && { 'verify-key': signing.publicKey, 'signing-key': signing.privateKey }),
  }
}

async function checkDump(dump: StepResult, server: TestServer, variant: Variant): Promise<void> {
  const { outputs } = dump
  const tables = await server.psql(
    EXAMPLE_DATABASE,
    `select count(*) from pg_class where relkind = 'r' and relnamespace::regnamespace::text in ('public', 'ops', 'reporting')`,
  )
  expect(outputs).toMatchObject({ verdict: 'passed', tables, rows: String(EXAMPLE_ROWS) })
  expect(outputs['backup-id']).toMatch(/^\d{8}T\d{6}Z-e2e-[a-z0-9]{6}$/)
  const report = await reportOf<DumpReport>(dump)
  expect(report).toMatchObject({
    kind: 'dump',
    verdict: 'passed',
    database: EXAMPLE_DATABASE,
    label: 'e2e',
    content: 'all',
    encryptedTo: variant.encrypted ? 1 : 0,
    signed: variant.signed,
    totals: { rows: EXAMPLE_ROWS, tables: Number(tables), largeObjects: EXAMPLE_LARGE_OBJECTS },
  })
  expect(report.server?.version).toMatch(new RegExp(`^${variant.major}\\.`))
  expect(report.tools?.version).toMatch(new RegExp(`^${variant.major}\\.`))
  expect(dump.summary).toContain(outputs['backup-id'])
}

/** The stored objects are what head and manifest say, byte for byte, and nothing else. */
async function checkStored(storage: TestStorage, id: string, variant: Variant): Promise<void> {
  const head = await storage.json<Head>(`${EXAMPLE_DATABASE}/heads/${id}.json`)
  const folder = `${EXAMPLE_DATABASE}/sets/${id}/`
  const manifestBytes = await storage.storage.read(`${folder}manifest.json`)
  expect(head.manifest.sha256).toBe(sha256(manifestBytes))
  const manifest = JSON.parse(manifestBytes.toString('utf8')) as Manifest
  expect(manifest.source.serverMajor).toBe(variant.major)
  const suffix = variant.encrypted ? '.zst.age' : '.zst'
  for (const part of manifest.parts) {
    const bytes = await storage.storage.read(`${folder}${part.path}`)
    expect([part.path, bytes.length, sha256(bytes)]).toEqual([part.path, part.bytes, part.sha256])
    if (part.path === 'RESTORE.md') continue
    expect(part.path.endsWith(suffix)).toBe(true)
    if (variant.encrypted) expect(bytes.subarray(0, 21).toString()).toBe('age-encryption.org/v1')
    else expect(bytes.readUInt32LE(0)).toBe(0xfd2fb528)
  }
  const paths = [
    ...manifest.parts.map(({ path }) => path),
    'manifest.json',
    ...(variant.signed ? ['manifest.json.sig'] : []),
  ]
  const expected = [`${EXAMPLE_DATABASE}/heads/${id}.json`, ...paths.map((path) => `${folder}${path}`)]
  expect(await storage.keys()).toEqual(expected.sort())
  for (const name of ['RESTORE.md', 'roles.sql', 'prepare.dat', 'contents.json', 'database/toc.dat']) {
    expect(paths).toContain(name === 'RESTORE.md' ? name : `${name}${suffix}`)
  }
  // What is not sealed tells nobody the schema.
  const open = `${JSON.stringify(head)}${manifestBytes}${await storage.storage.read(`${folder}RESTORE.md`)}`
  expect(open).not.toMatch(/booking|payments|cleanscore/)
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

async function checkIntegrity(step: StepResult, id: string, variant: Variant): Promise<void> {
  expect(step.outputs).toMatchObject({
    verdict: 'passed',
    'backup-id': id,
    state: 'intact',
    'checks-failed': '0',
    'checks-unverified': '0',
  })
  const report = await reportOf<VerifyReport>(step)
  expect(report.bytesRead).toBe(report.set?.storedBytes)
  expect(report.set).toMatchObject({
    label: 'e2e',
    whole: true,
    rows: EXAMPLE_ROWS,
    encrypted: variant.encrypted,
    signature: variant.signed ? 'verified' : 'none',
  })
  const passed = report.checks.filter(({ status }) => status === 'passed').map((check) => check.id)
  expect(passed).toEqual(expect.arrayContaining(['manifest', 'parts', 'stored-bytes', 'contents', 'rows']))
  if (variant.signed) expect(passed).toContain('signature')
  expect(step.summary).toContain(id)
}

async function checkRestored(step: StepResult, id: string, server: TestServer, variant: Variant): Promise<void> {
  const counted = (await server.psql(EXAMPLE_DATABASE, COUNTS)).split('\n').sort()
  expect(step.outputs).toMatchObject({ verdict: 'passed', 'backup-id': id, 'rows-proven': String(EXAMPLE_ROWS) })
  expect(Number(step.outputs['rto-seconds'])).toBeGreaterThan(0)
  expect(step.outputs['database-url']).toBe('')
  const report = await reportOf<RestoreTestReport>(step)
  expect(report.tables.map(({ table, rows }) => `${table}=${rows}`).sort()).toEqual(counted)
  expect(report.tables.filter(({ status }) => status !== 'equal')).toEqual([])
  // The four leaves of the table that came by its root stand in one line.
  expect(report.tablesProven).toBe(counted.length + 3)
  const verdicts = Object.fromEntries(report.checks.map((check) => [check.id, check.status]))
  expect(verdicts).toMatchObject({
    'restore-errors': 'passed',
    tables: 'passed',
    'large-objects': 'passed',
    sequences: 'passed',
    structure: 'passed',
    settings: 'passed',
    assertions: 'passed',
    command: 'passed',
    rto: 'passed',
    rpo: 'passed',
    'self-test': variant.encrypted ? 'passed' : 'not run',
  })
  const largeObjects = report.checks.find((check) => check.id === 'large-objects')
  expect(largeObjects?.summary).toContain(`${EXAMPLE_LARGE_OBJECTS} of ${EXAMPLE_LARGE_OBJECTS}`)
  const structure = report.checks.find((check) => check.id === 'structure')
  expect(structure?.findings).toEqual([])
  expect(step.log).toContain('command: looked')
  expect(step.summary).toContain('bookings_2025_01')
}

async function checkEvidence(storage: TestStorage, id: string, variant: Variant): Promise<void> {
  const objects = await storage.keys(`${EXAMPLE_DATABASE}/evidence/`)
  const keys = objects.filter((key) => !key.endsWith('.sig'))
  expect(objects.length - keys.length).toBe(variant.signed ? keys.length : 0)
  const names = keys.map((key) => key.replace(/^.*\/\d{8}T\d{6}Z-(.*)-[a-z0-9]{6}\.json$/, '$1'))
  expect(names.sort()).toEqual(['integrity-passed', 'restore-test-passed'])
  const manifest = sha256(await storage.storage.read(`${EXAMPLE_DATABASE}/sets/${id}/manifest.json`))
  for (const key of keys) {
    expect(await storage.json<Evidence>(key)).toMatchObject({ id, verdict: 'passed', manifestSha256: manifest })
  }
}

/** No password or key in what the step wrote, but in the commands that tell the runner to mask it. */
function expectNoSecret(
  step: StepResult,
  server: TestServer,
  keys: AgeKeys | undefined,
  signing: SigningKeys | undefined,
): void {
  const said = step.stdout.split('\n').filter((line) => !line.startsWith('::add-mask::'))
  const text = [...said, step.stderr, step.summary, JSON.stringify(step.outputs)].join('\n')
  const secrets = [server.password, ...(keys?.identity.match(/AGE-SECRET-KEY-\S+/) ?? [])]
  const keyLine = signing?.privateKey.split('\n')[1]
  for (const secret of keyLine === undefined ? secrets : [...secrets, keyLine]) expect(text).not.toContain(secret)
}

import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import fc from 'fast-check'
import { parse } from 'yaml'
import { endpointShown } from '../../src/actions/common-inputs.ts'
import { readDumpInputs } from '../../src/actions/dump-inputs.ts'
import type { InputSource } from '../../src/actions/inputs.ts'
import { outputsOf } from '../../src/actions/outputs.ts'
import { readRestoreTestInputs } from '../../src/actions/restore-test-inputs.ts'
import { readVerifyInputs } from '../../src/actions/verify-inputs.ts'
import { InputError, type InputProblem } from '../../src/base/errors.ts'
import { passedDump, passedRestoreTest, sealedVerify } from '../reports/examples.ts'

const CORES = 6

const ACTIONS = {
  'action-dump': { read: (source: InputSource) => readDumpInputs(source, CORES), report: passedDump },
  'action-verify': { read: readVerifyInputs, report: sealedVerify },
  'action-restore-test': {
    read: (source: InputSource) => readRestoreTestInputs(source, CORES),
    report: passedRestoreTest,
  },
}

interface Definition {
  inputs: Record<string, { description: string; required?: boolean; default?: string }>
  outputs: Record<string, { description: string }>
  runs: Record<string, string>
}

function definition(action: string): Definition {
  return parse(readFileSync(new URL(`../../${action}/action.yml`, import.meta.url), 'utf8'))
}

function source(values: Record<string, string>) {
  const asked = new Set<string>()
  const masked: string[] = []
  const input = (name: string) => {
    asked.add(name)
    return (values[name] ?? '').trim()
  }
  return { input, mask: (secret: string) => void masked.push(secret), asked, masked }
}

async function problemsOf(read: () => Promise<unknown>): Promise<readonly InputProblem[]> {
  try {
    await read()
  } catch (error) {
    if (error instanceof InputError) return error.problems
    throw error
  }
  return []
}

const ed25519 = generateKeyPairSync('ed25519', {
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
})
const rsaKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' })
const IDENTITY = await generateX25519Identity()
const RECIPIENT = await identityToRecipient(IDENTITY)
const OTHER_RECIPIENT = await identityToRecipient(await generateX25519Identity())
/** With one letter changed, as a slip of the hand does. */
const mistyped = (key: string) => key.slice(0, -1) + (/q$/i.test(key) ? 'p' : 'q').toUpperCase()

test.each(Object.entries(ACTIONS))(
  '%s: action.yml and the code name the same inputs, defaults and outputs',
  async (name, action) => {
    const { inputs, outputs, runs } = definition(name)
    const empty = source({ storage: 's3://bucket' })
    const values = await action.read(empty)
    expect([...empty.asked].sort()).toEqual(Object.keys(inputs).sort())

    // The job's token, which only a workflow has.
    const preset = (value = '') => (value === `\${{ github.token }}` ? '' : value)
    const defaults = Object.entries(inputs).map(([input, { default: value }]) => [input, preset(value)])
    expect(await action.read(source({ ...Object.fromEntries(defaults), storage: 's3://bucket' }))).toEqual(values)

    expect(Object.keys(outputsOf(action.report, '/tmp/report.json')).sort()).toEqual(Object.keys(outputs).sort())
    expect(runs).toEqual({ using: 'node24', main: 'dist/index.js', post: 'dist/index.js' })
    expect(inputs.storage?.required).toBe(true)
    for (const { description } of [...Object.values(inputs), ...Object.values(outputs)])
      expect(description).toMatch(/^\S.+\.$/)
  },
)

const TOLD = { alert: 'auto', alertLabels: [], alertAssignees: [], alertSilences: [], stallTimeout: 600 }

test('the defaults are those that are documented', async () => {
  expect(await ACTIONS['action-dump'].read(source({ storage: 's3://bucket/a/b/' }))).toEqual({
    ...TOLD,
    storage: 's3://bucket/a/b',
    label: 'manual',
    content: 'all',
    tables: [],
    excludeTables: [],
    excludeTableData: [],
    jobs: 4,
    compressionLevel: 1,
    spoolLimit: 2 ** 30,
    maxPause: 600,
    lockWaitTimeout: 60,
    recipients: [],
    retention: 'after-dump',
    policy: { keepLast: 3, keepDaily: 30, keepWeekly: 0, keepMonthly: 0, keepPartial: 10 },
    rtoTarget: 3_600,
    rpoTarget: 108_000,
  })
  expect(await readVerifyInputs(source({ storage: 'file:///var/backups' }))).toEqual({
    ...TOLD,
    storage: 'file:///var/backups',
    backup: { kind: 'latest' },
    verifyKeys: [],
    mode: 'smoke',
    maxAge: 108_000,
    sizeChangeWarn: 0.2,
    sizeChangeFail: 0.5,
    maxRestoreTestAge: 3_024_000,
    walLagWarn: 300,
    walLagFail: 900,
    tables: [],
    watchWorkflows: [],
    acceptSource: [],
    require: [],
    retention: 'off',
    policy: { keepLast: 3, keepDaily: 30, keepWeekly: 0, keepMonthly: 0, keepPartial: 10 },
    rtoTarget: 3_600,
    rpoTarget: 108_000,
  })
  expect(await ACTIONS['action-restore-test'].read(source({ storage: 's3://bucket' }))).toEqual({
    ...TOLD,
    storage: 's3://bucket',
    backup: { kind: 'latest' },
    verifyKeys: [],
    tables: [],
    jobs: CORES,
    assertions: [],
    keepRunning: false,
    selfTest: false,
    rtoTarget: 3_600,
    rpoTarget: 108_000,
  })
})

test('everything that can be said is understood', async () => {
  const dump = source({
    storage: 's3://bucket',
    database: 'shop-production',
    's3-endpoint': 'https://s3.example.org/',
    'database-url': 'postgresql://backup:hunter22@db/shop',
    'database-ca': '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----',
    label: 'before-release',
    content: 'data',
    tables: 'public.orders, "My, Table"\npublic.*\n\npublic.orders',
    'exclude-tables': 'a',
    'exclude-table-data': 'b',
    jobs: '8',
    'compression-level': '19',
    'spool-limit': '512MiB',
    'max-pause': '0s',
    'lock-wait-timeout': '1m30s',
    recipients: `# ops\n${RECIPIENT}\n${OTHER_RECIPIENT}`,
    'signing-key': ed25519.privateKey,
    retention: 'plan',
    'keep-last': '1',
    'keep-daily': '0',
    'keep-weekly': '8',
    'keep-monthly': '12',
    'keep-partial': '2',
    'lock-days': '30',
    'storage-class': 'STANDARD_IA',
  })
  const values = await readDumpInputs(dump, CORES)
  expect(values).toMatchObject({
    database: 'shop-production',
    s3Endpoint: 'https://s3.example.org',
    databaseUrl: 'postgresql://backup:hunter22@db/shop',
    tables: ['public.orders', '"My, Table"', 'public.*'],
    jobs: 8,
    spoolLimit: 2 ** 29,
    maxPause: 0,
    lockWaitTimeout: 90,
    recipients: [RECIPIENT, OTHER_RECIPIENT],
    retention: 'plan',
    policy: { keepLast: 1, keepDaily: 0, keepWeekly: 8, keepMonthly: 12, keepPartial: 2 },
    lockDays: 30,
    storageClass: 'STANDARD_IA',
  })
  expect(values.signingKey?.asymmetricKeyType).toBe('ed25519')
  expect(dump.masked).toEqual(['postgresql://backup:hunter22@db/shop', ed25519.privateKey.trim()])

  const restore = source({
    storage: 's3://bucket',
    backup: '2026-11-22 02:17',
    identity: `# created: today\n${IDENTITY}\n`,
    'verify-key': ed25519.publicKey + ed25519.publicKey,
    assertions:
      "# the shop is open\nhas orders: SELECT count(*) > 0 FROM orders;\nfresh: SELECT max(at) > now() - interval '1d' FROM orders",
    command: './check.sh',
    'keep-running': 'true',
    jobs: '1',
    tables: 'public.orders, "My, Table"',
    'target-url': 'postgresql://restore:hunter22@scratch/postgres',
    'database-ca': '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----',
  })
  expect(await readRestoreTestInputs(restore, CORES, { AWS_REGION: 'eu-central-1' })).toMatchObject({
    tables: [{ text: 'public.orders', schema: /^public$/su }, { name: /^My, Table$/su }],
    target: {
      databaseUrl: 'postgresql://restore:hunter22@scratch/postgres',
      databaseCa: expect.stringContaining('BEGIN CERTIFICATE'),
    },
    backup: { kind: 'at', at: new Date('2026-11-22T02:17:00Z') },
    assertions: [
      { name: 'has orders', sql: 'SELECT count(*) > 0 FROM orders' },
      { name: 'fresh', sql: "SELECT max(at) > now() - interval '1d' FROM orders" },
    ],
    command: './check.sh',
    keepRunning: true,
    verifyKeys: [{ type: 'public' }, { type: 'public' }],
  })
  expect(restore.masked).toEqual([`# created: today\n${IDENTITY}`, 'postgresql://restore:hunter22@scratch/postgres'])
})

test.each([
  ['latest', { kind: 'latest' }],
  ['proven', { kind: 'proven' }],
  ['20261122T021704Z-nightly-k3v9qa', { kind: 'id', id: '20261122T021704Z-nightly-k3v9qa' }],
  ['2026-11-22T02:17:04Z', { kind: 'at', at: new Date('2026-11-22T02:17:04Z') }],
  ['2026-11-22', { kind: 'at', at: new Date('2026-11-22T00:00:00Z') }],
])('backup: %s', async (backup, choice) => {
  expect((await readVerifyInputs(source({ storage: 's3://bucket', backup }))).backup).toEqual(choice)
})

test('all problems come at once, each with what is accepted and an example', async () => {
  const broken = {
    database: '../etc',
    's3-endpoint': 's3.example.org',
    label: '-x',
    content: 'some',
    tables: '"open',
    jobs: '0',
    'compression-level': '1.5',
    'spool-limit': '1',
    'max-pause': 'ten',
    'lock-wait-timeout': '0s',
    retention: 'on',
    'keep-last': '0',
    'keep-daily': '-1',
    'keep-weekly': '1w',
    'keep-monthly': '1e9',
    'keep-partial': '0',
    'storage-class': 'a b',
    'lock-days': 'x',
  }
  const problems = await problemsOf(() => readDumpInputs(source(broken), CORES))
  expect(problems.map(({ input }) => input).sort()).toEqual([...Object.keys(broken), 'storage'].sort())
  for (const { accepted, given, input } of problems) {
    expect(accepted.length).toBeGreaterThan(10)
    expect(given).toBe(input === 'storage' ? undefined : broken[input as keyof typeof broken])
  }
  const backups = ['31-12-2026', '2026-02-31', '2026-11-22T02:17:04+01:00', '20261122T021704Z', 'newest']
  for (const backup of backups) {
    expect(await problemsOf(() => readVerifyInputs(source({ storage: 's3://b-1', backup })))).toMatchObject([
      { input: 'backup' },
    ])
  }
  const crossed = { storage: 's3://bucket', 'size-change-warn': '60%', mode: 'all', 'wal-lag-fail': '1m' }
  expect((await problemsOf(() => readVerifyInputs(source(crossed)))).map(({ input }) => input)).toEqual([
    'mode',
    'size-change-warn',
    'wal-lag-warn',
  ])
  const twice = { storage: 's3://bucket', assertions: 'a: SELECT true\na: SELECT true\nSELECT 1\nb::text' }
  expect(await problemsOf(() => readRestoreTestInputs(source(twice), CORES))).toMatchObject([
    { problem: 'has 2 lines without a name and SQL' },
    { problem: 'uses a name twice', given: 'a' },
  ])
  const place = { storage: 's3://bucket', tables: 'a.b.c, "x"', 'postgres-version': '9.6', 'database-ca': 'x' }
  expect(await problemsOf(() => readRestoreTestInputs(source(place), CORES))).toMatchObject([
    { input: 'tables', given: 'a.b.c' },
    { input: 'postgres-version', given: '9.6' },
    { input: 'database-ca', problem: expect.stringContaining('target-url') },
  ])
  const target = { storage: 's3://bucket', 'postgres-version': '18', 'self-test': 'true', 'target-url': 'http://db' }
  expect(
    await problemsOf(() => readRestoreTestInputs(source(target), CORES, { AWS_REGION: 'eu-central-1' })),
  ).toMatchObject([
    { input: 'target-url', problem: expect.stringContaining('no PostgreSQL URL') },
    { input: 'postgres-version', problem: 'does not go with `target-url`' },
    { input: 'self-test', problem: 'does not go with `target-url`' },
  ])
  const onDisk = {
    storage: 'file:///x',
    'lock-days': '3',
    'storage-class': 'GLACIER',
    's3-endpoint': 'https://s3.example',
  }
  expect((await problemsOf(() => readDumpInputs(source(onDisk), CORES))).map(({ input }) => input).sort()).toEqual([
    'lock-days',
    's3-endpoint',
    'storage-class',
  ])
})

test('retention after a verification wants to have looked at the newest backup, as a whole', async () => {
  const storage = 's3://bucket'
  const kept = { retention: 'after-verify', 'keep-last': '7', 'keep-daily': '14' }
  const values = await readVerifyInputs(source({ storage, ...kept, mode: 'integrity' }))
  expect(values).toMatchObject({ retention: 'after-verify', policy: { keepLast: 7, keepDaily: 14, keepPartial: 10 } })
  const wrong = { storage, retention: 'plan', mode: 'database', backup: 'proven', tables: 'orders' }
  expect(await problemsOf(() => readVerifyInputs(source(wrong)))).toMatchObject([
    { input: 'retention', problem: expect.stringContaining('mode database') },
    { input: 'retention', problem: expect.stringContaining('backup') },
    { input: 'retention', problem: expect.stringContaining('tables') },
  ])
  const sliced = { storage, ...kept, mode: 'integrity', slice: '3/7' }
  expect(await problemsOf(() => readVerifyInputs(source(sliced)))).toMatchObject([
    { input: 'retention', problem: 'and `slice` exclude each other' },
  ])
  const counts = { storage, retention: 'after-dump', 'keep-last': '0' }
  expect((await problemsOf(() => readVerifyInputs(source(counts)))).map(({ input }) => input)).toEqual([
    'retention',
    'keep-last',
  ])
})

test('verify can be narrowed, and told what it must know', async () => {
  const verify = source({
    storage: 's3://bucket',
    mode: 'full',
    'database-url': 'postgresql://backup:hunter22@db/shop',
    tables: 'orders, "Sales"."Order"\ncrm.*',
    'storage-quota': '500GiB',
    'watch-workflows': 'nightly-dump.yml, .github/workflows/Restore_test.2.yaml\n.github/workflows/nightly-dump.yml',
    'accept-source': '7412345678901234567/shop, 7',
    require: 'object-lock, schema-drift',
  })
  const values = await readVerifyInputs(verify)
  expect(values).toMatchObject({ mode: 'full', storageQuota: 500 * 2 ** 30, require: ['object-lock', 'schema-drift'] })
  expect(values.tables.map(({ text }) => text)).toEqual(['orders', '"Sales"."Order"', 'crm.*'])
  expect(values.watchWorkflows).toEqual(['nightly-dump.yml', 'Restore_test.2.yaml'])
  expect(values.acceptSource).toEqual(['7412345678901234567/shop', '7'])
  expect(verify.masked).toEqual(['postgresql://backup:hunter22@db/shop'])
  const sliced = await readVerifyInputs(source({ storage: 's3://bucket', mode: 'integrity', slice: '3/7' }))
  expect(sliced.slice).toEqual({ number: 3, of: 7 })

  const wrong = await problemsOf(() =>
    readVerifyInputs(
      source({
        storage: 's3://bucket',
        slice: '8/7',
        tables: 'a.b.c',
        'accept-source': 'shop',
        'storage-quota': '5',
        'watch-workflows': 'Nightly dump, a.yml, ../b.yml, .yml, c.yml@main',
        require: 'signature, schema-drift, objekt-lock',
      }),
    ),
  )
  expect(wrong.map(({ input, given, problem }) => `${input} ${problem}: ${given}`)).toEqual([
    'slice is no slice: 8/7',
    'tables holds what is no name of a table: a.b.c',
    'slice has no meaning in the mode smoke: undefined',
    'slice and `tables` exclude each other: undefined',
    'storage-quota is not a size, or too small: 5',
    'watch-workflows holds what is no file of a workflow: Nightly dump, ../b.yml, .yml, c.yml@main',
    'accept-source names no source of backups: shop',
    'require names no check of the mode smoke: schema-drift, objekt-lock',
  ])
  expect(wrong.at(-1)?.accepted).toMatch(/^manifest, signature, .*object-lock/)
  for (const mode of ['integrity', 'database']) {
    const given = { storage: 's3://bucket', mode, 'watch-workflows': 'a.yml' }
    expect(await problemsOf(() => readVerifyInputs(source(given)))).toMatchObject([
      { input: 'watch-workflows', problem: `has no meaning in the mode ${mode}` },
    ])
  }
})

test('only the modes that look at the server need to know where it is', async () => {
  const needed = (mode: string, values = {}) =>
    problemsOf(() => readVerifyInputs(source({ storage: 'file:///b', mode, ...values }), { HOME: '/nonexistent' }))
  for (const mode of ['smoke', 'integrity']) expect(await needed(mode)).toEqual([])
  for (const mode of ['database', 'full']) {
    expect((await needed(mode)).map(({ input }) => input)).toEqual(['database-url'])
    expect(await needed(mode, { 'database-url': 'postgresql://a@b/c' })).toEqual([])
  }
})

test('what only a second look finds comes with the rest', async () => {
  const given = {
    storage: 's3://bucket/a#b',
    label: '-x',
    recipients: `${RECIPIENT}\n${mistyped(OTHER_RECIPIENT).toLowerCase()}`,
    's3-endpoint': 'https://s3.example.org/#bucket',
  }
  const problems = await problemsOf(() => readDumpInputs(source(given), CORES))
  expect(problems.map(({ input, problem }) => `${input} ${problem}`).sort()).toEqual([
    expect.stringMatching(/^label /),
    expect.stringMatching(/^recipients cannot be used: "age1.{8}…" has a typing error/),
    's3-endpoint holds more than an address',
    expect.stringMatching(/^storage has a query or a fragment/),
  ])
  const identity = mistyped(IDENTITY)
  const reading = source({ storage: 'file:///100%/x', backup: 'x', identity })
  const read = await problemsOf(() => readVerifyInputs(reading))
  expect(read.map(({ input }) => input).sort()).toEqual(['backup', 'identity', 'storage'])
  expect(JSON.stringify(read)).not.toContain(identity)

  const regionless = (env: NodeJS.ProcessEnv) =>
    problemsOf(() => readVerifyInputs(source({ storage: 's3://bucket', mode: 'x' }), { HOME: '/nonexistent', ...env }))
  expect((await regionless({})).map(({ input }) => input)).toEqual(['AWS_REGION', 'mode'])
  // Another service has none, and a profile may name one.
  for (const env of [{ AWS_ENDPOINT_URL: 'http://s3.local' }, { AWS_REGION: 'a' }, { AWS_CONFIG_FILE: '/dev/null' }]) {
    expect((await regionless(env)).map(({ input }) => input)).toEqual(['mode'])
  }
})

test.each([
  's3://',
  's3://bucket//a',
  's3://bucket/../x',
  'file://relative',
  'file:///',
  'file:///a/../b',
  '/var/x',
  'S3://b',
  'https://x',
])('storage: %s is refused', async (storage) => {
  expect(await problemsOf(() => readVerifyInputs(source({ storage })))).toMatchObject([
    { input: 'storage', given: storage },
  ])
})

test('no secret is in a problem, also where it was given in the wrong place', async () => {
  const secrets = [IDENTITY, rsaKey.toString(), ed25519.privateKey, 'hunter22', 's3://key:hunter22@bucket']
  const names = Object.keys({ ...definition('action-dump').inputs, ...definition('action-restore-test').inputs })
  const secretInputs = [
    'database-url',
    'target-url',
    'signing-key',
    'identity',
    'verify-key',
    'recipients',
    'storage',
    's3-endpoint',
    'heartbeat-url',
    'github-token',
  ]
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...secrets),
      fc.constantFrom(...names.filter((name) => secretInputs.includes(name))),
      async (secret, name) => {
        for (const { read } of Object.values(ACTIONS)) {
          const values = {
            storage: 's3://bucket',
            [name]: name === 'storage' && !secret.includes('@') ? `s3://${secret}@x` : secret,
          }
          if (name === 's3-endpoint') values[name] = `https://user:${encodeURIComponent(secret)}@example.org`
          const problems = await problemsOf(() => read(source(values)))
          for (const line of secret.split('\n').filter((text) => text.length > 10)) {
            expect(JSON.stringify(problems)).not.toContain(line)
          }
          expect(JSON.stringify(problems)).not.toContain('hunter22')
        }
      },
    ),
  )
  const wrong = { storage: 's3://bucket', 'signing-key': rsaKey.toString(), recipients: IDENTITY }
  const dump = source(wrong)
  const refused = await problemsOf(() => readDumpInputs(dump, CORES))
  expect(refused.map(({ input }) => input).sort()).toEqual(['recipients', 'signing-key'])
  expect(dump.masked).toContain(IDENTITY)
  const swapped = { storage: 's3://bucket', identity: RECIPIENT, 'verify-key': ed25519.privateKey }
  expect((await problemsOf(() => readVerifyInputs(source(swapped)))).map(({ problem }) => problem)).toEqual([
    'is not an age identity',
    'is a private key',
  ])
})

test('of the endpoint only the address is shown, be it from the input or the environment', () => {
  const shown = (given: string, env: NodeJS.ProcessEnv = {}) => endpointShown({ input: () => given }, env)
  expect(shown('https://s3.example.org/')).toBe('https://s3.example.org')
  expect(shown('http://127.0.0.1:9000/base/')).toBe('http://127.0.0.1:9000/base')
  expect(shown('', { AWS_ENDPOINT_URL: 'https://minio.example.org' })).toBe('https://minio.example.org')
  expect(shown('')).toBeUndefined()
  for (const secret of ['user:hunter22@', ':hunter22@', 'hunter22@']) {
    for (const text of [
      `https://${secret}s3.example.org`,
      `https://s3.example.org?key=${secret}`,
      `no url ${secret}`,
    ]) {
      expect(shown(text) ?? '').not.toContain('hunter22')
      expect(shown('', { AWS_ENDPOINT_URL_S3: text }) ?? '').not.toContain('hunter22')
    }
  }
})

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Evidence } from '../../src/backup-set/documents.ts'
import type { CheckResult } from '../../src/base/findings.ts'
import type { VerifyReport } from '../../src/reports/report.ts'
import { expectRefusal } from './refusal.ts'
import { expectExit, Lab, reportOf } from './support.ts'
import { makeTwoSets, type TwoSets } from './two-sets.ts'

/** The modes of action-verify that are new to a storage and a server, by the bundled actions. */
const lab = new Lab()
let sets: TwoSets

beforeAll(async () => {
  sets = await makeTwoSets(lab)
})
afterAll(() => lab.close())

function verify(sealed: boolean, inputs: Record<string, string>) {
  return lab.run('action-verify', sealed ? sets.sealed : sets.plain, inputs)
}

function statuses(checks: readonly CheckResult[]): Record<string, string> {
  return Object.fromEntries(checks.map(({ id, status }) => [id, status]))
}

describe('slices', () => {
  test('each is evidence of its own; when all have passed, the set is intact', async () => {
    const { age, signing } = sets
    const signed = { 'verify-key': signing.publicKey, 'signing-key': signing.privateKey }
    const keys = { identity: age.identity, ...signed, mode: 'integrity' }
    const first = await verify(true, { ...keys, slice: '1/2' })
    expectExit(first, 0)
    expect(first.outputs).toMatchObject({ verdict: 'passed', state: 'written' })
    expect(first.summary).toContain('This was slice 1 of 2: what is in the others was not read.')
    const second = await verify(true, { ...keys, slice: '2/2' })
    expect(second.outputs).toMatchObject({ verdict: 'passed', state: 'intact' })
    const [one, other] = [await reportOf<VerifyReport>(first), await reportOf<VerifyReport>(second)]
    // What describes the set is read with every slice.
    expect(one.bytesRead + other.bytesRead).toBeGreaterThan(one.set?.storedBytes ?? 0)
    expect(Math.max(one.bytesRead, other.bytesRead)).toBeLessThan(one.set?.storedBytes ?? 0)
    const evidence = (await sets.sealed.keys('app/evidence/')).filter((key) => key.endsWith('.json'))
    expect(evidence.map((key) => /Z-(integrity-\dof2-passed)-/.exec(key)?.[1])).toEqual([
      'integrity-1of2-passed',
      'integrity-2of2-passed',
    ])
    expect(await sets.sealed.json<Evidence>(evidence[0] ?? '')).toMatchObject({ slice: { number: 1, of: 2 } })
  })
})

describe('named tables', () => {
  test('only their parts are read, and nothing is recorded', async () => {
    const before = await sets.plain.keys('app/evidence/')
    const named = await verify(false, { mode: 'integrity', tables: 'customer' })
    expectExit(named, 0)
    expect(named.summary).toContain('Only the named tables were looked at')
    expect(statuses((await reportOf<VerifyReport>(named)).checks)).toMatchObject({
      'named-tables': 'passed',
      rows: 'passed',
    })
    expect(await sets.plain.keys('app/evidence/')).toEqual(before)
  })

  test('a name that names nothing ends the run, with what may have been meant', async () => {
    for (const mode of ['smoke', 'integrity']) {
      const refused = await verify(false, { mode, tables: 'customers, public.document' })
      expectRefusal(refused, 'unverified', /tables names no table \(given: "customers"\); accepted: .*public\.customer/)
    }
  })
})

describe('the live database', () => {
  test('as it was: everything that can be compared is, and no line of it holds a row or a secret', async () => {
    const { url, age } = sets
    const compared = await verify(true, { mode: 'database', 'database-url': url, identity: age.identity })
    expectExit(compared, 0)
    const { checks, server, limitation } = await reportOf<VerifyReport>(compared)
    expect(statuses(checks)).toEqual({
      manifest: 'passed',
      signature: 'not run',
      'named-tables': 'not run',
      'database-identity': 'passed',
      'live-tables': 'passed',
      'schema-drift': 'passed',
      readable: 'passed',
      'row-growth': expect.stringMatching(/^(passed|not run)$/),
      'live-sequences': 'passed',
      'foreign-keys': 'not run',
      'wal-archive': 'not run',
      clocks: 'passed',
    })
    expect(server?.host).toMatch(/^127\.0\.0\.1:\d+\/app$/)
    expect(limitation).toBeUndefined()

    const closed = await verify(true, { mode: 'database', 'database-url': url })
    expectExit(closed, 0)
    expect(closed.summary).toContain('it was not compared with the database')
    expectRefusal(
      await verify(true, { mode: 'database', 'database-url': url, require: 'live-tables' }),
      'unverified',
      /live-tables is required, and was not carried out: encrypted/,
    )
  })

  test('as it became: drift object by object, rows that do not fit, and a role that cannot read all', async () => {
    const { server, url } = sets
    await server.psql(
      'app',
      `create table invoice (id int, customer int);
       insert into invoice values (1, 1), (2, 99999);
       alter table invoice add foreign key (customer) references customer not valid;
       alter table customer alter column name type varchar(100), add column note text;
       drop table document;
       create role auditor login password '${server.password}';
       grant usage on schema public to auditor; grant select on customer to auditor`,
    )
    const drifted = await verify(false, { mode: 'database', 'database-url': url })
    expectExit(drifted, 0)
    const found = await reportOf<VerifyReport>(drifted)
    const drift = found.checks.find(({ id }) => id === 'schema-drift')?.details?.rows.map((cells) => cells.join(' '))
    expect(drift).toEqual(
      expect.arrayContaining([
        'column public.customer.name type: text → character varying(100)',
        'column public.customer.note created since',
        'table public.document dropped since',
        'table public.invoice created since',
      ]),
    )
    expect(drifted.summary).toMatch(/<details>\n<summary>What changed in the schema/)
    expect(drifted.summary).toContain('public.invoice (8.0 KiB) is in no backup yet')
    expect(drifted.summary).toContain('1 row of public.invoice names nothing in public.customer')

    const refused = await verify(false, { mode: 'full', 'database-url': server.url('app', 'auditor') })
    expectRefusal(refused, 'failed', /The next dump by this role would stop: .*public\.invoice needs SELECT/)
    // The server is no matter of the set.
    expect(refused.outputs.state).toBe('intact')
    const { checks } = await reportOf<VerifyReport>(refused)
    expect(statuses(checks)).toMatchObject({
      rows: 'passed',
      roles: 'passed',
      'backup-age': 'passed',
      readable: 'failed',
    })
  })

  test('another database is told of, with the name that would accept it', async () => {
    const url = await sets.server.createDatabase('other')
    const refused = await verify(false, { mode: 'database', 'database-url': url })
    const name = /`accept-source: (\d+\/other)`/.exec(refused.summary)?.[1] ?? ''
    expectRefusal(refused, 'failed', /is \d+\/other, while the backup is of \d+\/app/)
    expect(statuses((await reportOf<VerifyReport>(refused)).checks)['live-tables']).toBe('not run')
    const accepted = await verify(false, { mode: 'database', 'database-url': url, 'accept-source': name })
    expect(accepted.summary).toContain('is in the backup, and not in the database any more')
    expectRefusal(await verify(false, { mode: 'database' }), 'unverified', /database-url is empty, and no PGHOST/)
  })

  test('a server that does not answer leaves what needs it unverified, once', async () => {
    const url = 'postgresql://app:some-secret-password@127.0.0.1:1/app'
    const refused = await verify(false, { mode: 'database', 'database-url': url })
    expectRefusal(refused, 'unverified', /127\.0\.0\.1:1/)
    expect(refused.outputs).toMatchObject({ 'checks-unverified': '1', 'checks-failed': '0' })
  })
})

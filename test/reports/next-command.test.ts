import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { diagnose } from '../../src/reports/diagnoses.ts'
import { CHECK_CAUSES } from '../../src/reports/diagnoses-of-checks.ts'
import { RUN_CAUSES } from '../../src/reports/diagnoses-of-runs.ts'
import { type CommandFacts, nextCommand } from '../../src/reports/next-command.ts'

const names = (causes: typeof CHECK_CAUSES) =>
  causes.flatMap(([each]) => each.split(' ')).map((name) => name.replace('*', 'x'))
const DIAGNOSES = [
  ...names(RUN_CAUSES).map((code) => [code, diagnose({ key: 'dump/run', status: 'failed', code })] as const),
  ...names(CHECK_CAUSES).map((id) => [id, diagnose({ key: `verify/${id}`, status: 'failed' })] as const),
  ['unknown', diagnose({ key: 'verify/new-check', status: 'failed' })] as const,
  ['unverified', diagnose({ key: 'verify/rows', status: 'unverified' })] as const,
]

const ON_S3: CommandFacts = {
  database: 'shop',
  storage: 's3://my-backups/postgres',
  run: 'https://github.com/your-org/shop/actions/runs/1052/attempts/2',
  workflows: { dump: 'nightly-dump.yml', 'restore-test': 'restore-test.yml' },
}
const ON_DISK: CommandFacts = { ...ON_S3, storage: 'file:///var/my%20backups' }

const next = (name: string, facts: CommandFacts) => {
  const [, diagnosis = {}] = DIAGNOSES.find(([one]) => one === name) ?? []
  return nextCommand(diagnosis, facts)
}

/** Without the words that stand for something, and as they come: with blanks, quotes and what a shell would obey. */
const word = fc.stringMatching(/^[a-z0-9][a-z0-9 ';$().é_-]{0,12}$/)
const facts = fc.record(
  {
    database: word,
    storage: fc.oneof(
      fc.tuple(word, word).map(([a, b]) => `s3://my-bucket/${a}/${b}`),
      fc.constant('s3://my-bucket'),
      word.map((name) => `file:///mnt/${encodeURIComponent(name)}`),
    ),
    endpoint: fc.constantFrom('https://s3.example.org', 'http://127.0.0.1:9000/base'),
    run: fc.nat().map((id) => `https://github.com/your-org/shop/actions/runs/${id}`),
    workflows: fc.record({ dump: word, 'restore-test': word }),
  },
  { requiredKeys: ['database', 'storage', 'run', 'workflows'] },
)

test('with all facts known no command keeps a word that stands for something', () => {
  fc.assert(
    fc.property(facts, (known) => {
      for (const [name, diagnosis] of DIAGNOSES) {
        const text = nextCommand(diagnosis, known) ?? ''
        const commands = text.split('`').filter((_, index) => index % 2 === 1)
        expect(`${name}: ${commands.join('; ')}`).not.toMatch(
          /\b(RUN|BUCKET|PREFIX|DATABASE|DIRECTORY|ENDPOINT)\b|WORKFLOW\b/,
        )
        expect(text.split('`').length % 2).toBe(1)
        if (known.storage?.startsWith('file:')) expect(`${name}: ${text}`).not.toMatch(/\baws\b/)
        else if (known.endpoint !== undefined) {
          const bare = text.replaceAll(`aws --endpoint-url ${known.endpoint} s3`, '')
          expect(`${name}: ${bare}`).not.toMatch(/\baws s3/)
        } else expect(`${name}: ${text}`).not.toContain('--endpoint-url')
      }
    }),
  )
})

test('the workflow that a command starts is the one that does that work, or a word for it', () => {
  expect(next('backup-age', ON_S3)).toContain('`gh workflow run nightly-dump.yml`')
  expect(next('parts', ON_S3)).toContain('`gh workflow run nightly-dump.yml`')
  expect(next('rpo', ON_S3)).toContain('`gh workflow run restore-test.yml`')
  expect(next('restore-test-age', ON_S3)).toContain('`gh run list --workflow restore-test.yml`')
  expect(next('backup-age', { storage: 's3://b' })).toContain('`gh workflow run DUMP-WORKFLOW.yml`')
  expect(next('rpo', { workflows: { dump: 'dump.yml' } })).toContain('`gh workflow run RESTORE-TEST-WORKFLOW.yml`')
  // The check itself says which one it is.
  expect(next('workflows', {})).toContain('`gh workflow list --all; gh run list`')
})

test('a bucket is asked where it is; a directory is looked at with what every runner has', () => {
  const heads = (facts: CommandFacts) => /`[^`]*heads[^`]*`/.exec(next('no-set', facts) ?? '')?.[0]
  expect(heads(ON_S3)).toBe('`aws s3 ls s3://my-backups/postgres/shop/heads/`')
  expect(heads({ ...ON_S3, storage: 's3://my-backups' })).toBe('`aws s3 ls s3://my-backups/shop/heads/`')
  expect(heads({ ...ON_S3, endpoint: 'https://s3.example.org' })).toBe(
    '`aws --endpoint-url https://s3.example.org s3 ls s3://my-backups/postgres/shop/heads/`',
  )
  expect(heads({ storage: 's3://my-backups/***' })).toBe('`aws s3 ls s3://my-backups/PREFIX/DATABASE/heads/`')
  expect(heads({})).toBe('`aws s3 ls s3://BUCKET/PREFIX/DATABASE/heads/`')
  expect(heads(ON_DISK)).toBe("`ls -l '/var/my backups'/shop/heads`")
  expect(next('storage-quota', ON_S3)).toContain('--prefix postgres/ ')
  expect(next('storage-quota', { ...ON_S3, storage: 's3://my-backups' })).not.toContain('--prefix')
  expect(next('parts', ON_DISK)).toBe('Take a new backup now: `gh workflow run nightly-dump.yml`.')
  expect(next('versioning', ON_DISK)).toBeUndefined()
  // Of a stall that only the storage can be the cause of.
  const { cause } = diagnose({ key: 'verify/integrity-run', status: 'unverified', code: 'storage-stalled' })
  expect(cause).toMatch(/^The storage was in trouble/)
  // Who the keys belong to only AWS itself can say.
  expect(next('storage-access-denied', { ...ON_S3, endpoint: 'https://s3.example.org' })).toContain('`aws sts ')
})

test('what a shell would obey is quoted; what cannot be written down as it is keeps its word', () => {
  const run = (dump: string) => next('tools', { workflows: { dump } })
  expect(run("it's; rm -rf.yml")).toBe("Take a new backup: `gh workflow run 'it'\\''s; rm -rf.yml'`.")
  for (const strange of ['a`b.yml', 'a\nb.yml', '***', '-x.yml', `${'a'.repeat(40)}…`, '']) {
    expect(run(strange)).toBe('Take a new backup: `gh workflow run DUMP-WORKFLOW.yml`.')
  }
  expect(next('no-set', { ...ON_DISK, storage: 'file:///%' })).toContain('DIRECTORY/shop/heads')
})

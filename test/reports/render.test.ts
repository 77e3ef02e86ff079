import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { renderLogLines, renderSummary } from '../../src/reports/render.ts'
import type { Report, RestoreTestReport } from '../../src/reports/report.ts'
import * as examples from './examples.ts'

/** To accept a changed page: LIFEBOAT_UPDATE_GOLDEN=1, then read the difference. */
const UPDATE = process.env.LIFEBOAT_UPDATE_GOLDEN === '1'

function expectGolden(name: string, text: string): void {
  const file = new URL(`golden/${name}.golden`, import.meta.url)
  if (UPDATE) writeFileSync(file, text)
  expect(text).toBe(readFileSync(file, 'utf8'))
}

test.each(Object.entries(examples))('the pages of %s are as they were agreed on', (name, report) => {
  expectGolden(`${name}.md`, renderSummary(report))
  expectGolden(`${name}.log`, `${renderLogLines(report).join('\n')}\n`)
})

test('the headline begins with the verdict and fits every state of a run', () => {
  const headline = (report: Report) => renderSummary(report).split('\n')[0]
  const { passedDump, failedDump, failedVerify, passedRestoreTest, failedRestoreTest } = examples
  expect(headline({ ...passedDump, content: 'schema' })).toMatch(
    /^## ✅ Passed: the schema of `shop`, without rows, is /,
  )
  expect(headline({ ...passedDump, partial: 'only "tables"' })).toMatch(/^## ✅ Passed: a part of `shop` is backed up/)
  expect(headline({ ...passedDump, verdict: 'failed', checks: failedDump.checks })).toBe(
    '## ❌ Failed: `shop` is backed up, but something is wrong with the run: Readable objects.',
  )
  expect(headline({ ...failedVerify, backupId: undefined, checks: [] })).toBe(
    '## ❌ Failed: no backup of `shop` could be examined.',
  )
  expect(headline({ ...failedVerify, verdict: 'unverified', checks: failedVerify.checks.slice(1) })).toMatch(
    /^## ❓ Unverified: .* could not be verified, 1 of 2 checks could not be carried out: Last restore test\.$/,
  )
  expect(
    headline({ ...failedRestoreTest, tables: [], tablesProven: 0, error: { code: 'x', message: 'm', remedy: 'r' } }),
  ).toBe('## ❌ Failed: `shop` as of 2026-11-22 02:17 UTC is not proven, the restore test ended early.')
  expect(headline({ ...passedRestoreTest, verdict: 'failed', checks: failedRestoreTest.checks })).toBe(
    '## ❌ Failed: `shop` as of 2026-11-22 02:17 UTC was restored with 2 tables with 1,204,331 rows equal to what was dumped, but 1 of 1 check failed: Rows.',
  )
})

test('what did not run has no tick, and a kept database is nowhere to be read', () => {
  for (const report of Object.values(examples)) {
    const pages = [...renderSummary(report).split('\n'), ...renderLogLines(report)]
    for (const line of pages.filter((text) => text.includes('not run'))) expect(line).not.toMatch(/[✅✓❌✗]/u)
    expect(pages.join('\n')).not.toContain('throw-away@')
  }
})

const hostile = fc.string({
  unit: fc.constantFrom(...'`|<>\n\r\\@#*_[]()&$~!:/.- aZ09é\t\u0007\u2028💥'),
  minLength: 1,
  maxLength: 60,
})

/** The report with every free text in it replaced; words of fixed meaning and times stay. */
function poison<T>(value: T, next: () => string, key = ''): T {
  const fixed = ['kind', 'verdict', 'status', 'severity', 'mode', 'state', 'content', 'signature', 'runUrl']
  if (typeof value === 'string') return fixed.includes(key) || key.endsWith('At') ? value : (next() as T)
  if (Array.isArray(value)) return value.map((entry) => poison(entry, next)) as T
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, poison(entry, next, name)])) as T
}

/** The skeleton of a page: its lines, with text taken out. */
function skeleton(page: string): string[] {
  return page.split('\n').map((line) => {
    if (line.startsWith('|')) return `${line.split('|').length} cells`
    return /^(#+ \S+|- \S+|<\/?\w+>|\[|…|Started|$)/.exec(line)?.[0] ?? 'text'
  })
}

test('no text from outside changes the structure of a page', () => {
  fc.assert(
    fc.property(
      fc.constantFrom<Report[]>(...Object.values(examples)),
      fc.array(hostile, { minLength: 1 }),
      (report, texts) => {
        let used = 0
        // Numbered, since findings that say the same are shown once.
        const next = () => `${texts[used++ % texts.length]}${used}`
        const plain = renderSummary(poison(report, () => `text ${used++}`))
        const page = renderSummary(poison(report, next))
        expect(skeleton(page)).toEqual(skeleton(plain))
        expect(page.replaceAll(/<\/?(details|summary|code)>|<br>/g, '')).not.toContain('<')
      },
    ),
    { numRuns: 120 },
  )
})

test('a page stays below 200 kB, and says how much it leaves out', () => {
  const many: RestoreTestReport = {
    ...examples.failedRestoreTest,
    tables: Array.from({ length: 20_000 }, (_, index) => ({
      table: `public."${'|<'.repeat(30)}${index}"`,
      rows: index,
      bytes: index,
      status: 'different' as const,
      note: '*'.repeat(5_000),
    })),
    findings: Array.from({ length: 500 }, (_, index) => ({
      severity: 'failure' as const,
      message: `${index}${'`|`'.repeat(3_000)}`,
      remedy: '<'.repeat(3_000),
    })),
  }
  const page = renderSummary(many)
  expect(Buffer.byteLength(page)).toBeLessThan(200_000)
  expect(page).toMatch(/… and 19,\d{3} more, in the report/)
  expect(page).toMatch(/^## ❌ Failed: 20,000 of 20,000 tables/)
  expect(renderLogLines(many).length).toBeLessThan(2_000)

  const ordinary = {
    ...many,
    tables: many.tables.map((table, index) => ({ ...table, table: `t${index}`, note: '' })),
    findings: [],
  }
  expect(renderSummary(ordinary)).toContain('… and 19,900 more, in the report')
})

import { dumpPage } from './dump-page.ts'
import { lossSentence } from './loss-budget.ts'
import type { Page } from './page.ts'
import { renderPageLog } from './render-log.ts'
import { renderPageMarkdown } from './render-markdown.ts'
import type { Report } from './report.ts'
import { restoreTestPage } from './restore-test-page.ts'
import { trendsOf } from './trends.ts'
import { verifyPage } from './verify-page.ts'

/**
 * The job summary of a report: Markdown of less than 200 kB. Redact the report first: a secret with an `&` in it would
 * not be found any more in escaped text.
 */
export function renderSummary(report: Report): string {
  return renderPageMarkdown(pageOf(report))
}

/** The same facts for the log, one line each. */
export function renderLogLines(report: Report): string[] {
  return renderPageLog(pageOf(report))
}

function pageOf(report: Report): Page {
  return { ...ownPage(report), opening: lossSentence(report), trends: trendsOf(report.trends) }
}

function ownPage(report: Report): Page {
  switch (report.kind) {
    case 'dump':
      return dumpPage(report)
    case 'verify':
      return verifyPage(report)
    case 'restore-test':
      return restoreTestPage(report)
  }
}

import type { CheckStatus } from '../base/findings.ts'
import type { DumpReport, Report, RestoreTestReport, VerifyReport } from '../reports/report.ts'

/** The outputs of the action that made the report, as `action.yml` names them; '' for what the run did not come to. */
export function outputsOf(report: Report, reportPath: string): Record<string, string | number> {
  return { verdict: report.verdict, 'backup-id': report.backupId ?? '', ...ownOutputs(report), report: reportPath }
}

function ownOutputs(report: Report): Record<string, string | number> {
  switch (report.kind) {
    case 'dump':
      return dumpOutputs(report)
    case 'verify':
      return verifyOutputs(report)
    case 'restore-test':
      return restoreTestOutputs(report)
  }
}

function dumpOutputs({ totals, seconds }: DumpReport) {
  return {
    tables: totals?.tables ?? '',
    rows: totals?.rows ?? '',
    'plain-bytes': totals?.plainBytes ?? '',
    'stored-bytes': totals?.storedBytes ?? '',
    seconds: Math.round(seconds),
  }
}

function verifyOutputs(report: VerifyReport) {
  const count = (status: CheckStatus) => report.checks.filter((check) => check.status === status).length
  return {
    'backup-age-seconds': wholeSeconds(report.backupAgeSeconds),
    state: report.state ?? '',
    'checks-passed': count('passed'),
    'checks-failed': count('failed'),
    'checks-unverified': count('unverified'),
  }
}

function restoreTestOutputs(report: RestoreTestReport) {
  return {
    'rto-seconds': wholeSeconds(report.rtoSeconds),
    'rpo-seconds': wholeSeconds(report.rpoSeconds),
    'restore-seconds': wholeSeconds(report.restoreSeconds),
    'tables-proven': report.tablesProven,
    'rows-proven': report.rowsProven,
    'database-url': report.databaseUrl ?? '',
  }
}

function wholeSeconds(seconds: number | undefined): number | '' {
  return seconds === undefined ? '' : Math.round(seconds)
}

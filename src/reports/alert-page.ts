import { formatDuration } from '../base/units.ts'
import type { AlertChange } from './alert.ts'
import { type FailingCheck, type Ledger, type RunFacts, writeLedger } from './alert-ledger.ts'
import { diagnose } from './diagnoses.ts'
import { clip, code, markdown, prose, type Words, words } from './escape.ts'
import { nextCommand } from './next-command.ts'
import { count, formatMinute } from './page.ts'

/** What an issue is about: a database, or a job, where a run ended before it knew which database it was about. */
export type AlertSubject = { kind: 'database'; database: string } | { kind: 'job'; workflow: string; job: string }

/** GitHub takes no body above 65,536 characters. */
const LARGEST_BODY = 65_000
/** Titles are cut at 256. */
const LONGEST_TITLE = 200
const TITLE_CHECKS = 3
const WEEK = 7 * 86_400_000

/** How much is shown at most: characters of a text, checks explained, checks at all. */
interface Limits {
  text: number
  details: number
  checks: number
}

/** Tried in this order until the body is small enough. */
const LIMITS: readonly Limits[] = [
  { text: 600, details: 40, checks: 40 },
  { text: 300, details: 12, checks: 40 },
  { text: 80, details: 4, checks: 40 },
  { text: 40, details: 1, checks: 12 },
]

/** The line by which the issue of a subject is known, whatever its title and its labels are. */
export function alertMarker(subject: AlertSubject): string {
  // Two hyphens would end the comment.
  const name = (text: string) => encodeURIComponent(text.toWellFormed()).replaceAll('-', '%2D')
  const { kind } = subject
  return kind === 'database'
    ? `<!-- pg-lifeboat alert: ${encodeURIComponent(subject.database.toWellFormed()).replaceAll('--', '-%2D')} -->`
    : `<!-- pg-lifeboat alert of a job: ${name(subject.workflow)}/${name(subject.job)} -->`
}

/** Whether the body is that of the subject's issue. */
export function isAlertOf(subject: AlertSubject, body: string): boolean {
  const marker = alertMarker(subject)
  return body.split(/\r?\n/).some((line) => line.trimEnd() === marker)
}

/**
 * The issue's title: the subject, since how many weeks something fails, and the first checks that do. Weeks, because each
 * change of a title is a line in the issue for good.
 */
export function alertTitle(subject: AlertSubject, { checks }: Ledger, { at }: Pick<RunFacts, 'at'>): string {
  const keys = checks.slice(0, TITLE_CHECKS).map(({ key }) => key)
  const more = checks.length > keys.length ? ` and ${checks.length - keys.length} more` : ''
  const oldest = Math.min(...checks.map(({ since }) => new Date(since).getTime()))
  const weeks = Math.floor((at.getTime() - oldest) / WEEK)
  const standing = weeks >= 1 && Number.isFinite(weeks) ? `, for ${count(weeks, 'week')}` : ''
  return clip(`Backup alert for ${nameOf(subject)}${standing}: ${keys.join(', ')}${more}`, LONGEST_TITLE)
}

function nameOf(subject: AlertSubject): string {
  return subject.kind === 'database' ? subject.database : `the job ${subject.job} of the workflow ${subject.workflow}`
}

/**
 * The issue's body: the checks that fail as a table, each with what was found, why that usually is, and what to do; or,
 * once there is none, that everything has passed again. As much of it as fits.
 */
export function alertBody(subject: AlertSubject, ledger: Ledger, run: RunFacts): string {
  const bodies = LIMITS.values().map((limits) => bodyWithin(subject, within(ledger, limits), run, limits))
  return bodies.find((body) => body.length <= LARGEST_BODY) ?? `${alertMarker(subject)}\n`
}

function within(ledger: Ledger, { text, checks }: Limits): Ledger {
  const cut = ({ title, message, remedy, ...rest }: FailingCheck): FailingCheck => ({
    ...rest,
    title: clip(title, text),
    message: clip(message, text),
    ...(remedy !== undefined && { remedy: clip(remedy, text) }),
  })
  return { ...ledger, checks: ledger.checks.slice(0, checks).map(cut) }
}

function bodyWithin(subject: AlertSubject, ledger: Ledger, run: RunFacts, limits: Limits): string {
  const { checks } = ledger
  const blocks = [
    alertMarker(subject),
    markdown(headline(subject, checks, run)),
    ...(checks.length > 0
      ? [table(checks), ...checks.slice(0, limits.details).map((check) => details(check, subject, ledger))]
      : []),
    ...(checks.length > limits.details
      ? [`… and ${checks.length - limits.details} more, in the reports of the runs`]
      : []),
    checks.length > 0 ? FOOTER : '',
    writeLedger(ledger),
  ]
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`
}

const FOOTER =
  '---\n\nThis issue is closed when each of these has passed again, and opened again if one fails within two weeks. A run changes only what it has checked: if something is not checked any more, close the issue by hand. This text is written anew by every run that changes it; comments stay.'

function headline(subject: AlertSubject, checks: readonly FailingCheck[], { at }: RunFacts): Words {
  const of = subject.kind === 'database' ? words`the backups of ${code(subject.database)}` : jobWords(subject)
  if (checks.length === 0)
    return words`✅ Everything that failed has passed again, for ${of}, at ${formatMinute(at.toISOString())}.`
  const number = count(checks.length, 'check')
  return words`${number} of ${of} ${checks.length === 1 ? 'does' : 'do'} not pass.`
}

function jobWords({ workflow, job }: Extract<AlertSubject, { kind: 'job' }>): Words {
  return words`the job ${code(clip(job, 200))} of the workflow ${code(clip(workflow, 200))}`
}

function table(checks: readonly FailingCheck[]): string {
  const rows = checks.map(({ key, title, status, since, runs, last, run }) => {
    const cells = [
      markdown(words`${SYMBOLS[status]} ${code(key)}: ${title}`),
      markdown(words`${formatMinute(since)}`),
      String(runs),
      link(run, formatMinute(last)) || formatMinute(last),
    ]
    return `| ${cells.join(' | ')} |`
  })
  return ['| Check | Fails since | Runs | Last run |', '| --- | --- | ---: | --- |', ...rows].join('\n')
}

const SYMBOLS: Record<FailingCheck['status'], string> = { failed: '❌', unverified: '❓' }
const VERDICTS: Record<FailingCheck['status'], string> = { failed: '❌ Failed', unverified: '❓ Unverified' }
const STATUSES: Record<FailingCheck['status'], string> = { failed: 'failed', unverified: 'could not be verified' }

function details(check: FailingCheck, subject: AlertSubject, { storage, endpoint, workflows }: Ledger): string {
  const { key, title, status, message, remedy, run } = check
  const diagnosis = diagnose(check)
  const { cause } = diagnosis
  const database = subject.kind === 'database' ? subject.database : undefined
  const next = nextCommand(diagnosis, { database, storage, endpoint, workflows, run })
  const line = (label: string, text: Words) => `- **${label}:** ${markdown(text)}`
  return [
    `### ${markdown(words`${VERDICTS[status]}: ${title} (${code(key)})`)}`,
    '',
    line('Found', prose(message)),
    ...(cause === undefined ? [] : [line('Likely cause', prose(cause))]),
    ...(remedy === undefined ? [] : [line('What to do', prose(remedy))]),
    ...(next === undefined ? [] : [line('Next command', prose(next))]),
  ].join('\n')
}

/** What a comment tells of a change. */
export function changeComment({ added, recovered, remaining }: AlertChange, ledger: Ledger, run: RunFacts): string {
  const statuses = new Map(ledger.checks.map(({ key, status }) => [key, status]))
  const list = (keys: readonly string[]) => keys.map((key) => markdown([code(key)])).join(', ')
  const failing = added.map(
    (key) =>
      `- ${SYMBOLS[statuses.get(key) ?? 'failed']} ${markdown([code(key)])} ${STATUSES[statuses.get(key) ?? 'failed']}`,
  )
  return [
    ...failing,
    ...(recovered.length > 0 ? [`- ✅ ${list(recovered)} passed again`] : []),
    ...(remaining.length > 0 ? [`- still not passing: ${list(remaining)}`] : []),
    '',
    signature(run),
  ].join('\n')
}

/** What the last comment tells: what had failed, since when and how often. */
export function recoveryComment(before: readonly FailingCheck[], run: RunFacts): string {
  const lines = before.map(({ key, since, runs }) => {
    const seconds = Math.max(0, (run.at.getTime() - new Date(since).getTime()) / 1_000)
    return `- ✅ ${markdown([code(key)])} passed again, after ${formatDuration(seconds)} and ${count(runs, 'run')}`
  })
  return ['Everything has passed again.', '', ...lines, '', signature(run)].join('\n')
}

/** A link, where the address is one that can stand in Markdown as it is; else nothing. */
function link(url: string | undefined, label: string): string {
  return url !== undefined && /^https?:\/\/[\w.:/-]+$/.test(url) ? `[${label}](${url})` : ''
}

function signature({ at, url }: RunFacts): string {
  const time = formatMinute(at.toISOString())
  return url === undefined ? time : `${time}, ${link(url, 'log of the run')}`
}

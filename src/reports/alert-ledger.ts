import { z } from 'zod'
import { clip } from './escape.ts'

/** What a run came to at one check, or at getting through at all. Texts are plain. */
export interface Outcome {
  /** `<action>/<check>`, such as `verify/backup-age`; `<action>/run` for the run itself; `/<share>` after it if it was narrowed. */
  key: string
  title: string
  status: 'passed' | 'failed' | 'unverified'
  /** What was found, in one line; '' where it passed. */
  message: string
  remedy?: string
  /** Of the error that ended the run. */
  code?: string
}

/** A check that does not pass, as the issue remembers it. */
export interface FailingCheck extends Outcome {
  status: 'failed' | 'unverified'
  /** ISO time of the run in which it began not to pass. */
  since: string
  /** In how many runs it has not passed, one after the other as far as they looked. */
  runs: number
  /** ISO time of the last of them, and its page. */
  last: string
  run?: string
}

/** What an issue remembers from one run to the next. */
export interface Ledger {
  /** The longest-standing first. */
  checks: FailingCheck[]
  /** The keys that the readers were last told of, and when a comment last did so. */
  told: string[]
  toldAt?: string
  /** Where the backups are, for the commands that the issue gives; and at which S3 service, if not AWS's. */
  storage?: string
  endpoint?: string | undefined
  /** The files of the workflows that last did such work, for the commands that start them. */
  workflows?: Partial<Record<StartedWork, string>>
}

/** What a command may be about to start. */
export type StartedWork = 'dump' | 'restore-test'

export const EMPTY_LEDGER: Ledger = { checks: [], told: [] }

/** There are some thirty checks; an issue that was filled up by hand shall not grow without end. */
const MOST_CHECKS = 40
const LONGEST_TEXT = 600
const LONGEST_NAME = 300

/** How an outcome's key is written, for a pattern to hold; it captures nothing. */
export const KEY_PATTERN = '[a-z-]{1,30}/[a-z0-9-]{1,50}(?:/[a-z0-9]{1,10})?'

const key = z.string().regex(new RegExp(`^${KEY_PATTERN}$`))
const text = z.string().max(LONGEST_TEXT)
const name = z.string().max(LONGEST_NAME)
const time = z.iso.datetime()

const ledgerSchema = z.object({
  checks: z
    .array(
      z.object({
        key,
        title: text,
        status: z.enum(['failed', 'unverified']),
        message: text,
        remedy: text.optional(),
        code: z.string().max(60).optional(),
        since: time,
        runs: z.int().positive(),
        last: time,
        run: name.optional(),
      }),
    )
    .max(MOST_CHECKS),
  told: z.array(key).max(MOST_CHECKS),
  toldAt: time.optional(),
  storage: name.optional(),
  endpoint: name.optional(),
  workflows: z.object({ dump: name.optional(), 'restore-test': name.optional() }).optional(),
})

/** When and where the run was that the outcomes are of. */
export interface RunFacts {
  at: Date
  url?: string
  /** `s3://bucket/prefix`; '' where the run ended before that was known. */
  storage: string
  /** Of an S3 service that is not AWS's. */
  endpoint?: string
  /** The run's own workflow, where starting it anew does the whole of such work. */
  workflow?: { kind: StartedWork; file: string }
}

/** The ledger after a run: what passed is struck out, what did not is noted; what the run did not look at stays. */
export function record(ledger: Ledger, outcomes: readonly Outcome[], run: RunFacts): Ledger {
  const checks = new Map(ledger.checks.map((check) => [check.key, check]))
  for (const outcome of outcomes) {
    if (outcome.status === 'passed') checks.delete(outcome.key)
    else checks.set(outcome.key, failing(outcome, outcome.status, checks.get(outcome.key), run))
  }
  return { ...ledger, ...whereabouts(ledger, run), checks: [...checks.values()].slice(0, MOST_CHECKS) }
}

function whereabouts({ workflows }: Ledger, { storage, endpoint, workflow }: RunFacts): Partial<Ledger> {
  return {
    // An endpoint goes when the backups have moved to where there is none.
    ...(storage !== '' && {
      storage: clip(storage, LONGEST_NAME),
      endpoint: endpoint === undefined ? undefined : clip(endpoint, LONGEST_NAME),
    }),
    ...(workflow !== undefined && {
      workflows: { ...workflows, [workflow.kind]: clip(workflow.file, LONGEST_NAME) },
    }),
  }
}

function failing(
  { key, title, message, remedy, code }: Outcome,
  status: FailingCheck['status'],
  before: FailingCheck | undefined,
  { at, url }: RunFacts,
): FailingCheck {
  return {
    key,
    title: clip(title, LONGEST_TEXT),
    status,
    message: clip(message, LONGEST_TEXT),
    ...(remedy !== undefined && { remedy: clip(remedy, LONGEST_TEXT) }),
    ...(code !== undefined && { code }),
    since: before?.since ?? at.toISOString(),
    runs: (before?.runs ?? 0) + 1,
    last: at.toISOString(),
    ...(url !== undefined && { run: url }),
  }
}

const BLOCK = /<!-- pg-lifeboat state: (.*) -->/

/** The ledger as a comment that no reader sees: nothing in it ends the comment, or calls a person or an issue. */
export function writeLedger(ledger: Ledger): string {
  const json = JSON.stringify(ledger).replaceAll(/[<>&@#\u2028\u2029]|--+/g, (match) =>
    [...match].map((character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''),
  )
  return `<!-- pg-lifeboat state: ${json} -->`
}

/** The ledger in an issue's body; undefined where there is none that can be read: anybody may have written there. */
export function readLedger(body: string): Ledger | undefined {
  const [, json = ''] = BLOCK.exec(body) ?? []
  try {
    return ledgerSchema.parse(JSON.parse(json)) as Ledger
  } catch {
    return undefined
  }
}

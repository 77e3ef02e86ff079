import type { Finding } from '../base/findings.ts'
import { KEY_PATTERN, type Outcome } from './alert-ledger.ts'

/** A check of which the issue is not to be told for a while, for a reason that somebody gave. */
export interface Silence {
  /** As the issue names the check: `restore-test/run`. */
  key: string
  /** The last day, in UTC: `2026-12-15`. */
  until: string
  reason: string
}

/** One that ends later is no silence but a habit. */
export const LONGEST_SILENCE_DAYS = 90
const DAY = 86_400_000
const LINE = new RegExp(`^(${KEY_PATTERN}) until (\\d{4}-\\d\\d-\\d\\d): *(\\S.{0,300})$`)

/** Reads `CHECK until YYYY-MM-DD: REASON`; undefined where the line is none such. */
export function parseSilence(line: string): Silence | undefined {
  const [, key, until, reason] = LINE.exec(line) ?? []
  if (key === undefined || until === undefined || reason === undefined) return undefined
  // A 31st of February would be taken for a day in March.
  const day = new Date(`${until}T00:00:00Z`)
  const isDay = !Number.isNaN(day.getTime()) && day.toISOString().startsWith(until)
  return isDay ? { key, until, reason } : undefined
}

/** Milliseconds from `at` to the end of the silence; negative: it has ended. */
export function silenceLeft({ until }: Silence, at: Date): number {
  return new Date(`${until}T00:00:00Z`).getTime() + DAY - at.getTime()
}

/**
 * What an issue is told of a run: all but what does not pass and is silenced. Of that the run says nothing, so that no
 * issue is opened for it, and what an open one says of it stays. `findings` say so in the run's own report, where
 * it is as red as ever, and name silences that are over.
 */
export function silenced(
  outcomes: readonly Outcome[],
  silences: readonly Silence[],
  at: Date,
): { told: Outcome[]; findings: Finding[] } {
  const lasting = new Map(silences.filter((one) => silenceLeft(one, at) > 0).map((one) => [one.key, one]))
  const told: Outcome[] = []
  const findings: Finding[] = []
  for (const outcome of outcomes) {
    const silence = outcome.status === 'passed' ? undefined : lasting.get(outcome.key)
    if (silence === undefined) told.push(outcome)
    else {
      const message = `The issue is not told of ${silence.key} until ${silence.until}: ${silence.reason}`
      findings.push({ severity: 'note', message })
    }
  }
  for (const silence of silences) {
    if (silenceLeft(silence, at) > 0) continue
    const message = `The silence of ${silence.key} ended on ${silence.until}`
    findings.push({ severity: 'note', message, remedy: 'Take the line out of `alert-silence`.' })
  }
  return { told, findings }
}

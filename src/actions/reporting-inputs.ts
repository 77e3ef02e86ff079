import { systemClock } from '../base/ports.ts'
import { LONGEST_SILENCE_DAYS, parseSilence, type Silence, silenceLeft } from '../reports/silence.ts'
import { InputReader, type InputSource } from './inputs.ts'

/** Who is told how the run ended, and when it has stalled; every action asks for it. */
export interface ReportingInputs {
  readonly alert: 'auto' | 'issue' | 'off'
  /** Without the label by which the issue is found, which it always has. */
  readonly alertLabels: string[]
  /** Names of GitHub users, without an @. */
  readonly alertAssignees: string[]
  readonly alertSilences: Silence[]
  readonly githubToken?: string
  readonly heartbeatUrl?: string
  /** Seconds; 0: never. */
  readonly stallTimeout: number
}

/** Every alert has it, whatever `alert-labels` says: one who changes labels shall not lose the open issue. */
export const ALERT_LABEL = 'pg-lifeboat'

const LONGEST_LABEL = 50
/** GitHub assigns no more. */
const MOST_ASSIGNEES = 10
const USER = /^@?[A-Za-z0-9][A-Za-z0-9_-]{0,99}(\[bot\])?$/

/** Reads `alert`, `alert-labels`, `alert-assignees`, `alert-silence`, `github-token`, `heartbeat-url` and `stall-timeout`. */
export function readReportingInputs(inputs: InputReader): ReportingInputs {
  const githubToken = inputs.secretText('github-token')
  const heartbeatUrl = readHeartbeatUrl(inputs)
  return {
    alert: inputs.oneOf('alert', ['auto', 'issue', 'off'], 'auto'),
    alertLabels: readLabels(inputs),
    alertAssignees: readAssignees(inputs),
    alertSilences: readSilences(inputs),
    ...(githubToken !== undefined && { githubToken }),
    ...(heartbeatUrl !== undefined && { heartbeatUrl }),
    stallTimeout: inputs.duration('stall-timeout', '10m', { zero: true }),
  }
}

/** The same, of whatever is given: also a run whose inputs are wrong is told of. What is wrong is as if it were not there. */
export function reportingInputsOf(source: InputSource): ReportingInputs {
  return readReportingInputs(new InputReader(source))
}

function readLabels(inputs: InputReader): string[] {
  const labels = inputs.list('alert-labels')
  const long = labels.find((label) => label.length > LONGEST_LABEL)
  if (long !== undefined) {
    inputs.reject(
      'alert-labels',
      'holds a label that is too long',
      `labels of at most ${LONGEST_LABEL} characters`,
      long,
    )
  }
  return labels.filter((label) => label.toLowerCase() !== ALERT_LABEL && label.length <= LONGEST_LABEL)
}

function readAssignees(inputs: InputReader): string[] {
  const names = inputs.list('alert-assignees')
  const accepted = `names of at most ${MOST_ASSIGNEES} GitHub users, such as octocat (teams cannot be assigned)`
  const strange = names.find((name) => !USER.test(name))
  if (strange !== undefined) inputs.reject('alert-assignees', 'holds what is no name of a user', accepted, strange)
  if (names.length > MOST_ASSIGNEES) inputs.reject('alert-assignees', 'names too many', accepted)
  const users = names.filter((name) => USER.test(name)).map((name) => name.replace('@', ''))
  return users.slice(0, MOST_ASSIGNEES)
}

function readSilences(inputs: InputReader): Silence[] {
  const longest = (LONGEST_SILENCE_DAYS + 1) * 86_400_000
  const silences: Silence[] = []
  for (const line of inputs.multiline('alert-silence')) {
    const silence = parseSilence(line)
    if (silence !== undefined && silenceLeft(silence, systemClock.now()) <= longest) silences.push(silence)
    else {
      const example = 'verify/restore-test-age until 2026-12-15: the runner with the large disk is away'
      const accepted = `a check as the issue names it, the last day within the next ${LONGEST_SILENCE_DAYS} and the reason, such as: ${example}`
      inputs.reject('alert-silence', 'has a line that is no silence', accepted, line)
    }
  }
  return silences
}

function readHeartbeatUrl(inputs: InputReader): string | undefined {
  const value = inputs.secretText('heartbeat-url')
  if (value === undefined) return undefined
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url && ['http:', 'https:'].includes(url.protocol)) return value
  const accepted = 'the address to ping, such as https://hc-ping.com/… (a missing secret is empty)'
  inputs.reject('heartbeat-url', 'is no web address', accepted)
  return undefined
}

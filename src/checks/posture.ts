import type { Finding } from '../base/findings.ts'
import type { Posture, Told } from '../storage/posture.ts'
import type { Check } from './check.ts'
import type { CheckContext } from './context.ts'

/** What one fact about the storage amounts to. */
export interface Judgement {
  summary: string
  /** What could be better; a failure where the check is required. */
  weakness?: Omit<Finding, 'severity'>
  /** How bad that is where it is not required; default: a note. */
  severity?: 'note' | 'warning'
}

export interface PostureCheckOptions<T> {
  id: string
  title: string
  /** What nobody knows where the fact is not told, as a clause: `whether …`. */
  question: string
  fact(posture: Posture): Told<T>
  judge(value: T, context: CheckContext): Judgement | Promise<Judgement>
}

const REASONS = {
  'not implemented': 'the service does not tell',
  'not allowed': 'these credentials may not ask',
  'no answer': 'the service did not answer',
} as const

/** A check of how the storage keeps what it is given: a note, unless `require` names it; `not run` where nobody can tell. */
export function postureCheck<T>({ id, title, question, fact, judge }: PostureCheckOptions<T>): Check {
  return {
    id,
    title,
    modes: ['smoke'],
    async run(context) {
      const told = fact(await context.posture())
      if ('unknown' in told) return unknown(told, question)
      const { summary, weakness, severity = 'note' } = await judge(told.value, context)
      if (weakness === undefined) return { summary, findings: [] }
      const findings = [{ severity: context.required.has(id) ? 'failure' : severity, ...weakness } as const]
      return { summary, findings }
    },
  }
}

function unknown(told: Extract<Told<never>, { unknown: string }>, question: string): Awaited<ReturnType<Check['run']>> {
  if (told.unknown === 'does not apply') {
    return { status: 'not run', summary: 'does not apply to this storage', findings: [] }
  }
  const reason = REASONS[told.unknown]
  const note: Finding = { severity: 'note', message: `Not known: ${question} (${reason})` }
  if (told.unknown === 'not allowed') note.remedy = `Allow ${told.permission} on the bucket for these credentials.`
  return { status: 'not run', summary: `not known: ${reason}`, findings: [note] }
}

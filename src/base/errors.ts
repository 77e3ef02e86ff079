/**
 * An expected failure. `message` says in one line what is wrong, `remedy` in one line what to do about it: the command,
 * the setting or the input to change. Neither may hold a secret or a row's content. Shown without a stack trace.
 */
export class LifeboatError extends Error {
  /** Stable kebab-case name of the kind of failure, e.g. `wrong-password`. */
  readonly code: string
  readonly remedy: string

  constructor(code: string, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'LifeboatError'
    this.code = code
    this.remedy = remedy
  }
}

/** One thing that is wrong with one input. */
export interface InputProblem {
  /** The input's name as the user wrote it in the workflow, e.g. `database-url`. */
  input: string
  /** What was given, or undefined where nothing was, or where it may be secret. */
  given?: string
  /** What is wrong, as a clause: `is not a duration`. */
  problem: string
  /** What is accepted, with an example: `a duration such as 30h`. */
  accepted: string
  /** What to do, in a sentence; told in place of what is accepted. */
  remedy?: string
}

/** Everything that is wrong with the inputs, at once: nobody should fix one input per run. */
export class InputError extends LifeboatError {
  readonly problems: readonly InputProblem[]

  constructor(problems: readonly InputProblem[]) {
    const lines = problems.map(describeProblem)
    super('invalid-input', lines.join('\n'), 'Correct the inputs named above in the workflow (the `with:` block).')
    this.name = 'InputError'
    this.problems = problems
  }
}

function describeProblem({ input, given, problem, accepted, remedy }: InputProblem): string {
  const shown = given === undefined ? '' : ` (given: ${JSON.stringify(given)})`
  return `${input} ${problem}${shown}${remedy === undefined ? `; accepted: ${accepted}` : ` → ${remedy}`}`
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(messageOf).join('; ')
  if (error instanceof Error) return error.message === '' ? error.name : error.message
  return String(error)
}

/** The system or library code of an error (`ECONNREFUSED`, `28P01`), if it has one. */
export function codeOf(error: unknown): string | undefined {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}

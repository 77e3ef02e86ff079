import { codeOf, LifeboatError, messageOf } from '../base/errors.ts'

/** What the server names in quotes that is the name of something, and no value: `column "a"`, `relation "public.b"`. */
const NAMED =
  /\b(?:relation|table|view|index|sequence|column|constraint|schema|role|type|domain|function|procedure|aggregate|operator|family|class|method|language|extension|encoding|collation|database|tablespace|trigger|rule|policy|publication|subscription|server|wrapper|parameter|configuration|dictionary|parser|template|library|module|file|object|partition|option|conversion|transform|statistics|cursor|directory|user) "[^"]*"/g

/**
 * A message of the server without the values that it quotes. What stands in quotes is kept only where the word before it
 * says that it is a name; from the first quote that is none, everything up to the last one goes, since a value may hold
 * quotes. Bytes of rejected characters go, too.
 */
export function withoutValues(message: string): string {
  const names = [...message.matchAll(NAMED)].map(({ 0: { length }, index }) => ({ start: index, end: index + length }))
  const isInName = (position: number) => names.some(({ start, end }) => start < position && position < end)
  let first = message.indexOf('"')
  while (first >= 0 && isInName(first)) first = message.indexOf('"', first + 1)
  const last = message.lastIndexOf('"')
  // A quote without its other half: the value goes on in lines that are not here.
  const rest = last > first ? message.slice(last + 1) : ''
  const masked = first < 0 ? message : `${message.slice(0, first)}"…"${rest}`
  return masked.replace(/0x[0-9a-f]{2}(?: 0x[0-9a-f]{2})*/gi, '0x…')
}

/** Where the server's own languages raise what code tells them to, under whatever code it wants. */
const RAISED = /^(exec_stmt_(raise|assert)|PLy_|plperl|pltcl)/

/** What the server said, fit to be shown. What a function of the schema raises is its own text, and may hold anything. */
export function describeServerError(error: unknown): string {
  const { routine } = error as { routine?: unknown }
  if (codeOf(error) === 'P0001' || (typeof routine === 'string' && RAISED.test(routine)))
    return 'a function of the schema raised an exception (its text may hold values)'
  return withoutValues(messageOf(error))
}

/**
 * What to throw for an error of a statement: undefined where the server refused the statement, which is a finding about
 * the backup; `scratch-server-failed` where the server was in no state to carry it out; else the error itself.
 */
export function failureOf(error: unknown): unknown {
  if (error instanceof LifeboatError) return error
  const code = codeOf(error) ?? ''
  const isServerError = typeof (error as { severity?: unknown } | null)?.severity === 'string'
  // Connection lost, resources exhausted, ended by an operator or a crash, disk or operating system: not the set's fault.
  if (isServerError && !/^(08|53|57|58)/.test(code)) return undefined
  const isLost = /^E[A-Z]{3,}$/.test(code) || /\bconnection\b|not queryable/i.test(messageOf(error))
  return isServerError || isLost ? scratchServerFailed(describeServerError(error), error) : error
}

/** The same by a tool's words, in which there is no code. */
const UNABLE =
  /No space left on device|out of (?:shared )?memory|could not (?:extend|write to|read from|fsync|open|create) (?:file|block)|could not (?:write|read) block|server closed the connection|connection to (?:server|client) (?:at .* )?(?:failed|lost|was lost)|terminating connection|the database system is (?:starting|shutting|in recovery)|no connection to the server|too many clients/i

/** Whether a message tells that the server was in no state to do what it was told. */
export function tellsInability(message: string): boolean {
  return UNABLE.test(message)
}

/** Error `scratch-server-failed`: nothing can be said of the set. */
export function scratchServerFailed(message: string, cause?: unknown): LifeboatError {
  return new LifeboatError(
    'scratch-server-failed',
    `The server restored into could not go on: ${message}`,
    'Look at disk space and memory of its machine (a scratch server is on the one that runs this test, in RUNNER_TEMP), and run the test again.',
    { cause },
  )
}

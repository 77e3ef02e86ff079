import { stripVTControlCharacters } from 'node:util'

const MASK = '***'
/** What stands for what was left out. */
export const WITHHELD = '(withheld: may hold row values)'
/** A line that begins a message of a tool or the server; others continue the one before. */
const LABEL =
  /^(?:[\w./-]+: )?(?:(?:while |warning: |error: |detail: |hint: |fatal: |info: )|[\w./:<>-]*\s*(?:ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|LOG|DEBUG\d?|DETAIL|HINT|CONTEXT|QUERY|STATEMENT|LOCATION|LINE \d+|Command was):)/
const TOOL_LINE = /^(?:pg_\w+|psql|initdb|postgres|createdb|vacuumdb)(?::|\[)/
/** What follows these up to the next label belongs to them. */
const MULTI_LINE = /\b(?:CONTEXT|DETAIL|detail|STATEMENT|QUERY|LINE \d+|Command was):/
/** Details whose shape is known to hold names only. */
const PLAIN_DETAIL =
  /(depends? on |owner of |objects? in |other sessions?|Member of |privileges? for |GRANT |extension )/

/**
 * Makes the text of a tool or a server fit for a log: no secret in any form of percent-encoding, no credentials in
 * URLs, no row content (COPY contexts, details, rejected values, statements), no workflow command, no control
 * characters. Works on English messages; what it cannot recognise in a place where values occur it withholds.
 */
export function scrub(text: string, secrets: readonly string[]): string {
  const patterns = secretPatterns(secrets)
  let result = text
  // Taking something out can join what stood around it, so until nothing changes any more.
  for (let round = 0; round < 5; round += 1) {
    const before = result
    result = defuse(dropValues(maskUrls(mask(clean(result), patterns, MASK))))
    if (result === before) break
  }
  return removeAll(result, patterns)
}

/** One pattern a secret; every character may stand percent-encoded, in either case. Lines of a key count one by one. */
function secretPatterns(secrets: readonly string[]): RegExp[] {
  const parts = secrets.flatMap((secret) => [secret, ...secret.split(/\r?\n/)].flatMap((part) => [part, clean(part)]))
  const decoded = parts.flatMap((part) => [part, decodeIfPossible(part)])
  const unique = [...new Set(decoded)].filter((part) => part.trim() !== '')
  unique.sort((a, b) => b.length - a.length)
  return unique.map((secret) => new RegExp([...secret].map(characterPattern).join(''), 'gu'))
}

function decodeIfPossible(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function characterPattern(character: string): string {
  const encoded = [...Buffer.from(character)].map((byte) => `%${hexPattern(byte >> 4)}${hexPattern(byte & 15)}`)
  return `(?:${`\\u{${character.codePointAt(0)?.toString(16)}}`}|${encoded.join('')})`
}

function hexPattern(digit: number): string {
  const lower = digit.toString(16)
  return digit < 10 ? lower : `[${lower}${lower.toUpperCase()}]`
}

function mask(text: string, patterns: readonly RegExp[], replacement: string): string {
  return patterns.reduce((result, pattern) => result.replace(pattern, replacement), text)
}

/** For what masking cannot end, such as a secret made of asterisks. Every round is shorter, so it ends. */
function removeAll(text: string, patterns: readonly RegExp[]): string {
  let result = text
  for (;;) {
    const shorter = defuseRemoved(mask(result, patterns, ''))
    if (shorter === result) return result
    result = shorter
  }
}

/** Removal must not bring a workflow command together; here it is taken away, since adding could go on for ever. */
function defuseRemoved(text: string): string {
  return text.replace(/^(\s*)::+/gm, '$1').replaceAll('##[', '[')
}

/** Terminal sequences, control and invisible characters go; every kind of line end becomes a line feed. */
function clean(text: string): string {
  return stripVTControlCharacters(text.replaceAll(/\r\n?|[\v\f\u0085\u2028\u2029]/g, '\n')).replaceAll(
    /(?![\n\t])[\p{Cc}\p{Cf}]/gu,
    '',
  )
}

function maskUrls(text: string): string {
  return text
    .replaceAll(/\b([a-z][a-z0-9+.-]{1,30}:\/\/)[^\s/?#]*:\S*@/gi, `$1${MASK}@`)
    .replaceAll(/\b((?:ssl|pg)?password\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&]+)/gi, `$1${MASK}`)
}

/** The runner takes `::` at the start of a line, and `##[` anywhere, for a command. */
function defuse(text: string): string {
  return text.replace(/^(\s*):(?=:)/gm, '$1: ').replaceAll('##[', '## [')
}

function dropValues(text: string): string {
  const kept: string[] = []
  let dropping = false
  for (const line of text.split('\n')) {
    const starts = LABEL.test(line) || TOOL_LINE.test(line)
    if (dropping && !starts) continue
    const safe = safeLine(line)
    dropping = safe !== line || MULTI_LINE.test(line)
    kept.push(safe)
  }
  return kept.join('\n')
}

/** The line without values. If it comes back changed, the lines that go on from it belong to a value too. */
function safeLine(line: string): string {
  const context = /^(.*?\bCONTEXT:\s+)(.*)$/.exec(line)
  if (context !== null) return `${context[1]}${safeContext(context[2] ?? '')}`
  // What the server said while rows were read comes as a detail of the tool.
  const detail = /^(.*?\b(?:DETAIL|detail):\s+)(?!Error message from server: )(.*)$/.exec(line)
  if (detail !== null) return `${detail[1]}${safeDetail(detail[2] ?? '')}`
  const statement = /^(.*?\b(?:STATEMENT|QUERY|LINE \d+):)/.exec(line)
  if (statement !== null) return `${statement[1]} ${WITHHELD}`
  const command = /^(.*?\bCommand was: )(.*)$/.exec(line)
  if (command !== null) return `${command[1]}${(command[2] ?? '').replaceAll(/'(?:[^']|'')*'?/g, "'…'")}`
  // `invalid input syntax for type integer: "…"`: the value may go on in the next line.
  return line.replace(/(\b(?:ERROR|FATAL|error):.*?: )".*$/, '$1"…"')
}

function safeContext(context: string): string {
  if (context === WITHHELD) return context
  return /^COPY .{1,200}?, line \d+(?:, column [^:"]{1,130})?/.exec(context)?.[0] ?? WITHHELD
}

function safeDetail(detail: string): string {
  const key =
    /^Key \((.{1,300}?)\)=\((?:.*)\) (already exists|is not present in table "[^"]*"|is still referenced from table "[^"]*"|is duplicated)\.?$/
  const found = key.exec(detail)
  if (found !== null) return `Key (${found[1]})=(…) ${found[2]}.`
  if (/^Key \([^=]*\)=\(…\) /.test(detail) || detail === WITHHELD) return detail
  return PLAIN_DETAIL.test(detail) && !/["']\s*=|=\(|contains/.test(detail) ? detail : WITHHELD
}

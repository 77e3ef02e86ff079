/** Double quotes with what is in them, `[` before `]`, or one character. */
const TOKENS = /"((?:[^"]|"")*)(?:"|$)|(\[)(?=\])|[\s\S]/gu
const WILDCARDS: Readonly<Record<string, string>> = { '*': '.*', '?': '.', $: '\\$' }

/**
 * The regular expressions, as the server reads them, of the parts of a pattern: `name`, `schema.name` or
 * `database.schema.name`. Word for word what pg_dump makes of it (patternToSQLRegex in string_utils.c): upper case is
 * folded outside of quotes, `*` and `?` are wildcards, a dot ends a part, `$` and `[]` stand for themselves, and other
 * special characters outside of quotes are the regular expression's own.
 */
export function patternExpressions(pattern: string): string[] {
  const parts = ['']
  for (const [token, quoted, bracket] of pattern.matchAll(TOKENS)) {
    if (token === '.') parts.push('')
    else if (quoted !== undefined) parts[parts.length - 1] += escaped(quoted.replaceAll('""', '"'))
    else parts[parts.length - 1] += bracket === undefined ? (WILDCARDS[token] ?? folded(token)) : '\\['
  }
  return parts.map((part) => `^(${part})$`)
}

/** The expression of a pattern that is one name, as it stands. */
export function literalExpression(name: string): string {
  return `^(${escaped(name)})$`
}

function escaped(text: string): string {
  return text.replaceAll(/[|*+?()[\]{}.^$\\]/g, '\\$&')
}

/** As in the C locale, which pg_dump is run in. */
function folded(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
}

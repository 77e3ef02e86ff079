/** A stretch of text, or an identifier that is to stand out from it. */
export type Word = string | { readonly code: string }

/** A sentence with identifiers in it: escaped for Markdown, bare in the log. */
export type Words = readonly Word[]

/** An identifier from outside: a table, an object's key, a version. */
export function code(value: string): Word {
  return { code: value }
}

/** Puts a sentence together: words`the table ${code(name)} has ${3} rows`. */
export function words(strings: TemplateStringsArray, ...values: readonly (Word | Words | number)[]): Words {
  return strings.flatMap((part, index) => {
    const value = values[index]
    if (value === undefined) return [part]
    return [part, ...(typeof value === 'number' ? [String(value)] : Array.isArray(value) ? value : [value as Word])]
  })
}

/** Text that our own code wrote with `code` marked by backticks, as findings and remedies are; an odd backtick is just one. */
export function prose(value: string): Words {
  const parts = value.split('`')
  if (parts.length % 2 === 0) return [value]
  return parts.map((part, index) => (index % 2 === 0 ? part : part === '' ? '``' : code(part)))
}

/** The sentence as plain text, on one line. */
export function plainText(sentence: Words): string {
  return oneLine(sentence.map((word) => (typeof word === 'string' ? word : word.code)).join(''))
}

/**
 * The sentence as GitHub's Markdown, for a paragraph, a heading, a list item or a table's cell alike: one line, no `|`,
 * no HTML but `<code>`, nothing that mentions a person, refers to an issue, links or starts a formula.
 */
export function markdown(sentence: Words): string {
  let rendered = ''
  for (const word of sentence) {
    const next = typeof word === 'string' ? escapeText(word) : codeSpan(word.code)
    // Two spans that touch would be read as one.
    rendered += rendered.endsWith('`') && next.startsWith('`') ? `&#8203;${next}` : next
  }
  return rendered
}

/** At most so many characters, the cut marked; never half a surrogate pair. */
export function clip(text: string, length: number): string {
  return text.length <= length
    ? text
    : `${text
        .slice(0, length - 1)
        .toWellFormed()
        .replace(/\uFFFD$/, '')}…`
}

/** The sentence, cut like `clip` where its text as a whole is longer. */
export function clipWords(sentence: Words, length: number): Words {
  const kept: Word[] = []
  let room = length
  for (const word of sentence) {
    const text = typeof word === 'string' ? word : word.code
    if (room <= 0) return [...kept, '…']
    kept.push(typeof word === 'string' ? clip(text, room) : code(clip(text, room)))
    room -= text.length
  }
  return kept
}

/** Text for Markdown. Characters with a meaning become entities, which no Markdown parser reads as structure. */
export function escapeText(value: string): string {
  return (
    oneLine(value)
      .replaceAll(/[&<>|\\`*_~[\]$#]/g, entity)
      .replaceAll('://', '&#58;//')
      .replaceAll(/\bwww\./gi, (match) => `${match.slice(0, -1)}&#46;`)
      // Mentions and references are looked for after entities are read: only a character between breaks them.
      .replaceAll(/(?<![A-Za-z0-9])@(?=[A-Za-z0-9])/g, '@&#8203;')
      .replaceAll('@', '&#64;')
      .replaceAll(/&#35;(?=\d)/g, '&#35;&#8203;')
      .replaceAll(/\b(GH)-(?=\d)/gi, '$1-&#8203;')
  )
}

/** An identifier as a code span; as a `<code>` element of entities where backticks cannot hold it, in a table above all. */
function codeSpan(value: string): string {
  const shown = oneLine(value)
  if (shown === '') return '(empty)'
  if (!/[`|\\<>&]|^ | $/.test(shown)) return `\`${shown}\``
  return `<code>${escapeText(shown).replaceAll(/^ | $/g, entity)}</code>`
}

function entity(character: string): string {
  return `&#${character.codePointAt(0)};`
}

/** Line ends and control characters become spaces; marks that reverse the direction of the text go. */
function oneLine(value: string): string {
  return value
    .toWellFormed()
    .replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .replaceAll(/[\u202A-\u202E\u2066-\u2069]/g, '')
}

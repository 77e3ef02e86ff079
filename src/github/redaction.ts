/** Shorter secrets would star out unrelated text, and are no secrets worth the name. */
export const SHORTEST_SECRET = 4

const STARS = '***'

/** What was masked so far, and how to take it out of a text. */
export interface Redaction {
  /** Adds a secret, whole and line by line; returns the lines to hand to the runner, which masks line by line. */
  add(secret: string): string[]
  /** A copy of the value with `***` for every secret in every string. Strings, arrays and plain objects are walked. */
  redact<T>(value: T): T
}

export function createRedaction(): Redaction {
  let secrets: string[] = []

  function redactText(text: string): string {
    let before: string
    let after = text
    // Again until nothing changes: taking one secret out can join the two halves of another. Ends, because every secret
    // is longer than its stars.
    do {
      before = after
      for (const secret of secrets) after = after.replaceAll(secret, STARS)
    } while (after !== before)
    return after
  }

  function redactAny(value: unknown): unknown {
    if (typeof value === 'string') return redactText(value)
    if (Array.isArray(value)) return value.map(redactAny)
    if (value === null || typeof value !== 'object') return value
    if (Object.getPrototypeOf(value) !== Object.prototype) return value
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, redactAny(entry)]))
  }

  return {
    add: (secret) => {
      const lines = secretLines(secret)
      const forms = [secret.trim(), ...lines].flatMap((text) => [text, JSON.stringify(text).slice(1, -1)])
      const longEnough = forms.filter((form) => form.length >= SHORTEST_SECRET)
      // The longest first, or the rest of a long secret would stay behind its shorter twin's stars.
      secrets = [...new Set([...secrets, ...longEnough])].sort((a, b) => b.length - a.length)
      return lines
    },
    redact: <T>(value: T) => redactAny(value) as T,
  }
}

/** The lines worth hiding: a key's armour and comments are no secrets, and masking them would star out documentation. */
function secretLines(secret: string): string[] {
  const lines = secret.split(/\r\n|\r|\n/).map((line) => line.trim())
  if (lines.length === 1) return lines.filter((line) => line.length >= SHORTEST_SECRET)
  return lines.filter((line) => line.length >= SHORTEST_SECRET && !/^(-----|#)/.test(line))
}

import type { Bench } from './bench.ts'
import type { Examination } from './examinations.ts'

/** One way in which a set can be damaged, and what is said of it. */
export interface Damage {
  what: string
  inflict(bench: Bench): Promise<unknown>
  /** With what it is examined, if not with the set's identity. */
  identities?: 'another' | 'none'
  /** Where it is not found, by design: why. Everywhere else it must be found. */
  unfound?: Partial<Record<Examination, string>>
  /** Whether a reader with `verify-key` refuses the set in every mode. Default: the key makes no difference. */
  refusedWithKey?: boolean
}

export interface Chapter {
  title: string
  /** Who does such a thing, and how. */
  text: string
  damages: readonly Damage[]
}

export const UNREAD = 'smoke opens no part: it lists their names and sizes'
export const SAME_SIZE = 'smoke opens no part, and their sizes are those that the manifest names'
export const CONSISTENT =
  'the set agrees with itself, and nothing but the database or a signature knows that it was once another'

/** The same reason in several modes. */
export function unfoundIn(modes: readonly Examination[], reason: string): Partial<Record<Examination, string>> {
  return Object.fromEntries(modes.map((mode) => [mode, reason]))
}

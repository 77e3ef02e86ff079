import type { Bench } from './bench.ts'
import type { Examination } from './examinations.ts'

/** One way in which a set can be damaged, and what is said of it. */
export interface Damage {
  what: string
  inflict(bench: Bench): Promise<unknown>
  /** With what it is examined, if not with the set's identity. */
  identities?: 'another' | 'none'
  /** Where it is not found, by design: why. Everywhere else it must be found. */
  unfound?: Partial<Record<Exclude<Examination, 'full'>, string>>
  /** Whether database finds it. Default: what the server can contradict is as it was. */
  seenByServer?: true
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

const AGREES =
  'what database compares with the server agrees: identity, schema, which tables there are. Of numbers of rows it only warns: they change while a database runs'

/** Why a mode does not find the damage, by design; undefined: it does. */
export function reasonOf({ unfound = {}, seenByServer }: Damage, mode: Examination): string | undefined {
  if (mode === 'database') return seenByServer ? undefined : (unfound.database ?? AGREES)
  if (mode !== 'full') return unfound[mode]
  // It is the three others together.
  return unfound.smoke === undefined || seenByServer ? undefined : unfound.integrity
}

/** The same reason in several modes. */
export function unfoundIn(
  modes: readonly (keyof NonNullable<Damage['unfound']>)[],
  reason: string,
): NonNullable<Damage['unfound']> {
  return Object.fromEntries(modes.map((mode) => [mode, reason]))
}

import { randomInt } from 'node:crypto'

/** Where everything of one database lies in a storage. All keys are relative to the storage's prefix. */
export const layout = {
  set: (database: string, id: string) => `${database}/sets/${id}/`,
  part: (database: string, id: string, path: string) => `${database}/sets/${id}/${path}`,
  sets: (database: string) => `${database}/sets/`,
  manifest: (database: string, id: string) => `${database}/sets/${id}/manifest.json`,
  signature: (database: string, id: string) => `${database}/sets/${id}/manifest.json.sig`,
  restoreGuide: (database: string, id: string) => `${database}/sets/${id}/RESTORE.md`,
  heads: (database: string) => `${database}/heads/`,
  head: (database: string, id: string) => `${database}/heads/${id}.json`,
  evidence: (database: string, id?: string) => `${database}/evidence/${id === undefined ? '' : `${id}/`}`,
} as const

/** What the name of a backup set says. */
export interface SetId {
  id: string
  takenAt: Date
  label: string
}

const SET_ID = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z-([A-Za-z0-9][A-Za-z0-9._-]*)-([a-z0-9]{6})$/

/** `20261122T021704Z`: sorts by time as text. */
export function compactTime(date: Date): string {
  return `${date.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`
}

/** In the order in which they sort as text. */
const ALPHABET = '23456789abcdefghijkmnpqrstuvwxyz'
const SUFFIX_LENGTH = 6

/** A new id: UTC snapshot time, label, six characters: two for the milliseconds, four at random. */
export function newSetId(takenAt: Date, label: string): string {
  const milliseconds = takenAt.getUTCMilliseconds()
  const two = [milliseconds >> 5, milliseconds & 31].map((digit) => ALPHABET[digit]).join('')
  return `${compactTime(takenAt)}-${label}-${two}${randomName(SUFFIX_LENGTH - two.length)}`
}

/**
 * Orders sets: the newest first; of one second by how their ids end, which begins with the milliseconds, whatever the
 * labels. An id that was not made here is valid, too, and stands anywhere within its second.
 */
export function newestFirst(a: Pick<SetId, 'id' | 'takenAt'>, b: Pick<SetId, 'id' | 'takenAt'>): number {
  const seconds = b.takenAt.getTime() - a.takenAt.getTime()
  return seconds || compareText(b.id.slice(-SUFFIX_LENGTH), a.id.slice(-SUFFIX_LENGTH)) || compareText(b.id, a.id)
}

function compareText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

/** The parts of a set's id, or undefined if the text is none. */
export function parseSetId(text: string): SetId | undefined {
  const match = SET_ID.exec(text)
  if (!match) return undefined
  const [, year, month, day, hour, minute, second, label] = match
  const takenAt = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(takenAt.getTime()) || label === undefined ? undefined : { id: text, takenAt, label }
}

/** The set whose head lies at `key`, or undefined if the key is not named like the head of a set of that database. */
export function parseHeadKey(key: string, database: string): SetId | undefined {
  const prefix = layout.heads(database)
  return key.startsWith(prefix) && key.endsWith('.json')
    ? parseSetId(key.slice(prefix.length, -'.json'.length))
    : undefined
}

/** Characters that tell apart what happened at the same moment. */
export function randomName(length = SUFFIX_LENGTH): string {
  return Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')
}

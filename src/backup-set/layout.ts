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

/** A new id: UTC snapshot time, label, six random characters. */
export function newSetId(takenAt: Date, label: string): string {
  return `${compactTime(takenAt)}-${label}-${randomName()}`
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

/** Six characters that tell apart what happened in the same second. */
export function randomName(): string {
  return Array.from({ length: 6 }, () => 'abcdefghijkmnpqrstuvwxyz23456789'[randomInt(32)]).join('')
}

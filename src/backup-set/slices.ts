import type { Part } from './documents.ts'
import type { EvidenceName } from './evidence.ts'

/** One share of a set's parts: 3 of 7. */
export interface Slice {
  number: number
  of: number
}

/** More would be days without an end; the names of evidence have room for three digits. */
export const MOST_SLICES = 366

/** Slices that were read further apart than this say nothing together. */
const TOGETHER_MS = 35 * 86_400_000

/** `3/7`; undefined if the text is no slice. */
export function parseSlice(text: string): Slice | undefined {
  const match = /^(\d{1,3}) ?\/ ?(\d{1,3})$/.exec(text)
  const [number, of] = [Number(match?.[1]), Number(match?.[2])]
  return number >= 1 && number <= of && of <= MOST_SLICES ? { number, of } : undefined
}

/** `3 of 7`. */
export function describeSlice({ number, of }: Slice): string {
  return `${number} of ${of}`
}

/**
 * The parts of one slice. All slices of a number together are all parts, none twice, and of about equal size; which part
 * is in which follows from paths and sizes alone. Pieces of one large object stay together: its digest is over all of it.
 */
export function partsOfSlice(parts: readonly Part[], { number, of }: Slice): Part[] {
  const units = new Map<string, { name: string; bytes: number; parts: Part[] }>()
  for (const part of parts) {
    const name = /^(database\/blob_\d+\.dat)\.\d+\./.exec(part.path)?.[1] ?? part.path
    const unit = units.get(name) ?? { name, bytes: 0, parts: [] }
    unit.bytes += part.bytes
    unit.parts.push(part)
    units.set(name, unit)
  }
  // Largest first, each into the slice that is the smallest so far.
  const ordered = [...units.values()].sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1))
  const slices = Array.from({ length: of }, () => ({ bytes: 0, parts: [] as Part[] }))
  for (const unit of ordered) {
    const smallest = slices.reduce((least, slice) => (slice.bytes < least.bytes ? slice : least))
    smallest.bytes += unit.bytes
    smallest.parts.push(...unit.parts)
  }
  return slices[number - 1]?.parts ?? []
}

/**
 * What slices of one set amount to: for each number of slices of which the newest evidence of every one is a pass, none
 * 35 days older than the newest, a pass of the whole as of the oldest of them. `evidence` is that of one set.
 */
export function wholesOfSlices(evidence: readonly EvidenceName[]): EvidenceName[] {
  const newest = new Map<string, EvidenceName>()
  for (const item of evidence) {
    if (item.slice === undefined || item.verdict === 'unverified') continue
    const key = `${item.test} ${describeSlice(item.slice)}`
    const later = item.at.getTime() - (newest.get(key)?.at.getTime() ?? Number.NEGATIVE_INFINITY)
    if (later > 0 || (later === 0 && item.verdict === 'failed')) newest.set(key, item)
  }
  const groups = Map.groupBy(newest.values(), ({ test, slice }) => `${test} ${slice?.of}`)
  return [...groups.values()].flatMap((items) => wholeOf(items) ?? [])
}

function wholeOf(items: readonly EvidenceName[]): EvidenceName | undefined {
  const [oldest, ...others] = items.toSorted((a, b) => a.at.getTime() - b.at.getTime())
  if (oldest?.slice === undefined || items.length < oldest.slice.of) return undefined
  const apart = (others.at(-1) ?? oldest).at.getTime() - oldest.at.getTime()
  if (apart > TOGETHER_MS || items.some(({ verdict }) => verdict !== 'passed')) return undefined
  const { slice: _, ...whole } = oldest
  return whole
}

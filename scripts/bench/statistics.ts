/** Of several values, at least one. */
export interface Summary {
  median: number
  min: number
  max: number
  count: number
}

/** The middle value, or the mean of the two middle ones. Throws if there is none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.ceil((sorted.length - 1) / 2)]]
  if (low === undefined || high === undefined) throw new Error('no value to take the median of')
  return (low + high) / 2
}

/** Median, smallest and largest. Throws if there is no value. */
export function summarize(values: readonly number[]): Summary {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values), count: values.length }
}

/** How one series compares to another. */
export interface Ratio {
  /** Of the medians. */
  ratio: number
  /** The smallest and the largest ratio within a round, over the rounds that both took part in. */
  min: number
  max: number
}

/** The ratio of the medians, and how it spreads over the rounds. Throws if a series is empty. */
export function compare(ours: readonly number[], theirs: readonly number[]): Ratio {
  const rounds = Math.min(ours.length, theirs.length)
  const ratios = Array.from({ length: rounds }, (_, round) => (ours[round] ?? 0) / (theirs[round] ?? 0))
  return { ratio: median(ours) / median(theirs), min: Math.min(...ratios), max: Math.max(...ratios) }
}

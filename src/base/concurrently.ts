/** `work` on every item, at most `lanes` at once; the results in the order of the items. */
export async function mapConcurrently<T, R>(
  items: readonly T[],
  lanes: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length)
  const queue = items.entries()
  const lane = async () => {
    for (const [index, item] of queue) results[index] = await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(lanes, items.length) }, lane))
  return results
}

/** The results of all of them; or, once none of them runs any more, the first failure in their order. */
export async function allEnded<T extends readonly unknown[]>(
  works: {
    [K in keyof T]: Promise<T[K]>
  },
): Promise<T> {
  await Promise.allSettled(works)
  return (await Promise.all(works)) as unknown as T
}

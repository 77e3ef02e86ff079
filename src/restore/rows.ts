import type { Contents } from '../backup-set/documents.ts'
import { type Meter, silentMeter } from '../base/progress.ts'
import { readOid } from './large-objects.ts'
import { type Load, Loader, type LoaderOptions } from './loader.ts'
import type { RestoreError } from './pg-restore.ts'

export interface LoadOptions extends Omit<LoaderOptions, 'meter' | 'errors' | 'onLock'> {
  /** Connections that load at the same time. */
  jobs: number
  meter?: Meter
  /**
   * Called when a connection has nothing left to load and the others will still take their time: what they
   * load is locked until it is there to see, and everything else is there already. Again when one more has nothing left.
   * `loading`: dump ids of the TABLE DATA entries; `idle`: how many connections have nothing to do.
   */
  onTail?: (loading: ReadonlySet<number>, idle: number) => void
  /** With less than that left to load, it is over before anything else has begun. Default 32 MiB. */
  tailBytes?: number
}

/** A table of more than so many times the share of one connection is loaded by all of them. */
const MOST_OF_ALL = 1.5

const TAIL_BYTES = 32 << 20

/**
 * Sends all rows, and the contents of all large objects, from the storage into the server; nothing is written to disk
 * here. COPY is ended only after length, digest and fingerprint of what was sent are right, and undone otherwise. What
 * the server refuses is collected; what is wrong with the set itself rejects (`damaged-part`, `damaged-rows`, …).
 */
export async function loadRows(options: LoadOptions): Promise<RestoreError[]> {
  const loads = planLoads(options.contents, options.jobs)
  const meter = options.meter ?? silentMeter
  meter.expect(
    loads.reduce((sum, { bytes }) => sum + bytes, 0),
    'exactly',
  )
  const failed = new AbortController()
  const signal = AbortSignal.any([options.signal, failed.signal])
  const errors: RestoreError[] = []
  const onLock = () => lookForTail(loads, busy, options)
  const common = { ...options, meter, signal, errors, onLock }
  const busy = new Set(Array.from({ length: Math.max(1, options.jobs) }, () => new Loader(common)))
  const work = async (loader: Loader) => {
    try {
      for (let load = loads.shift(); load !== undefined; load = loads.shift()) await loader.load(load)
      busy.delete(loader)
      lookForTail(loads, busy, options)
    } catch (error) {
      failed.abort(error)
      throw error
    } finally {
      await loader.close()
    }
  }
  const results = await Promise.allSettled([...busy].map(work))
  options.signal.throwIfAborted()
  if (results.some(({ status }) => status === 'rejected')) throw failed.signal.reason
  return errors
}

/** Tells of the tail if it has begun. */
function lookForTail(loads: readonly Load[], busy: ReadonlySet<Loader>, options: LoadOptions): void {
  const { jobs, onTail, tailBytes = TAIL_BYTES } = options
  const loading = new Set([...busy].flatMap(({ locked }) => locked?.dumpId ?? []))
  const bytesLeft = [...busy].reduce((sum, loader) => sum + loader.bytesLeft, 0)
  const isTail =
    loads.length === 0 && busy.size < jobs && busy.size > 0 && loading.size === busy.size && bytesLeft >= tailBytes
  if (isTail) onTail?.(loading, jobs - busy.size)
}

/**
 * Biggest first, so that nobody waits for a big one that was begun last. The segments of a table go through one connection:
 * then they need no WAL; but several take a share each of a table that all others would not keep them busy beside.
 */
function planLoads({ files }: Contents, jobs: number): Load[] {
  const loads: Load[] = []
  const bundles = new Map<string, number>()
  const total = files.reduce((sum, { plainBytes }) => sum + plainBytes, 0)
  for (const file of files) {
    const { segments = [], plainBytes: bytes, bundle } = file
    const isShared = readOid(file.name) !== undefined || bytes * jobs > total * MOST_OF_ALL
    if (isShared)
      segments.forEach(
        ({ plainBytes }, index) => void loads.push({ kind: 'segments', bytes: plainBytes, file, indexes: [index] }),
      )
    else if (segments.length > 0) loads.push({ kind: 'segments', bytes, file, indexes: [...segments.keys()] })
    if (bundle !== undefined) bundles.set(bundle, (bundles.get(bundle) ?? 0) + bytes)
  }
  for (const [path, bytes] of bundles) loads.push({ kind: 'bundle', bytes, path })
  return loads.sort((a, b) => b.bytes - a.bytes)
}

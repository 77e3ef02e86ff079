import type { ClientBase } from 'pg'
import type { Clock } from '../base/ports.ts'
import { queryOptional } from './ask-optional.ts'

/** What the server tells of its WAL archiver. Times are by its own clock. */
export interface WalArchive {
  archiveMode: string
  standby: boolean
  now: Date
  lastArchived: Date | null
  /** The last attempt that failed, if none has succeeded since. */
  failingSince: { segment: string; at: Date } | null
  /** Segments that are complete and not archived; undefined: it cannot be told. */
  pending?: number
  /**
   * For how long the archive has been behind: the wait of the oldest pending segment where that may be looked at, else the
   * time since the last success, if there is anything pending. An idle server is not behind.
   */
  lagSeconds: number
}

interface Row {
  mode: string
  standby: boolean
  now: Date
  started: Date
  reset: Date | null
  lastWal: string | null
  lastAt: Date | null
  failedWal: string | null
  failedAt: Date | null
  current: string | null
  segmentBytes: string
}

const FACTS = `
  select pg_stat_clear_snapshot(), current_setting('archive_mode') as mode, pg_is_in_recovery() as standby,
    clock_timestamp() as now, pg_postmaster_start_time() as started, a.stats_reset as reset,
    a.last_archived_wal as "lastWal", a.last_archived_time as "lastAt",
    a.last_failed_wal as "failedWal", a.last_failed_time as "failedAt",
    case when not pg_is_in_recovery() then pg_walfile_name(pg_current_wal_lsn()) end as current,
    (select s.setting from pg_settings s where s.name = 'wal_segment_size') as "segmentBytes"
  from pg_stat_archiver a`

// A segment is marked so in the moment in which it is complete. To look there takes pg_monitor.
const WAITING = `
  select count(*)::int as pending, extract(epoch from clock_timestamp() - min(f.modification))::float8 as seconds
  from pg_ls_archive_statusdir() f where f.name like '%.ready'`

/**
 * What the archiver does; undefined where the server does not let this role ask. A server that was idle for hours and has
 * completed a segment just now looks like one whose archiver stopped hours ago: where the directory may not be looked
 * at, there is a second look, and a third, for ten seconds.
 */
export async function readWalArchive(
  client: ClientBase,
  options: { clock: Clock; suspiciousSeconds: number; signal: AbortSignal },
): Promise<WalArchive | undefined> {
  await client.query('begin transaction read only')
  try {
    const first = await look(client)
    if (first === undefined || first.standby || first.archiveMode === 'off') return first
    const waiting = await queryOptional<{ pending: number; seconds: number | null }>(client, WAITING)
    const [exact] = 'rows' in waiting ? waiting.rows : []
    if (exact) return { ...first, pending: exact.pending, lagSeconds: exact.seconds ?? 0 }
    let found: WalArchive | undefined = first
    for (let times = 0; times < 10 && found && found.lagSeconds > options.suspiciousSeconds; times += 1) {
      await options.clock.sleep(1_000, options.signal)
      found = await look(client)
    }
    return found
  } finally {
    await client.query('rollback')
  }
}

async function look(client: ClientBase): Promise<WalArchive | undefined> {
  const answer = await queryOptional<Row>(client, FACTS)
  const [row] = 'rows' in answer ? answer.rows : []
  if (row === undefined) return undefined
  const { mode: archiveMode, standby, now, lastAt: lastArchived, failedAt, failedWal } = row
  const failing = failedAt !== null && (lastArchived === null || failedAt > lastArchived)
  const failingSince = failing ? { segment: failedWal ?? '', at: failedAt } : null
  const pending = pendingSegments(row)
  const since = lastArchived ?? row.reset ?? row.started
  const lagSeconds = pending === 0 || (pending === undefined && !failing) ? 0 : secondsBetween(since, now)
  return {
    archiveMode,
    standby,
    now,
    lastArchived,
    failingSince,
    ...(pending !== undefined && { pending }),
    lagSeconds,
  }
}

/** How many complete segments come after the last archived one. On whatever timeline: their numbers go on. */
function pendingSegments({ current, lastWal, segmentBytes }: Row): number | undefined {
  const [now, last] = [current, lastWal].map((name) => segmentNumber(name, Number(segmentBytes)))
  return now === undefined || last === undefined ? undefined : Math.max(0, now - 1 - last)
}

/** The number of the segment in a file name: timeline, the upper half of the position, and the segment within that. */
function segmentNumber(name: string | null, segmentBytes: number): number | undefined {
  const match = /^[0-9A-F]{8}([0-9A-F]{8})([0-9A-F]{8})/.exec(name ?? '')
  if (match?.[1] === undefined || match[2] === undefined) return undefined
  return Number.parseInt(match[1], 16) * (2 ** 32 / segmentBytes) + Number.parseInt(match[2], 16)
}

function secondsBetween(from: Date, to: Date): number {
  return Math.max(0, (to.getTime() - from.getTime()) / 1_000)
}

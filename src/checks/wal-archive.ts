import type { Finding } from '../base/findings.ts'
import { formatCount, formatDuration } from '../base/units.ts'
import type { WalArchive } from '../postgres/wal-archive.ts'
import type { Check } from './check.ts'
import type { Limits } from './context.ts'

export const walArchiveCheck: Check = {
  id: 'wal-archive',
  title: 'The server archives its WAL',
  modes: ['database'],
  async run(context) {
    const { wal } = await context.live()
    const reason = reasonNotToLook(wal)
    if (wal === undefined || reason !== undefined) return { status: 'not run', summary: reason ?? '', findings: [] }
    const last = wal.lastArchived
      ? `last archived ${formatDuration(secondsAgo(wal.lastArchived, wal))} ago`
      : 'nothing archived yet'
    const pending = wal.pending === undefined ? '' : `, ${formatCount(wal.pending)} segments waiting`
    const findings = [...lagging(wal, context), ...failing(wal)]
    // Nothing was ever archived, nothing failed, and nobody can tell whether anything waits.
    if (wal.lastArchived === null && wal.pending === undefined && findings.length === 0) {
      return { status: 'not run', summary: last, findings }
    }
    return { summary: `${last}${pending}`, findings }
  },
}

function reasonNotToLook(wal: WalArchive | undefined): string | undefined {
  if (wal === undefined) return 'the server does not let this role ask'
  if (wal.standby) return 'this is a standby: its primary archives'
  if (wal.archiveMode === 'off') return 'archive_mode is off: there is no WAL archive to recover a point in time from'
  return undefined
}

/** An idle server has nothing to archive, however long ago it did so last. */
function lagging(wal: WalArchive, { walLagWarn, walLagFail }: Limits): Finding[] {
  if (wal.lagSeconds <= walLagWarn) return []
  const what = wal.pending === undefined ? 'WAL' : `${formatCount(wal.pending)} WAL segments`
  return [
    {
      severity: wal.lagSeconds > walLagFail ? 'failure' : 'warning',
      message: `The WAL archive is ${formatDuration(wal.lagSeconds)} behind: ${what} not archived since`,
      remedy:
        'Look at the server’s log for the output of archive_command, and at the place it writes to; what is not archived fills pg_wal, until the server stops.',
    },
  ]
}

function failing({ failingSince, ...wal }: WalArchive): Finding[] {
  if (failingSince === null) return []
  const { segment, at } = failingSince
  return [
    {
      severity: 'warning',
      message: `The last attempt to archive ${segment}, ${formatDuration(secondsAgo(at, { ...wal, failingSince }))} ago, failed`,
      remedy: 'Run archive_command by hand as the server’s user, and see what it says.',
    },
  ]
}

function secondsAgo(time: Date, { now }: WalArchive): number {
  return Math.max(0, (now.getTime() - time.getTime()) / 1_000)
}

import type { Evidence, Head } from '../backup-set/documents.ts'
import { type Catalog, newestProven, wholeHead } from '../backup-set/find.ts'
import { rehearsalsUntil, setsUntil } from '../backup-set/history.ts'
import { parseSetId } from '../backup-set/layout.ts'
import { messageOf } from '../base/errors.ts'
import { type Clock, systemClock } from '../base/ports.ts'
import type { Runner } from '../github/runner.ts'
import { secondsUntilPassed } from '../reports/forecast.ts'
import type { LossBudget, Report, Trends } from '../reports/report.ts'
import type { TargetInputs } from './common-inputs.ts'

/** A run that has ended in whatever way is not kept much longer by a storage that does not answer. */
const PATIENCE_MILLISECONDS = 5_000

/**
 * Adds to a report where the database stands at the end of the run: what its loss would cost, how things have developed,
 * and what evidence does not count. By what `open` gives, or not at all: never the reason that a run fails, or ends late.
 */
export async function tellStanding(
  runner: Runner,
  report: Report,
  targets: TargetInputs,
  open: () => Promise<Catalog | undefined>,
): Promise<void> {
  if (runner.signal.aborted) return
  const gather = async () => {
    const catalog = await open()
    if (catalog) await addStanding(report, catalog, targets, systemClock)
  }
  const enough = new AbortController()
  try {
    await Promise.race([gather(), systemClock.sleep(PATIENCE_MILLISECONDS, enough.signal)])
  } catch (error) {
    runner.log.debug(`what a loss would cost is not known: ${messageOf(error)}`)
  } finally {
    enough.abort()
  }
}

async function addStanding(report: Report, catalog: Catalog, targets: TargetInputs, clock: Clock): Promise<void> {
  const rehearsal = await catalog.evidence.readLastRehearsal()
  const trends = trendsOf(await newestWhole(catalog), rehearsal)
  const lossBudget = await lossBudgetOf(catalog, { rehearsal, trends, targets, now: clock.now() })
  // All at once: a run whose patience ended meanwhile has told its report.
  Object.assign(report, { trends, lossBudget })
  report.findings.push(...catalog.evidence.findings())
}

async function newestWhole(catalog: Catalog): Promise<Head | undefined> {
  for (const { id } of catalog.sets) {
    const head = await wholeHead(catalog.head, id)
    if (head) return head
  }
  return undefined
}

function trendsOf(head: Head | undefined, rehearsal: Evidence | undefined): Trends {
  const sets = head ? setsUntil(head) : []
  const backups = sets.flatMap(({ id, ...facts }) => {
    const takenAt = parseSetId(id)?.takenAt.toISOString()
    return takenAt === undefined ? [] : [{ takenAt, ...facts }]
  })
  const tests = rehearsal ? rehearsalsUntil(rehearsal) : []
  const rehearsals = tests.map(({ at, rtoSeconds, restoreSeconds, plainBytes }) => {
    return { testedAt: at, rtoSeconds, restoreSeconds, plainBytes }
  })
  return { backups, rehearsals }
}

interface Known {
  rehearsal: Evidence | undefined
  trends: Trends
  targets: TargetInputs
  now: Date
}

async function lossBudgetOf(catalog: Catalog, { rehearsal, trends, targets, now }: Known): Promise<LossBudget> {
  const { rtoTarget, rpoTarget } = targets
  const proven = await newestProven(catalog)
  const passesIn = secondsUntilPassed(trends, rtoTarget, now)
  const measured = rehearsal?.rtoSeconds
  return {
    backups: catalog.sets.length,
    everProven: (await catalog.evidence.lastRehearsal()) !== undefined,
    ...(proven && {
      proven: { backupId: proven.id, takenAt: proven.takenAt.toISOString(), ...lossOf(proven.takenAt, now) },
    }),
    ...(rehearsal && measured !== undefined && { rehearsal: { testedAt: rehearsal.at, rtoSeconds: measured } }),
    rtoTarget,
    rpoTarget,
    ...(passesIn !== undefined && { rtoPassesTargetIn: passesIn }),
  }
}

function lossOf(takenAt: Date, now: Date): { lossSeconds: number } {
  return { lossSeconds: Math.max(0, (now.getTime() - takenAt.getTime()) / 1_000) }
}

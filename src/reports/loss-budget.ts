import { formatDuration } from '../base/units.ts'
import { code, type Words, words } from './escape.ts'
import { formatMinute } from './page.ts'
import type { LossBudget, ReportBase } from './report.ts'

/** What a summary opens with. */
export interface Opening {
  message: Words
  /** Where nothing is proven. */
  remedy?: Words
}

/** What it would cost to lose the database now, in one sentence: of a run that could not ask the storage, none. */
export function lossSentence({
  database,
  lossBudget,
}: Pick<ReportBase, 'database' | 'lossBudget'>): Opening | undefined {
  if (lossBudget === undefined) return undefined
  const { proven } = lossBudget
  if (proven === undefined) return unproven(database, lossBudget)
  const loss = `at most ${formatDuration(proven.lossSeconds)} (newest proven set, taken ${formatMinute(proven.takenAt)}; ${against(proven.lossSeconds, lossBudget.rpoTarget)})`
  return {
    message: words`If the database died now you would lose ${loss} and, ${recovery(lossBudget)}.${growth(lossBudget)}`,
  }
}

function unproven(name: string, { backups, everProven }: LossBudget): Opening {
  const database = name === 'unknown' ? words`any database` : words`${code(name)}`
  if (backups === 0) {
    return {
      message: words`If the database died now everything in it would be lost: there is no backup of ${database}.`,
      remedy: words`Run action-dump, and then action-restore-test on the same storage.`,
    }
  }
  const ever = everProven ? 'that is still there counts as' : 'has ever been restored and'
  return {
    message: words`If the database died now nobody knows whether it would come back: no backup of ${database} ${ever} proven.`,
    remedy: words`Run action-restore-test on this storage: it restores the newest backup into a throw-away server and proves it.`,
  }
}

function recovery({ rehearsal, rtoTarget }: LossBudget): string {
  if (rehearsal === undefined) return 'in a time that nobody has measured, be back'
  const { rtoSeconds } = rehearsal
  return `by the last rehearsal, be back in about ${formatDuration(rtoSeconds)} (${against(rtoSeconds, rtoTarget)})`
}

function against(seconds: number, target: number): string {
  return `${seconds <= target ? 'within' : 'above'} the target of ${asGiven(target)}`
}

/** Targets are round: `30 h`, as it was given, and not `30 h 0 min`. */
function asGiven(target: number): string {
  return formatDuration(target).replace(/ 0+ \w+$|\.0(?= s$)/, '')
}

function growth({ rtoPassesTargetIn, rtoTarget }: LossBudget): string {
  if (rtoPassesTargetIn === undefined) return ''
  const when = aboutHowLong(rtoPassesTargetIn)
  return ` At the present growth the recovery time passes the target of ${asGiven(rtoTarget)} in about ${when}.`
}

const DAY = 86_400

/** No more exactly than such a thing can be known. */
function aboutHowLong(seconds: number): string {
  const days = Math.max(1, Math.round(seconds / DAY))
  if (days < 14) return days === 1 ? 'a day' : `${days} days`
  if (days < 61) return `${Math.round(days / 7)} weeks`
  return `${Math.round(days / 30.44)} months`
}

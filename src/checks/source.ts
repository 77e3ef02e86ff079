import type { PastSet } from '../backup-set/documents.ts'
import { describeSource, isAcceptedSource, isSameSource, type Source } from '../backup-set/source.ts'
import type { Finding } from '../base/findings.ts'
import type { Check } from './check.ts'

/**
 * Held against the set before, and against the oldest: else a set of the wrong database would be told of once, and be
 * the measure of the next.
 */
export const sourceCheck: Check = {
  id: 'source',
  title: 'The backup is of the same database as those before',
  modes: ['smoke'],
  vouches: true,
  async run(context) {
    const { source } = (await context.openSet()).manifest
    const others = new Map<string, PastSet>()
    for (const set of [await context.previous(), await context.oldest()]) if (set) others.set(set.id, set)
    const summary = describeSource(source)
    if (others.size === 0) return { status: 'not run', summary: `${summary}, and no backup before it`, findings: [] }
    if (isAcceptedSource(source, context.acceptSource)) return { summary: `${summary}, accepted by name`, findings: [] }
    const compared = [...others.values()].map((set) => ({
      set,
      same: set.source === undefined ? undefined : isSameSource(source, set.source),
    }))
    const [different] = compared.filter(({ same }) => same === false)
    if (different?.set.source) {
      return { summary: 'of another one', findings: [changed(source, different.set.source, different.set.id)] }
    }
    if (compared.some(({ same }) => same === undefined)) {
      const unknown = 'the system identifier of the cluster is not known'
      return { status: 'not run', summary: `the database ${source.database}; ${unknown}`, findings: [] }
    }
    return { summary, findings: [] }
  },
}

function changed(source: Source, before: Source, id: string): Finding {
  const name = describeSource(source)
  return {
    severity: 'failure',
    message: `The backup is of ${name}, while ${id} is of ${describeSource(before)} (system identifier/database)`,
    remedy: `If a major upgrade or a restore by the provider made a new cluster, write \`accept-source: ${name}\`, until 30 backups have been taken since; else \`database-url\` of the dump names the wrong server.`,
  }
}

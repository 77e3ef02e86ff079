import { describeSource, isAcceptedSource, isSameSource } from '../backup-set/source.ts'
import type { Check } from './check.ts'

export const databaseIdentityCheck: Check = {
  id: 'database-identity',
  title: 'The server is the one that the backup is of',
  modes: ['database'],
  async run(context) {
    const live = await context.live()
    const { source } = (await context.openSet()).manifest
    const [name, before] = [describeSource(live), describeSource(source)]
    const same = isSameSource(source, live)
    if (same) return { summary: name, findings: [] }
    if (isAcceptedSource(live, context.acceptSource)) return { summary: `${name}, accepted by name`, findings: [] }
    if (same === undefined) {
      const summary = `the database ${live.database}; the system identifier of the cluster is not known`
      return { status: 'not run', summary, findings: [] }
    }
    return {
      summary: 'another one',
      findings: [
        {
          severity: 'failure',
          message: `${live.label} is ${name}, while the backup is of ${before} (system identifier/database)`,
          remedy: `Correct \`database-url\`; or, if a major upgrade or a restore by the provider made a new cluster, write \`accept-source: ${name}\` and take a new dump.`,
        },
      ],
    }
  },
}

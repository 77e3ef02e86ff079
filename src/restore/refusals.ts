import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import type { RestoreError } from './pg-restore.ts'

/** Known refusals, by the server's words, and what lies behind them. */
const CAUSES: readonly [RegExp, string][] = [
  [
    /^(relation|function|type|operator) .* does not exist|^schema .* does not exist/,
    'A function or constraint names it without its schema, and a restore runs with an empty search_path: qualify the name, or give the function SET search_path.',
  ],
  [
    /is not available|could not open extension control file/,
    'Install the extension on the server that is restored into.',
  ],
  [
    /must be superuser|permission denied/,
    'On a managed service this needs the service’s own way; restore as its highest role.',
  ],
  [
    /violates foreign key constraint/,
    'The dumped rows break the constraint: on production it is NOT VALID, or was broken with triggers disabled.',
  ],
  [
    /could not create unique index|violates (unique|check|not-null)/,
    'The dumped rows break the constraint: look for a damaged index or another collation on production (REINDEX, amcheck).',
  ],
  [/role .* does not exist/, 'The role is missing from the set’s roles: please report it.'],
]

/** Values that name something (regclass, aclitem, …), which is not there while rows are loaded, or not any more. */
const VALUE_CAUSES: readonly [RegExp, string][] = [
  [
    /^relation "[^"]+\.[^"]+" does not exist/,
    'A value (regclass) names an index, or something else that is only made after the rows: PostgreSQL itself cannot load it again. Keep such names as text.',
  ],
  [
    /^role "\d+" does not exist/,
    'A value (aclitem, regrole) names a role that was dropped: PostgreSQL itself cannot load it again. Find it on production by this number, and delete or replace it.',
  ],
  [
    /partition on another server$/,
    'It is partitioned by the hash of an enum, which differs from database to database: rows would be sent to the other server. PostgreSQL itself cannot load it again; partition by list, or detach the foreign table.',
  ],
  [
    /violates partition constraint/,
    'It is partitioned by the hash of a value that holds an OID (an array or range of an enum, a regclass), which differs from database to database: PostgreSQL itself cannot load it again; partition by list, or by the hash of its text.',
  ],
]

/** Only what the archive has on record is known to be needed: what stands in the text of a function is not. */
const PART_CAUSES: readonly [RegExp, string][] = [
  [
    /^(relation|function|type|operator|schema) .* does not exist/,
    'A function or a value (regclass) names it, which nothing has on record: name its table in `tables` as well, or test the whole set.',
  ],
]

/** What the server refused, each with what lies behind it where that is known. `isPart`: of some tables of a set. */
export function errorFindings(errors: readonly RestoreError[], isPart: boolean): Finding[] {
  return errors.map(({ stage, subject, message }) => {
    const causes = [...(isPart ? PART_CAUSES : []), ...(stage === 'rows' ? VALUE_CAUSES : []), ...CAUSES]
    return {
      severity: 'failure',
      message: `${subject} (${stage}): ${message}`,
      remedy:
        causes.find(([pattern]) => pattern.test(message))?.[1] ??
        'Mend the cause on production, dump again, and run this restore test again.',
    }
  })
}

export function errorSummary(errors: readonly RestoreError[]): string {
  if (errors.length === 0) return 'no statement was refused'
  return errors.length === 1 ? '1 statement was refused' : `${formatCount(errors.length)} statements were refused`
}

import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import { addFingerprints, sameFingerprint } from '../streams/fingerprint.ts'
import type { Check } from './check.ts'
import { lookInside } from './reading.ts'

export const rowsCheck: Check = {
  id: 'rows',
  title: 'The stored rows are the rows that were dumped',
  modes: ['integrity'],
  run: lookInside(({ contents, fingerprints }) => {
    const findings: Finding[] = []
    let rows = 0
    for (const { schema, name, file, fingerprint } of contents.tables) {
      const stored = fingerprints.get(file)
      if (stored && sameFingerprint(stored, fingerprint)) rows += stored.rows
      else findings.push(different(`the rows of ${schema}.${name}`, stored === undefined))
    }
    const objects = [...fingerprints].filter(([name]) => name.startsWith('blob_')).map(([, sum]) => sum)
    const { count, fingerprint } = contents.largeObjects
    if (objects.length !== count || !sameFingerprint(addFingerprints(...objects), fingerprint)) {
      findings.push(different('the large objects', objects.length < count))
    }
    const tables = `${formatCount(contents.tables.length)} tables, ${formatCount(rows)} rows`
    const summary = count === 0 ? tables : `${tables}, ${formatCount(count)} large objects`
    return { summary, findings: findings.slice(0, 20) }
  }),
}

function different(what: string, missing: boolean): Finding {
  return {
    severity: 'failure',
    message: `${what} ${missing ? 'are not all there' : 'are not those that were dumped'}`,
    remedy: 'Restore from another set, and take a new dump.',
  }
}

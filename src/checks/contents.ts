import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import { tableDataEntries } from '../postgres/toc.ts'
import type { Check } from './check.ts'
import { lookInside } from './reading.ts'

/** The contents, the archive and the parts tell of the same files: nothing is missing, nothing is there twice. */
export const contentsCheck: Check = {
  id: 'contents',
  title: 'The archive holds what the set says',
  modes: ['integrity'],
  run: lookInside(({ contents, toc, files }) => {
    const problems: string[] = []
    for (const { name, plainBytes } of contents.files) {
      const bytes = files.get(name)
      if (bytes === undefined) problems.push(`the file ${name} is in no part`)
      else if (bytes !== plainBytes) problems.push(`the file ${name} has ${bytes} bytes instead of ${plainBytes}`)
    }
    const listed = new Set(contents.files.map(({ name }) => name))
    for (const name of files.keys()) {
      if (!listed.has(name)) problems.push(`the file ${name} is in a part, but not in the contents`)
    }
    const told = new Map(contents.tables.map((table) => [table.dumpId, table]))
    for (const entry of toc ? tableDataEntries(toc) : []) {
      const table = told.get(entry.dumpId)
      told.delete(entry.dumpId)
      if (table?.schema === entry.schema && table.name === entry.name && table.file === entry.fileName) continue
      problems.push(`the archive has rows of ${entry.schema}.${entry.name}, of which the contents say nothing`)
    }
    for (const { schema, name } of told.values()) problems.push(`the archive has no rows of ${schema}.${name}`)
    if (!toc) problems.push('the archive has no readable table of contents')
    const summary = `${formatCount(contents.files.length)} files, ${formatCount(contents.tables.length)} tables`
    return { summary, findings: problems.slice(0, 20).map(asFinding) }
  }),
}

function asFinding(message: string): Finding {
  return {
    severity: 'failure',
    message,
    remedy: 'Restore from another set, and take a new dump; if the set was never touched, please report it.',
  }
}

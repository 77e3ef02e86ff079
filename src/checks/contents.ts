import type { Contents } from '../backup-set/documents.ts'
import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import { findGaps } from '../postgres/archive-gaps.ts'
import type { Inventory } from '../postgres/inventory.ts'
import { largeObjectIds, type Toc, tableDataEntries } from '../postgres/toc.ts'
import type { Check } from './check.ts'
import { type Inside, lookInside } from './reading.ts'

/** The contents, the archive and the parts tell of the same files: nothing is missing, nothing is there twice. */
export const contentsCheck: Check = {
  id: 'contents',
  title: 'The archive holds what the set says',
  modes: ['integrity'],
  run: (context) => {
    const isWhole = context.head.content === 'whole'
    return lookInside((inside) => {
      const { files, tables } = inside.contents
      const problems = problemsOf(inside, isWhole)
      const summary = `${formatCount(files.length)} files, ${formatCount(tables.length)} tables`
      return { summary, findings: problems.slice(0, 20).map(asFinding) }
    })(context)
  },
}

function problemsOf({ contents, toc, files }: Inside, isWhole: boolean): string[] {
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
  if (toc) problems.push(...inventoryProblems(contents, toc, isWhole))
  else problems.push('the archive has no readable table of contents')
  return problems
}

/** What the catalog showed to the dump, and the archive has nothing of. */
function inventoryProblems({ inventory, excluded, largeObjects }: Contents, toc: Toc, isWhole: boolean): string[] {
  const { tables = [], sequences = [] } = (inventory ?? {}) as Partial<Inventory>
  const known = new Set(excluded.map(({ schema, name }) => JSON.stringify([schema, name])))
  const gaps = findGaps({ tables, sequences }, toc)
  // What a selection left out of sequences and large objects, pg_dump alone knows.
  const problems = [...gaps.tables, ...(isWhole ? gaps.sequences : [])]
    .filter(({ schema, name }) => !known.has(JSON.stringify([schema, name])))
    .map(({ identity }) => `the database had ${identity}, and the archive holds nothing of it`)
  const objects = largeObjectIds(toc).length
  if (isWhole && objects > largeObjects.count) {
    problems.push(`the archive makes ${objects} large objects, and the set holds ${largeObjects.count}`)
  }
  return problems
}

function asFinding(message: string): Finding {
  return {
    severity: 'failure',
    message,
    remedy: 'Restore from another set, and take a new dump; if the set was never touched, please report it.',
  }
}

import type { Finding } from '../base/findings.ts'
import { formatCount } from '../base/units.ts'
import { findGaps } from '../postgres/archive-gaps.ts'
import type { Inventory } from '../postgres/inventory.ts'
import { largeObjectIds, type Toc, tableDataEntries } from '../postgres/toc.ts'
import type { Check } from './check.ts'
import { type Inside, lookInside } from './reading.ts'

const LISTED = 20

/**
 * The contents, the archive and the parts tell of the same files, and of all that the catalog showed: nothing is missing,
 * nothing is there twice.
 */
export const contentsCheck: Check = {
  id: 'contents',
  title: 'The archive holds what the set says',
  modes: ['integrity'],
  vouches: true,
  run: lookInside((inside) => {
    const { contents, toc } = inside
    const problems = [
      ...fileProblems(inside),
      ...totalProblems(inside),
      ...(toc
        ? [...entryProblems(inside, toc), ...inventoryProblems(inside, toc)]
        : ['the archive has no readable table of contents']),
    ]
    const summary = `${formatCount(contents.files.length)} files, ${formatCount(contents.tables.length)} tables`
    return { summary, findings: problems.slice(0, LISTED).map(asFinding) }
  }),
}

/** Each file that was to be read came out of the parts, at its length; and no other. */
function fileProblems({ contents, manifest, files, segments, covers }: Inside): string[] {
  const problems: string[] = []
  const stored = new Set(manifest.parts.map(({ path }) => path))
  for (const { name, plainBytes, segments: pieces = [], bundle } of contents.files) {
    const paths = bundle === undefined ? pieces.map(({ path }) => path) : [bundle]
    const lost = paths.find((path) => !stored.has(path))
    if (lost !== undefined || paths.length === 0) problems.push(`the file ${name} is in no part`)
    else if (paths.every(covers)) {
      const bytes = files.get(name)
      if (bytes === undefined) problems.push(`the file ${name} is in no part`)
      else if (bytes !== plainBytes) problems.push(`the file ${name} has ${bytes} bytes instead of ${plainBytes}`)
    }
    for (const piece of pieces) {
      const bytes = segments.get(piece.path)?.plainBytes
      if (bytes === undefined || bytes === piece.plainBytes) continue
      problems.push(`the file ${name} has ${bytes} bytes instead of ${piece.plainBytes} in ${piece.path}`)
    }
  }
  const listed = new Set(contents.files.map(({ name }) => name))
  for (const name of files.keys()) {
    if (!listed.has(name)) problems.push(`the file ${name} is in a part, but not in the contents`)
  }
  return problems
}

/** What the manifest counted, and nobody but the contents can break down. */
function totalProblems({ contents, manifest: { totals } }: Inside): string[] {
  const rows = contents.tables.reduce((sum, { fingerprint }) => sum + fingerprint.rows, 0)
  const counted = [
    ['tables', contents.tables.length, totals.tables],
    ['rows', rows, totals.rows],
    ['large objects', contents.largeObjects.count, totals.largeObjects],
  ] as const
  return counted
    .filter(([, inside, outside]) => inside !== outside)
    .map(([what, inside, outside]) => `the contents tell of ${inside} ${what}, the manifest of ${outside}`)
}

/** The archive loads the rows of the tables that the contents tell of. */
function entryProblems({ contents }: Inside, toc: Toc): string[] {
  const problems: string[] = []
  const told = new Map(contents.tables.map((table) => [table.dumpId, table]))
  for (const entry of tableDataEntries(toc)) {
    const table = told.get(entry.dumpId)
    told.delete(entry.dumpId)
    if (table?.schema === entry.schema && table.name === entry.name && table.file === entry.fileName) continue
    problems.push(`the archive has rows of ${entry.schema}.${entry.name}, of which the contents say nothing`)
  }
  for (const { schema, name } of told.values()) problems.push(`the archive has no rows of ${schema}.${name}`)
  return problems
}

/** What the catalog showed in the snapshot is in the archive, or left out for a reason that the contents tell. */
function inventoryProblems({ contents, manifest }: Inside, toc: Toc): string[] {
  const inventory = contents.inventory as Partial<Inventory> | null
  if (!inventory?.tables || !inventory.sequences) return ['the contents hold no inventory of the database']
  const { tables, sequences } = findGaps({ tables: inventory.tables, sequences: inventory.sequences }, toc)
  const excluded = new Set(contents.excluded.map(({ schema, name }) => JSON.stringify([schema, name])))
  // What a selection left out of sequences and large objects, pg_dump alone knows.
  const whole = manifest.content === 'whole'
  const gaps = [
    ...tables.map((table) => ({ ...table, what: 'rows of the table' })),
    ...(whole ? sequences : []).map((sequence) => ({ ...sequence, what: 'value of the sequence' })),
  ]
  const problems = gaps
    .filter(({ schema, name }) => !excluded.has(JSON.stringify([schema, name])))
    .map(({ identity, what }) => `the database had the ${what} ${identity}, and the archive does not`)
  const objects = largeObjectIds(toc).length
  if (whole && (objects !== inventory.largeObjects || objects !== contents.largeObjects.count)) {
    problems.push(
      `the database had ${inventory.largeObjects} large objects; the archive tells of ${objects}, the contents of ${contents.largeObjects.count}`,
    )
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

import { readHead } from '../../src/backup-set/find.ts'
import { openSet, readContents } from '../../src/backup-set/open-set.ts'
import { memoryLog, systemClock } from '../../src/base/ports.ts'
import { openStorage } from '../../src/storage/open.ts'
import { parseIdentities } from '../../src/streams/age.ts'
import type { StoredSet } from './sets.ts'
import type { Workbench } from './workbench.ts'

/** The stored bytes of the parts that hold rows of a table (of schema public), and perhaps of others beside it. */
export async function ownPartBytes(bench: Workbench, { inputs, env, database, dump }: StoredSet, table: string) {
  const { 's3-endpoint': endpoint } = inputs
  const options = { env: { ...process.env, ...env }, log: memoryLog(), clock: systemClock }
  const storage = await openStorage(inputs.storage ?? '', { ...options, ...(endpoint !== undefined && { endpoint }) })
  try {
    const set = await openSet(storage, await readHead(storage, database, dump.outputs['backup-id'] ?? ''), [])
    const contents = await readContents(set, await parseIdentities(bench.identity), bench.signal)
    const file = contents.tables.find(({ name, schema }) => name === table && schema === 'public')?.file
    const holders = contents.files
      .filter(({ name }) => name === file)
      .flatMap(({ segments = [], bundle }) => [...segments.map(({ path }) => path), ...(bundle ? [bundle] : [])])
    const parts = set.manifest.parts.filter(({ path }) => holders.includes(path))
    if (parts.length === 0) throw new Error(`the set holds no part of the table ${table}`)
    return parts.reduce((sum, { bytes }) => sum + bytes, 0)
  } finally {
    storage.close()
  }
}

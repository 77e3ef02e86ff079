/**
 * Builds the bundles: each action's `dist/` holds all that it needs, because the runner installs nothing.
 *
 *   npm run build                  into the repository
 *   npm run build -- --out <dir>   into <dir>/action-…/dist, to compare
 */
import { rename, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ACTIONS } from './lib/actions.ts'
import { mapLimited, ROOT, runNode } from './lib/run.ts'

const NCC = 'node_modules/@vercel/ncc/dist/ncc/cli.js'

const OPTIONS = [
  '--license',
  'licenses.txt',
  // Types are checked once, by tsc.
  '--transpile-only',
  // A cache between builds could hide that the same source no longer builds the same bytes.
  '--no-cache',
  // Never loaded: `pg` reaches for it only through `pg.native`.
  '--external',
  'pg-native',
]

/** Builds all bundles into `<out>/<action folder>/dist`. Rejects with the bundler's output if one cannot be built. */
export async function buildActions(out: string): Promise<void> {
  await mapLimited(ACTIONS, availableParallelism(), async ({ name, folder, entry }) => {
    const dist = join(out, folder, 'dist')
    // Aside first: whoever runs the bundle meanwhile runs a whole one.
    const fresh = `${dist}.new`
    const { code, output } = await runNode(NCC, ['build', entry, '--out', fresh, ...OPTIONS])
    if (code !== 0) throw new Error(`the bundle of ${name} could not be built:\n${output}`)
    await rm(dist, { recursive: true, force: true })
    await rename(fresh, dist)
  })
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { out: { type: 'string', default: ROOT } } })
  await buildActions(values.out)
  console.log(ACTIONS.map(({ folder }) => `built ${folder}/dist`).join('\n'))
}

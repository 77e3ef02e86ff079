/**
 * Writes the tables of inputs and outputs in each action's README.md from its action.yml.
 *
 *   npm run docs              writes
 *   npm run docs -- --check   changes nothing; fails if something would change
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describeAction, withTables } from './lib/action-docs.ts'
import { ACTIONS } from './lib/actions.ts'
import { ROOT } from './lib/run.ts'

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })

for (const { folder } of ACTIONS) {
  const file = join(ROOT, folder, 'README.md')
  const before = readFileSync(file, 'utf8')
  const after = withTables(before, describeAction(folder))
  if (before === after) continue
  if (values.check) {
    console.error(`${folder}/README.md is not what ${folder}/action.yml says. Run: npm run docs`)
    process.exitCode = 1
  } else {
    writeFileSync(file, after)
    console.log(`wrote ${folder}/README.md`)
  }
}

/**
 * Writes what is generated for readers: the tables of inputs and outputs in each action's README.md from its action.yml,
 * and the JSON Schemas of the stored documents from the code that reads them.
 *
 *   npm run docs              writes
 *   npm run docs -- --check   changes nothing; fails if something would change
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { contentsSchema, evidenceSchema, headSchema, manifestSchema } from '../src/backup-set/documents.ts'
import { describeAction, withTables } from './lib/action-docs.ts'
import { ACTIONS } from './lib/actions.ts'
import { ROOT } from './lib/run.ts'

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })

const SCHEMAS = {
  'manifest.schema.json': manifestSchema,
  'head.schema.json': headSchema,
  'contents.schema.json': contentsSchema,
  'evidence.schema.json': evidenceSchema,
}

/** Writes `content`, or says that the file is stale. */
function bring(name: string, before: string, content: string, source: string): void {
  if (before === content) return
  if (values.check) {
    console.error(`${name} is not what ${source} says. Run: npm run docs`)
    process.exitCode = 1
  } else {
    writeFileSync(join(ROOT, name), content)
    console.log(`wrote ${name}`)
  }
}

function current(name: string): string {
  const path = join(ROOT, name)
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

for (const { folder } of ACTIONS) {
  const name = `${folder}/README.md`
  const before = current(name)
  bring(name, before, withTables(before, describeAction(folder)), `${folder}/action.yml`)
}

for (const [file, schema] of Object.entries(SCHEMAS)) {
  const name = `docs/schemas/${file}`
  const content = `${JSON.stringify(z.toJSONSchema(schema, { io: 'input' }), null, 2)}\n`
  bring(name, current(name), content, 'src/backup-set/documents.ts')
}

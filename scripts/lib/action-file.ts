import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'

/** The top folder of this repository. */
export const REPOSITORY = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')

/** What an `action.yml` says, as far as a runner needs it. */
export interface ActionFile {
  /** The folder that holds it, absolute. */
  folder: string
  name: string
  inputs: Record<string, { default?: string; required: boolean }>
  outputs: string[]
  runs: { using: string; main: string; post?: string; postIf: string }
}

/**
 * Reads `<folder>/action.yml`; a relative folder is looked for in this repository. Only JavaScript actions are known.
 */
export async function readActionFile(folder: string): Promise<ActionFile> {
  const absolute = path.resolve(REPOSITORY, folder)
  const file = path.join(absolute, 'action.yml')
  const content = parse(await readFile(file, 'utf8'))
  const runs = content?.runs
  if (typeof runs?.using !== 'string' || typeof runs.main !== 'string') {
    throw new Error(`${file} describes no JavaScript action (runs.using, runs.main)`)
  }
  const inputs: ActionFile['inputs'] = {}
  for (const [name, input] of Object.entries<Record<string, unknown> | null>(content.inputs ?? {})) {
    const preset = input?.default
    inputs[name] = { required: input?.required === true }
    if (preset !== undefined && preset !== null) inputs[name].default = String(preset)
  }
  return {
    folder: absolute,
    name: String(content.name ?? folder),
    inputs,
    outputs: Object.keys(content.outputs ?? {}),
    runs: { using: runs.using, main: runs.main, post: runs.post, postIf: String(runs['post-if'] ?? 'always()') },
  }
}

/**
 * The `INPUT_*` variables of one use of an action: every declared input is set, to what was given, else to its default,
 * else to nothing. `required` is not enforced: the real runner does not either.
 * Rejects inputs that the action does not declare (there the real runner warns, and the typo goes unnoticed).
 */
export function inputEnvironment(
  action: ActionFile,
  given: Readonly<Record<string, string>>,
  contexts: Readonly<Record<string, Readonly<Record<string, string>>>>,
): Record<string, string> {
  const unknown = Object.keys(given).filter((name) => action.inputs[name] === undefined)
  if (unknown.length > 0) {
    const valid = Object.keys(action.inputs).join(', ')
    throw new Error(`unexpected input(s) ${unknown.join(', ')} for ${action.name}; valid inputs are: ${valid}`)
  }
  const variables: Record<string, string> = {}
  for (const [name, input] of Object.entries(action.inputs)) {
    variables[inputVariable(name)] = given[name] ?? evaluate(input.default ?? '', contexts)
  }
  return variables
}

/** Upper case, spaces to underscores, nothing else: hyphens stay. */
export function inputVariable(name: string): string {
  return `INPUT_${name.replaceAll(' ', '_').toUpperCase()}`
}

/** Fills in `${{ github.token }}` and its like: plain look-ups in the contexts given; what a context lacks is empty. */
function evaluate(text: string, contexts: Readonly<Record<string, Readonly<Record<string, string>>>>): string {
  return text.replaceAll(/\$\{\{\s*(.*?)\s*\}\}/g, (_, expression: string) => {
    const match = /^([a-z]+)\.([a-z_]+)$/.exec(expression)
    const context = match?.[1] === undefined ? undefined : contexts[match[1]]
    if (context === undefined) throw new Error(`this runner cannot evaluate \${{ ${expression} }}`)
    return context[match?.[2] ?? ''] ?? ''
  })
}

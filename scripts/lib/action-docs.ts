import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { ROOT } from './run.ts'

interface Described {
  description?: string
  required?: boolean
  default?: unknown
}

export interface ActionDescription {
  name: string
  description: string
  inputs: Record<string, Described>
  outputs: Record<string, Described>
}

/** What an `action.yml` says about its inputs and outputs. */
export function describeAction(folder: string): ActionDescription {
  const { name, description, inputs, outputs } = parse(readFileSync(join(ROOT, folder, 'action.yml'), 'utf8'))
  return { name, description, inputs: inputs ?? {}, outputs: outputs ?? {} }
}

/** Text as it may stand in a cell of a Markdown table: one line, no table, HTML or link syntax of its own. */
export function escapeCell(text: string): string {
  return text
    .trim()
    .split(/(`[^`]*`)/)
    .map((piece, index) => (index % 2 === 1 ? piece : piece.replace(/[&<>]/g, (sign) => ENTITIES[sign] ?? sign)))
    .join('')
    .replaceAll('|', '\\|')
    .replace(/\s*\n\s*\n\s*/g, '<br>')
    .replace(/\s*\n\s*/g, ' ')
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }

/** The table of inputs: name, what it means, default. */
export function inputTable(action: ActionDescription): string {
  const rows = Object.entries(action.inputs).map(([name, input]) => [
    `\`${name}\``,
    escapeCell(input.description ?? ''),
    describeDefault(input),
  ])
  return table(['Input', 'Meaning', 'Default'], rows)
}

/** The table of outputs: name, what it means. */
export function outputTable(action: ActionDescription): string {
  const rows = Object.entries(action.outputs).map(([name, output]) => [
    `\`${name}\``,
    escapeCell(output.description ?? ''),
  ])
  return table(['Output', 'Meaning'], rows)
}

function describeDefault(input: Described): string {
  if (input.required === true) return '**required**'
  const text = String(input.default ?? '')
  return text === '' ? '–' : escapeCell(`\`${text}\``)
}

function table(head: string[], rows: string[][]): string {
  const lines = [head, head.map(() => '---'), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/**
 * Replaces what stands between `<!-- generated: <name> -->` and `<!-- end of generated: <name> -->`.
 * Throws if the text does not hold this pair of markers exactly once.
 */
export function replaceGenerated(text: string, name: string, content: string): string {
  const begin = `<!-- generated: ${name} -->`
  const end = `<!-- end of generated: ${name} -->`
  const [head, rest, ...more] = text.split(begin)
  const [, tail, ...others] = (rest ?? '').split(end)
  if (head === undefined || tail === undefined || more.length > 0 || others.length > 0) {
    throw new Error(`needs exactly one pair of the markers ${begin} and ${end}`)
  }
  return `${head}${begin}\n\n${content}\n\n${end}${tail}`
}

/** An action's README with its tables as `action.yml` has them now. */
export function withTables(readme: string, action: ActionDescription): string {
  return replaceGenerated(replaceGenerated(readme, 'inputs', inputTable(action)), 'outputs', outputTable(action))
}

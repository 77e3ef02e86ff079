import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { replaceGenerated } from '../lib/action-docs.ts'
import { ROOT } from '../lib/run.ts'
import { type Machine, machineSentence } from './machine.ts'
import type { BenchOptions } from './options.ts'
import { renderMarkdown, renderProcessorTime } from './table.ts'
import type { LineResult, Samples } from './types.ts'

export const DOCUMENT = 'docs/performance.md'

export interface Outcome {
  startedAt: string
  seconds: number
  machine: Machine
  options: Pick<BenchOptions, 'scale' | 'rounds' | 'major'>
  lines: LineResult[]
  samples: Record<string, Samples>
}

/** What `--write-docs` puts between the markers of docs/performance.md. */
export function renderDocument({ startedAt, machine, options, lines, samples }: Outcome): string {
  const { scale, rounds } = options
  const timed = Object.entries(samples).filter(([, runs]) => Object.keys(runs).length > 0)
  return [
    `${startedAt.slice(0, 10)}, scale ${scale}, ${rounds} rounds. ${machineSentence(machine)}`,
    renderMarkdown(lines),
    'Processor time of these runs in seconds (medians):',
    ...timed.map(([id, runs]) => `\`\`\`text\n${id}\n${renderProcessorTime(runs)}\n\`\`\``),
  ].join('\n\n')
}

/** Writes it. */
export async function writeDocument(outcome: Outcome): Promise<void> {
  const file = path.join(ROOT, DOCUMENT)
  await writeFile(file, replaceGenerated(await readFile(file, 'utf8'), 'bench', renderDocument(outcome)))
}

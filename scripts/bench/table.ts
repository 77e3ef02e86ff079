import { median } from './statistics.ts'
import type { LineResult, Samples } from './types.ts'

const HEAD = ['what', 'against', 'target', 'ours', 'baseline', 'result', 'spread', 'CPU', '']

/** The table of the lines, for a terminal: columns in line with one another. */
export function renderText(lines: readonly LineResult[]): string {
  const rows = [HEAD, ...lines.map(cellsOf)].map((cells) => cells.map((cell) => cell.replaceAll('`', '')))
  return align(rows)
}

/** The same in Markdown. */
export function renderMarkdown(lines: readonly LineResult[]): string {
  const escapePipes = (text: string) => text.replaceAll(' | ', ' \\| ')
  const rows = [HEAD, HEAD.map(() => '---'), ...lines.map((line) => cellsOf(line).map(escapePipes))]
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function cellsOf(line: LineResult): string[] {
  const { what, against, target, ours, baseline, result, spread, cpu, verdict } = line
  return [what, against, target, ours, baseline, result, spread, cpu, verdict]
}

/** Where the processor's time goes: seconds of each subject by program, medians; largest first. */
export function renderProcessorTime(samples: Samples): string {
  const rows = Object.entries(samples)
    .filter(([, runs]) => runs.length > 0)
    .map(([name, runs]) => {
      const programs = [...new Set(runs.flatMap(({ cpuByProgram }) => Object.keys(cpuByProgram)))]
      const parts = programs
        .map((program) => ({ program, seconds: median(runs.map(({ cpuByProgram }) => cpuByProgram[program] ?? 0)) }))
        .filter(({ seconds }) => seconds >= 0.02)
        .sort((a, b) => b.seconds - a.seconds)
        .map(({ program, seconds }) => `${program} ${seconds.toFixed(2)}`)
      const server = runs.flatMap(({ serverCpuSeconds }) => serverCpuSeconds ?? [])
      return [
        name,
        median(runs.map(({ seconds }) => seconds)).toFixed(2),
        median(runs.map(({ cpuSeconds }) => cpuSeconds)).toFixed(2),
        parts.join(', '),
        server.length > 0 ? median(server).toFixed(2) : '–',
      ]
    })
  return align([['run', 'seconds', 'CPU', 'of it, by program', 'source server'], ...rows])
}

function align(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

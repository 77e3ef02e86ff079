import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'

const SHOWN = 25

/** What V8 writes with --cpu-prof, as far as it is read here. */
interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[]
  samples: number[]
  /** Microseconds since the sample before. */
  timeDeltas: number[]
}

/** Makes every Node process that gets it write a profile of each of its JavaScript threads. */
export function profilingEnvironment(folder: string): Record<string, string> {
  return { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${folder}` }
}

/**
 * The functions that took longest themselves, over all profiles below a folder: by action, the main threads and the
 * others apart. The thread pool runs no JavaScript: its time shows by program instead.
 */
export async function renderProfiles(folder: string): Promise<string> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.cpuprofile'))
  const groups = new Map<string, Map<string, number>>()
  for (const name of names) {
    // CPU.<date>.<time>.<process>.<thread>.<number>.cpuprofile
    const thread = path.basename(name).split('.')[4] === '0' ? 'main threads' : 'worker threads'
    const group = `${path.dirname(name)}, ${thread}`
    const totals = groups.get(group) ?? new Map<string, number>()
    groups.set(group, totals)
    addSelfTimes(JSON.parse(await readFile(path.join(folder, name), 'utf8')), totals)
  }
  return [...groups].map(([group, totals]) => `${group}, own seconds\n${renderTotals(totals)}`).join('\n\n')
}

function addSelfTimes({ nodes, samples, timeDeltas }: Profile, totals: Map<string, number>): void {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? '?'
    totals.set(name, (totals.get(name) ?? 0) + (timeDeltas[index] ?? 0) / 1e6)
  }
}

function nameOf({ functionName, url, lineNumber }: Profile['nodes'][number]['callFrame']): string {
  const place = url === '' ? '' : ` ${path.basename(url)}:${lineNumber + 1}`
  return `${functionName || '(anonymous)'}${place}`
}

function renderTotals(totals: ReadonlyMap<string, number>): string {
  return [...totals]
    .filter(([name]) => name !== '(idle)')
    .sort(([, a], [, b]) => b - a)
    .slice(0, SHOWN)
    .map(([name, seconds]) => `${seconds.toFixed(2).padStart(8)}  ${name}`)
    .join('\n')
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from '@jest/globals'
import { chooseExperiments, EXPERIMENTS } from '../../scripts/bench/experiments.ts'
import { boundLine, missingLine, ratioLine } from '../../scripts/bench/line.ts'
import { allocatedBytes, measure } from '../../scripts/bench/measure.ts'
import { readOptions } from '../../scripts/bench/options.ts'
import { programOf } from '../../scripts/bench/process-tree.ts'
import { compare, median, summarize } from '../../scripts/bench/statistics.ts'
import { renderMarkdown, renderProcessorTime, renderText } from '../../scripts/bench/table.ts'
import type { Sample } from '../../scripts/bench/types.ts'
import { runNode } from '../../scripts/lib/run.ts'
import { availableMajors, binDirectory } from '../support/postgres.ts'

const MAJOR = availableMajors().at(-1) ?? 0

function sample(seconds: number, cpuSeconds = seconds): Sample {
  return { seconds, cpuSeconds, cpuByProgram: { node: cpuSeconds }, serverCpuSeconds: 1, extra: {} }
}

test('medians, and the ratio of medians with its spread over the rounds', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 2, 3])).toBe(2.5)
  expect(() => median([])).toThrow('no value')
  expect(summarize([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, count: 3 })
  // The second baseline was run in fewer rounds.
  expect(compare([2, 4, 3], [1, 4])).toEqual({ ratio: 1.2, min: 1, max: 2 })
})

test('lines say whether their target is met', () => {
  const ours = [sample(1.2, 2), sample(1.4, 2), sample(1.3, 2)]
  const baseline = [sample(1, 1), sample(1, 1), sample(1, 1)]
  const line = { id: 'dump', what: 'dump', against: '`pg_dump`' }
  const met = ratioLine({ ...line, atMost: 1.3, ours, baseline })
  expect(met).toMatchObject({
    ours: '1.30 s',
    baseline: '1.00 s',
    result: '1.30 ×',
    spread: '1.20–1.40',
    cpu: '1.50 ×',
  })
  expect(met.verdict).toBe('met')
  expect(ratioLine({ ...line, atMost: 1.2, ours, baseline }).verdict).toBe('missed')
  const bound = { id: 'disk', what: 'disk', target: '≤ 2', format: String, atMost: 2 }
  expect(boundLine({ ...bound, values: [1, 1, 2] })).toMatchObject({ ours: '1', result: '2', verdict: 'met' })
  expect(boundLine({ ...bound, values: [1, 1, 3] }).verdict).toBe('missed')
  expect(boundLine({ ...bound, values: [1, Number.NaN] }).verdict).toBe('missed')
})

test('the table, in a terminal and in Markdown', () => {
  const missing = missingLine({ id: 'one', what: 'one table', against: '`age | zstd`', target: '≤ 0.15 ×' })
  const bound = boundLine({ id: 'a', what: 'disk', target: '≤ 2', format: String, atMost: 2, values: [1] })
  expect(renderText([missing, bound]).split('\n')).toEqual([
    'what       against     target    ours  baseline  result  spread  CPU',
    'one table  age | zstd  ≤ 0.15 ×  –     –         –       –       –    not there yet',
    'disk       –           ≤ 2       1     –         1       1–1     –    met',
  ])
  expect(renderMarkdown([missing]).split('\n')[2]).toBe(
    '| one table | `age \\| zstd` | ≤ 0.15 × | – | – | – | – | – | not there yet |',
  )
  expect(renderProcessorTime({ ours: [sample(2, 3)] }).split('\n')[1]).toMatch(
    /^ours +2\.00 +3\.00 +node 3\.00 +1\.00$/,
  )
})

test('every target of the table has a line, and words choose among them', () => {
  const names = EXPERIMENTS.flatMap(({ id, lines }) => [id, ...lines])
  expect(new Set(names).size).toBe(names.length)
  expect(chooseExperiments(EXPERIMENTS, ['snapshot', 'spool']).map(({ id }) => id)).toEqual(['dump', 'spool'])
  expect(chooseExperiments(EXPERIMENTS, ['verify']).map(({ id }) => id)).toEqual(['verify'])
  expect(() => chooseExperiments(EXPERIMENTS, ['nothing'])).toThrow('no line has nothing in its name')
  expect(readOptions(['--scale', '0.1', '--only', 'dump,s3', 'start'])).toMatchObject({
    scale: 0.1,
    rounds: 5,
    slowRounds: 3,
    only: ['dump', 's3', 'start'],
  })
  for (const args of [
    ['--scale', '0'],
    ['--rounds', '1.5'],
    ['--only', 'dump', '--write-docs'],
  ]) {
    expect(() => readOptions(args)).toThrow(TypeError)
  }
})

test('a program is known by its command line, also under a loader and as a server process', () => {
  expect(
    programOf('/lib/ld-linux-x86-64.so.2 --library-path /lib --argv0 /17/bin/pg_dump /17/bin.real/pg_dump -Fd'),
  ).toBe('pg_dump')
  expect(programOf('postgres: postgres anchors 127.0.0.1(41234) COPY')).toBe('postgres')
  expect(programOf('/opt/node/bin/node dist/index.js')).toBe('node')
  expect(programOf('sh -c true')).toBe('sh')
  expect(programOf('')).toBe('')
})

test('processor time, memory and disk of what a piece of work starts', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'lifeboat-bench-'))
  const work = `
    require('node:fs').writeFileSync(process.argv[1], Buffer.alloc(2 ** 22, 1))
    globalThis.held = Buffer.alloc(2 ** 26, 1)
    const until = performance.now() + 400
    while (performance.now() < until);
    setTimeout(() => {}, 300)`
  try {
    const options = { memory: true, disk: { directory, except: 'left-out' } }
    await writeFile(path.join(directory, 'left-out-file'), Buffer.alloc(2 ** 24, 1))
    const { value, ...found } = await measure(options, async () => {
      const child = spawn(process.execPath, ['-e', work, path.join(directory, 'file')])
      return { seconds: 1, code: (await once(child, 'exit'))[0] }
    })
    expect(value).toEqual({ seconds: 1, code: 0 })
    expect(found.seconds).toBe(1)
    expect(found.cpuSeconds).toBeGreaterThan(0.1)
    expect(Object.keys(found.cpuByProgram)).toContain('node main')
    expect(found.extra.peakMemory).toBeGreaterThan(2 ** 26)
    expect(found.extra.peakDisk).toBeGreaterThanOrEqual(2 ** 22)
    expect(found.extra.peakDisk).toBeLessThan(2 ** 24)
    expect(await allocatedBytes(directory)).toBeGreaterThan(2 ** 24)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})

test('one line from end to end, at the smallest scale', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'lifeboat-bench-'))
  const json = path.join(directory, 'figures.json')
  try {
    const args = ['--scale', '0.001', '--rounds', '1', '--only', 'verify', '--major', String(MAJOR), '--json', json]
    const { code, output } = await runNode('scripts/bench.ts', args, { ...process.env, ...postgres() })
    expect(`${code} ${output}`).toMatch(/^0 /)
    expect(output).toContain('restored, equal to the source')
    const { lines, samples, machine } = JSON.parse(await readFile(json, 'utf8'))
    expect(lines).toMatchObject([{ id: 'verify', target: '≤ 1.1 ×', values: { atMost: 1.1 } }])
    expect(Object.keys(samples.verify)).toEqual(['action-verify', 'age | zstd | sha256sum'])
    expect(samples.verify['action-verify']).toHaveLength(1)
    expect(machine.postgres).toMatch(new RegExp(`^${MAJOR}\\.`))
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}, 120_000)

/** The bench looks for its own PostgreSQL; here it is the one that the tests have. */
function postgres(): Record<string, string> {
  return { LIFEBOAT_POSTGRES_DIRS: path.join(binDirectory(MAJOR), '..', '..') }
}

import { readFileSync } from 'node:fs'
import { afterAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { safeLines } from '../../src/github/log-lines.ts'
import { removeStepFolders, runStep } from './support.ts'

afterAll(removeStepFolders)

const errorsOf = (lines: string[]) => lines.filter((line) => /^::(error|warning)/.test(line))

test('a passed step ends with 0 in spite of a stray timer; its post step finds its state, and cannot fail it', async () => {
  const main = await runStep('passed')
  expect(main.code).toBe(0)
  expect(main.outputs).toEqual({ verdict: 'passed' })
  expect(main.summary).toBe('## fine\n')
  expect(main.seconds).toBeLessThan(20)
  expect(main.state).toEqual({ 'is-post': 'true', pid: '42', temp: expect.stringContaining('pg-lifeboat-') })

  const states = Object.entries(main.state).map(([name, value]) => [`STATE_${name}`, value])
  const post = await runStep('passed', { env: Object.fromEntries(states) })
  expect(post.code).toBe(0)
  expect(post.lines).toContain(`post of 42 in ${main.state.temp}`)
  expect(errorsOf(post.lines)).toEqual(['::warning title=pg-lifeboat test::A directory is left.%0A→ Remove it.'])
})

test('what is thrown says what to do, and leaves no stack and no secret', async () => {
  const expected = await runStep('expected')
  expect(expected.code).toBe(1)
  expect(errorsOf(expected.lines)).toEqual([
    '::error title=pg-lifeboat test::*** was refused%0A: :error::x%0A→ Correct `database-url`.',
  ])
  expect(expected.lines.join('\n')).not.toMatch(/^\s+at /m)

  const inputs = await runStep('inputs')
  expect(inputs.code).toBe(1)
  expect(errorsOf(inputs.lines)).toEqual([
    '::error title=pg-lifeboat test%3A input::jobs is out of range (given: "0"); accepted: a whole number from 1 to 64',
    '::error title=pg-lifeboat test%3A input::storage is missing; accepted: s3://bucket',
  ])

  const defect = await runStep('defect')
  expect(defect.code).toBe(1)
  expect(errorsOf(defect.lines)).toEqual([expect.stringContaining('x is not a function%0A→ This is a defect')])
  expect(defect.lines.filter((line) => line.includes('step.ts'))).toEqual([
    expect.stringMatching(/^::debug::TypeError/),
  ])
})

test('only a verdict of passed is green: not unverified, not an unhandled rejection, not an empty event loop', async () => {
  expect((await runStep('unverified')).code).toBe(1)
  const stray = await runStep('stray')
  expect(stray.code).toBe(1)
  expect(errorsOf(stray.lines)).toEqual(['::error title=pg-lifeboat test::Something failed aside.%0A→ Try again.'])
  const empty = await runStep('empty')
  expect(empty.code).toBe(1)
  expect(errorsOf(empty.lines)).toEqual([expect.stringContaining('the work stopped without an end')])
})

test('a phase whose bytes stand still is ended, which says where and after how much', async () => {
  const stalled = await runStep('stalled')
  expect(stalled.code).toBe(1)
  expect(errorsOf(stalled.lines)).toEqual([
    expect.stringMatching(
      /Rows: no byte has moved for [\d.]+ s, after 1\.0 MiB of 1\.0 GiB%0A→ See what the database waits for .*`stall-timeout`/,
    ),
  ])
  expect(stalled.seconds).toBeLessThan(20)
})

test('a phase that waits for the storage alone does not send anybody to the database', async () => {
  const [error = '', ...more] = errorsOf((await runStep('stalled-storage')).lines)
  expect(more).toEqual([])
  expect(error).toMatch(
    /Retention: no byte has moved .*→ See the status of the storage, and the network [^`]*`stall-timeout`/,
  )
  expect(error).not.toMatch(/database|pg_stat/)
})

test('a cancelled step says so at once, and one that will not stop is stopped', async () => {
  const cancelled = await runStep('cancelled', { signalOn: 'ready' })
  expect(cancelled.code).toBe(1)
  expect(errorsOf(cancelled.lines)).toEqual([expect.stringContaining('The run was cancelled (SIGINT).%0A→ ')])

  const stubborn = await runStep('stubborn', { signalOn: 'ready' })
  expect(stubborn.code).toBe(1)
  expect(stubborn.seconds).toBeLessThan(20)
  expect(errorsOf(stubborn.lines)).toHaveLength(1)
})

const pieces = fc.constantFrom(
  '::',
  ' ',
  '##[',
  '::error::',
  '\n',
  '\r',
  '\t',
  '\u0007',
  '\u0085',
  'hunter',
  '22',
  'se"cr\\et',
  'x',
  '*',
)
const text = fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join(''))

test('no masked value leaves by any way, whatever surrounds it, and no text becomes a command', async () => {
  const secrets = [
    'hunter22',
    'se"cr\\et',
    '****',
    'x*x*x',
    'line one\nline two\nxy',
    '-----BEGIN KEY-----\nAAAAB3Nz\n-----END KEY-----',
  ]
  const hidden = ['hunter22', 'se"cr\\et', '****', 'x*x*x', 'line one', 'line two', 'AAAAB3Nz']
  const texts = [...fc.sample(text, { numRuns: 300, seed: 7 }), ...secrets, 'hunhunter22ter22', 'a\rline one\rb']
  const step = await runStep('leaks', { env: { LEAKS: JSON.stringify({ secrets, texts }) } })
  expect(step.code).toBe(0)

  const printed = step.lines.filter((line) => !line.startsWith('::add-mask::'))
  const report = readFileSync(step.outputs.report ?? '', 'utf8')
  const said = JSON.stringify(JSON.parse(report)).replaceAll('\\\\', '\\').replaceAll('\\"', '"')
  const everything = [printed.join('\n').replaceAll('%0A', '\n').replaceAll('%0D', '\r'), step.summary, report, said]
  for (const secret of hidden) for (const medium of everything) expect(medium).not.toContain(secret)
  expect(JSON.parse(report).count).toBe(3)

  expect(step.lines.filter((line) => line.startsWith('::add-mask::')).map((line) => line.slice(12))).toEqual(
    expect.arrayContaining(['hunter22', 'line one', 'line two', 'AAAAB3Nz']),
  )
  expect(step.lines.join('\n')).not.toMatch(/##\[/)
  const commands = new Set(
    printed.filter((line) => line.trimStart().startsWith('::')).map((line) => /^::([a-z]*)/.exec(line)?.[1]),
  )
  expect([...commands].sort()).toEqual(['debug', 'endgroup', 'group', 'warning'])
  // The runner keeps ten annotations; the others are lines.
  expect(printed.filter((line) => line.startsWith('::warning')).length).toBe(10)
})

test('a line is never a command', () => {
  fc.assert(
    fc.property(text, (value) => {
      for (const line of safeLines(value)) {
        expect(line).not.toMatch(/^\s*::|##\[|[\r\n]/)
        expect(line).not.toMatch(/[\p{Cc}]/u)
      }
    }),
  )
  expect(safeLines('a\r\n  ::set-output::x\n##[error]y')).toEqual(['a', '  : :set-output::x', '## [error]y'])
})

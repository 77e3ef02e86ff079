import { expect, test } from '@jest/globals'
import { isTerminal, progressBar, StatusLine } from '../../src/github/progress-bar.ts'

/** A terminal of one line: what stands in it after everything that was written. */
function fakeTerminal(columns?: number) {
  const written: string[] = []
  return {
    ...(columns !== undefined && { columns }),
    write: (text: string) => void written.push(text),
    written,
    line: () => written.join('').split('\r\u001b[K').at(-1),
  }
}

const rate = { bytesPerSecond: 2 ** 20, idleSeconds: 0 }
const total = { bytes: 40 * 2 ** 20, isEstimate: true }

test('a bar is drawn over itself, within the width of the terminal, and is gone at the end', () => {
  const terminal = fakeTerminal(100)
  const view = progressBar(new StatusLine(terminal))
  view.show({ ...rate, seconds: 0.4, bytes: 1 })
  expect(terminal.written).toEqual([])
  view.show({ ...rate, seconds: 10, bytes: 10 * 2 ** 20, total, share: 25, secondsLeft: 30 })
  expect(terminal.line()).toBe(
    '██████░░░░░░░░░░░░░░░░░░  10.0 MiB of about 40.0 MiB (25 %), 1.0 MiB/s, about 30 s left',
  )
  view.show({ ...rate, seconds: 50, bytes: 50 * 2 ** 20 })
  expect(terminal.line()).toBe('50.0 MiB, 1.0 MiB/s')
  view.end()
  expect(terminal.line()).toBe('')
  expect(terminal.written.join('')).not.toContain('\n')

  for (const columns of [undefined, 0, 20, 200]) {
    const narrow = fakeTerminal(columns)
    progressBar(new StatusLine(narrow)).show({ ...rate, seconds: 9, bytes: 2 ** 20, total, share: 100 })
    expect([...(narrow.line() ?? '')].length).toBeLessThan(columns || 80)
    expect(narrow.line()).toMatch(/^█+/)
  }
})

test('nothing is written twice, and nothing is cleared away that is not there', () => {
  const terminal = fakeTerminal()
  const line = new StatusLine(terminal)
  line.clear()
  line.draw('one')
  line.draw('one')
  line.clear()
  line.clear()
  expect(terminal.written).toEqual(['\r\u001b[Kone', '\r\u001b[K'])
})

test('lines are drawn over in a terminal, and never in the log of a job', () => {
  expect(isTerminal({ isTTY: true }, {})).toBe(true)
  expect(isTerminal({ isTTY: true }, { GITHUB_ACTIONS: 'true' })).toBe(false)
  expect(isTerminal({ isTTY: true }, { TERM: 'dumb' })).toBe(false)
  expect(isTerminal({}, {})).toBe(false)
})

import { expect } from '@jest/globals'
import type { ActionResult } from '../../scripts/lib/local-runner.ts'
import { expectExit } from './support.ts'

/** The run was refused as a person would want it: each text stands in an error and in the summary, with a way out. */
export function expectRefusal(result: ActionResult, verdict: string, ...texts: (string | RegExp)[]): void {
  expectExit(result, 1)
  const errors = result.annotations.filter(({ level }) => level === 'error').map(({ message }) => message)
  const summary = plainText(result.summary)
  for (const text of texts) {
    expect(errors.join('\n')).toMatch(text)
    expect(summary).toMatch(text)
  }
  for (const error of errors) expect(error).toMatch(/^.{10,}(?:\n→ .{10,}| → .{10,}|; accepted: .{5,})$/)
  expect(result.log.concat(result.stderr.split('\n')).filter((line) => /^\s*at .*[:(]/.test(line))).toEqual([])
  expect(result.log.join('\n')).not.toMatch(/defect|undefined|\[object/)
  expect(result.outputs.verdict).toBe(verdict)
}

/** Markdown without its escapes. */
export function plainText(markdown: string): string {
  const entities: Record<string, string> = { '&lt;': '<', '&gt;': '>', '&amp;': '&', '&quot;': '"' }
  return markdown
    .replaceAll(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replaceAll(/&(?:lt|gt|amp|quot);/g, (entity) => entities[entity] ?? '')
    .replaceAll(/[\\`]/g, '')
}

import { type Chapter, type Damage, reasonOf } from './damage.ts'
import type { Examination, Outcome } from './examinations.ts'

/** What the examinations came to, without and with `verify-key`. */
export interface Found {
  damage: Damage
  plain: Record<Examination, Outcome>
  keyed: Record<Examination, Outcome>
}

const HEAD = `# What is found

Real sets, encrypted and signed, are damaged in every way that we know of, and examined. This page is written by the test that does
it (\`test/detection\`), which fails where the page is not true.

A cell names the checks that fail, or the code of the error that ends the run. “—” means that the run passes, by design: the number
leads to the reason below the table. The columns are the modes of action-verify and action-restore-test, without \`verify-key\`; the last one says
what the key adds.
`

/** The page as it has to be. */
export function renderPage(chapters: readonly (Chapter & { found: readonly Found[] })[]): string {
  return `${HEAD}${chapters.map((chapter) => renderChapter(chapter)).join('')}`
}

function renderChapter({ title, text, found }: Chapter & { found: readonly Found[] }): string {
  const reasons: string[] = []
  const numberOf = (reason: string) => {
    if (!reasons.includes(reason)) reasons.push(reason)
    return reasons.indexOf(reason) + 1
  }
  const modes = Object.keys(found[0]?.plain ?? {}) as Examination[]
  const rows = found.map(({ damage, plain }) => {
    const cells = modes.map((mode) => cell(plain[mode], reasonOf(damage, mode), numberOf))
    return `| ${[damage.what, ...cells, damage.refusedWithKey ? 'refused in every mode' : 'the same'].join(' | ')} |`
  })
  const head = ['The damage', ...modes, 'with `verify-key`']
  const lines = [`| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`, ...rows]
  const list = reasons.map((reason, index) => `${index + 1}. ${reason[0]?.toUpperCase()}${reason.slice(1)}.`)
  return `\n## ${title}\n\n${text}\n\n${lines.join('\n')}\n${list.length > 0 ? `\n${list.join('\n')}\n` : ''}`
}

function cell({ verdict, by }: Outcome, reason: string | undefined, numberOf: (reason: string) => number): string {
  if (verdict === 'passed') return reason === undefined ? '**not found**' : `— (${numberOf(reason)})`
  const names = by.map((name) => `\`${name}\``).join(', ')
  return verdict === 'unverified' ? `unverified: ${names}` : names
}

import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { clip, clipWords, code, escapeText, markdown, plainText, prose, words } from '../../src/reports/escape.ts'

/** Text made of what Markdown, HTML, GitHub and a terminal react to. */
const hostile = fc.string({
  unit: fc.constantFrom(...'`|<>\n\r\\@#*_[]()&$~!:/.- aZ09éw\t\u0007\u2028\u202e💥'),
  maxLength: 40,
})

/** What a reader sees of text without code spans: entities read, the invisible separator taken out. */
function shownText(rendered: string): string {
  return rendered.replaceAll(/&#(\d+);/g, (_, number) => String.fromCodePoint(Number(number))).replaceAll('\u200B', '')
}

function onOneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ').replaceAll('\u202e', '')
}

test('escaped text has nothing left that means something, and reads as before', () => {
  fc.assert(
    fc.property(hostile, (text) => {
      const escaped = escapeText(text)
      expect(escaped).not.toMatch(/[|<>\\`*_~[\]$\n\r]/)
      expect(escaped.replaceAll('&#64;', '@')).not.toMatch(/(^|[^A-Za-z0-9])@[A-Za-z0-9]/)
      expect(escaped).not.toMatch(/#(?!\d+;)/)
      expect(escaped).not.toContain('://')
      expect(shownText(escaped)).toBe(onOneLine(text))
    }),
  )
})

test('an identifier is one code span, whatever is in it', () => {
  fc.assert(
    fc.property(hostile, (name) => {
      const rendered = markdown([code(name)])
      expect(rendered).not.toContain('|')
      if (onOneLine(name) === '') expect(rendered).toBe('(empty)')
      else if (rendered.startsWith('`')) expect(rendered.slice(1, -1)).toBe(onOneLine(name))
      else {
        const [, inner = '<'] = /^<code>([^<>`\\]*)<\/code>$/.exec(rendered) ?? []
        expect(shownText(inner)).toBe(onOneLine(name))
      }
      expect(rendered.split('`').length - 1).toBe(rendered.startsWith('`') ? 2 : 0)
    }),
  )
})

test('a row has as many cells as it was given, and backticks only in pairs', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(hostile, hostile), { minLength: 1, maxLength: 5 }), (pairs) => {
      const cells = pairs.map(([text, name]) => markdown([...prose(text), code(name), text]))
      const row = `| ${cells.join(' | ')} |`
      expect(row.split('|')).toHaveLength(cells.length + 2)
      expect(row.replaceAll(/<\/?code>/g, '')).not.toContain('<')
      expect((row.match(/`/g) ?? []).length % 2).toBe(0)
      expect(row).not.toContain('``')
      expect(row).not.toMatch(/[\n\r]/)
    }),
  )
})

test('code in a sentence is shown as code, people and issues are not called', () => {
  expect(markdown(prose('run `GRANT SELECT ON t TO backup` first'))).toBe('run `GRANT SELECT ON t TO backup` first')
  expect(markdown(prose('`a``b`'))).toBe('`a`&#8203;`b`')
  expect(markdown(prose('an odd ` stays'))).toBe('an odd &#96; stays')
  expect(escapeText('ask @octocat about #12, GH-7 and user@host')).toBe(
    'ask &#64;&#8203;octocat about &#35;&#8203;12, GH-&#8203;7 and user&#64;host',
  )
  expect(escapeText('https://example.org')).toBe('https&#58;//example.org')
  expect(markdown(words`${code('a|b')} has ${3} rows${words` in ${code('x')}`}`)).toBe(
    '<code>a&#124;b</code> has 3 rows in `x`',
  )
  expect(plainText(words`${code('a\nb')} | c`)).toBe('a b | c')
})

test('a long text is cut, and never within a character', () => {
  fc.assert(
    fc.property(hostile, fc.integer({ min: 1, max: 20 }), (text, length) => {
      const cut = clip(text, length)
      expect(cut.length).toBeLessThanOrEqual(Math.max(length, 1))
      expect(cut.isWellFormed()).toBe(true)
      if (text.length <= length) expect(cut).toBe(text)
      const cutWords = clipWords([text, code(text), text], length)
      const total = cutWords.map((word) => (typeof word === 'string' ? word : word.code)).join('')
      expect(total.length).toBeLessThanOrEqual(length + 1)
    }),
  )
})

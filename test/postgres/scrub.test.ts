import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { scrub } from '../../src/postgres/scrub.ts'

const secret = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
  .filter((text) => text.trim() !== '' && text.isWellFormed())
const lower = (text: string) => text.replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())
const everyByte = (text: string) =>
  [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')

test('whatever holds a secret, raw, encoded or decoded, holds none afterwards', () => {
  const forms = [(s: string) => s, encodeURIComponent, everyByte, (s: string) => lower(encodeURIComponent(s))]
  const piece = fc.oneof(fc.string(), fc.constantFrom('\n', 'DETAIL:  ', '::', '##[', '\r', '\u200b', '*', '\u001b[1m'))
  const part = fc.record({ before: fc.array(piece, { maxLength: 3 }), form: fc.constantFrom(...forms) })
  fc.assert(
    fc.property(
      fc.array(secret, { minLength: 1, maxLength: 3 }),
      fc.array(part, { maxLength: 5 }),
      (secrets, parts) => {
        const text = parts
          .map(({ before, form }, index) => before.join('') + form(secrets[index % secrets.length] ?? ''))
          .join('')
        const result = scrub(text, secrets)
        for (const each of secrets) for (const form of forms) expect(result).not.toContain(form(each))
        expect(result).not.toMatch(/^\s*::|##\[/m)
      },
    ),
    { numRuns: 500 },
  )
})

test('a secret that is given encoded is found decoded, and a key line by line', () => {
  expect(scrub('the password is p@ss:w', ['p%40ss%3aw'])).toBe('the password is ***')
  expect(scrub('x AAAA y BBBB', ['-----\nAAAA\nBBBB\n-----'])).toBe('x *** y ***')
  expect(scrub('a P%40Ss b', ['P@Ss'])).toBe('a *** b')
})

test('credentials in URLs go, known or not', () => {
  expect(scrub('could not parse "postgres://ann:p@ss/x@db.example.com:5432/shop"', [])).toBe(
    'could not parse "postgres://***@db.example.com:5432/shop"',
  )
  expect(scrub("host=h password='a b' user=u", [])).toBe('host=h password=*** user=u')
  expect(scrub('FATAL:  password authentication failed for user "ann"', [])).toBe(
    'FATAL:  password authentication failed for user "ann"',
  )
})

test('what pg_restore says keeps its facts and loses its rows', () => {
  const said = [
    'pg_restore: while PROCESSING TOC:',
    'pg_restore: from TOC entry 3348; 0 16390 TABLE DATA bookings postgres',
    'pg_restore: error: COPY failed for table "bookings": ERROR:  duplicate key value violates unique constraint "bookings_pkey"',
    'DETAIL:  Key (email, name)=(ann@example.com, Ann) already exists.',
    'CONTEXT:  COPY bookings, line 3: "3\tann@example.com',
    'a second line of Ann"',
    'pg_restore: error: could not execute query: ERROR:  invalid input syntax for type integer: "Ann\'s',
    'secret note"',
    'CONTEXT:  COPY bookings, line 9, column age: "Ann\'s secret note"',
    "Command was: CREATE USER MAPPING FOR ann SERVER s OPTIONS (user 'ann',",
    "    password 'hunter2'",
    ');',
    'pg_restore: warning: errors ignored on restore: 2',
  ].join('\n')
  expect(scrub(said, [])).toBe(
    [
      'pg_restore: while PROCESSING TOC:',
      'pg_restore: from TOC entry 3348; 0 16390 TABLE DATA bookings postgres',
      'pg_restore: error: COPY failed for table "bookings": ERROR:  duplicate key value violates unique constraint "bookings_pkey"',
      'DETAIL:  Key (email, name)=(…) already exists.',
      'CONTEXT:  COPY bookings, line 3',
      'pg_restore: error: could not execute query: ERROR:  invalid input syntax for type integer: "…"',
      'CONTEXT:  COPY bookings, line 9, column age',
      "Command was: CREATE USER MAPPING FOR ann SERVER s OPTIONS (user '…',",
      'pg_restore: warning: errors ignored on restore: 2',
    ].join('\n'),
  )
})

test.each([
  ['DETAIL:  Failing row contains (1, Ann, null).', 'DETAIL:  (withheld: may hold row values)'],
  ['DETAIL:  view v depends on table t', 'DETAIL:  view v depends on table t'],
  ['DETAIL:  Token "Ann" is invalid.', 'DETAIL:  (withheld: may hold row values)'],
  ['CONTEXT:  SQL statement "SELECT \'Ann\'"', 'CONTEXT:  (withheld: may hold row values)'],
  ["LINE 1: INSERT INTO t VALUES ('Ann')", 'LINE 1: (withheld: may hold row values)'],
  ["STATEMENT:  SELECT 'Ann'", 'STATEMENT: (withheld: may hold row values)'],
  ['ERROR:  relation "lookup" does not exist', 'ERROR:  relation "lookup" does not exist'],
  [
    'pg_dump: error: query failed: ERROR:  permission denied for table t',
    'pg_dump: error: query failed: ERROR:  permission denied for table t',
  ],
  [
    'pg_dump: detail: Error message from server: ERROR:  invalid memory alloc request size 1200000003\nrow\nDETAIL:  Row 1.',
    'pg_dump: detail: Error message from server: ERROR:  invalid memory alloc request size 1200000003\nDETAIL:  (withheld: may hold row values)',
  ],
  [
    'pg_dump: detail: Error message from server: ERROR:  invalid byte: "Ann"',
    'pg_dump: detail: Error message from server: ERROR:  invalid byte: "…"',
  ],
  ['  ::set-output name=x::y', '  : :set-output name=x::y'],
  ['a ##[error]b\r::warning::c', 'a ## [error]b\n: :warning::c'],
  ['\u001b[31mred\u001b[0m\u0007\u202e', 'red'],
])('%j', (text, expected) => expect(scrub(text, [])).toBe(expected))

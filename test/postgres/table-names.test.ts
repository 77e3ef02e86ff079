import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  matchesTable,
  nearTables,
  parseTablePattern,
  selectTables,
  type TableName,
} from '../../src/postgres/table-names.ts'
import { tableFacts } from '../checks/set.ts'

function matches(pattern: string, table: TableName): boolean {
  const parsed = parseTablePattern(pattern)
  if (parsed === undefined) throw new Error(`${pattern} is no pattern`)
  return matchesTable(parsed, table)
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((text) => !text.includes('\0'))

test('a quoted name names that table alone, whatever is in it', () => {
  fc.assert(
    fc.property(name, name, name, (schema, table, other) => {
      const pattern = `${quoted(schema)}.${quoted(table)}`
      expect(matches(pattern, { schema, name: table })).toBe(true)
      expect(matches(quoted(table), { schema: other, name: table })).toBe(true)
      expect(matches(pattern, { schema, name: other })).toBe(other === table)
      expect(matches(pattern, { schema: other, name: table })).toBe(other === schema)
    }),
  )
})

test('no text breaks the reader, and what it takes matches in time', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'"*?.aB\\[](){}|^$- é\n') }), name, (text, table) => {
      const pattern = parseTablePattern(text)
      if (pattern) expect(typeof matchesTable(pattern, { schema: table, name: table })).toBe('boolean')
    }),
  )
})

test.each([
  ['orders', 'public.orders sales.orders', 'public.Orders public.orders2'],
  ['ORDERS', 'public.orders', 'public.ORDERS'],
  ['sales.*', 'sales.orders sales.x', 'public.orders sales2.orders'],
  ['*.orders', 'public.orders', 'public.order'],
  ['order?', 'public.orders public.order_', 'public.order public.orders2'],
  ['"Sales".*_2025', 'Sales.log_2025', 'sales.log_2025'],
  ['"a*b"', 'public.a*b', 'public.axb'],
  ['a.b', 'a.b', 'public.a.b'],
])('%s names %s, and not %s', (pattern, named, others) => {
  const tables = (text: string) => text.split(' ').map((full) => /^([^.]+)\.(.+)$/.exec(full) ?? [])
  for (const [, schema = '', table = ''] of tables(named)) expect(matches(pattern, { schema, name: table })).toBe(true)
  for (const [, schema = '', table = ''] of tables(others))
    expect(matches(pattern, { schema, name: table })).toBe(false)
})

test('what is no name is none', () => {
  for (const text of ['', '.', 'a.', '.a', 'a.b.c', '"', '"a', 'a b', '""', 'a".b']) {
    expect([text, parseTablePattern(text)]).toEqual([text, undefined])
  }
})

test('a name that names nothing leads to those that are near', () => {
  const tables = ['orders', 'order_items', 'customers', 'invoice'].map((table) => ({ schema: 'public', name: table }))
  const near = (text: string) =>
    nearTables(parseTablePattern(text) ?? { text, name: /x/ }, tables).map((one) => one.name)
  expect(near('public.oders')).toEqual(['orders'])
  expect(near('order')).toEqual(['orders', 'order_items'])
  expect(near('invoices')).toEqual(['invoice'])
  expect(near('"Customer"')).toEqual(['customers'])
  expect(near('zzz')).toEqual([])
})

test('a partitioned table stands for its partitions, a table for none of those that inherit from it', () => {
  const tables = [
    tableFacts(4, 'leaf', { parents: [3], isPartition: true }),
    tableFacts(1, 'root', { kind: 'p' }),
    tableFacts(3, 'branch', { kind: 'p', parents: [1], isPartition: true }),
    tableFacts(5, 'base'),
    tableFacts(6, 'heir', { parents: [5] }),
  ]
  const named = (text: string) =>
    selectTables(tables, [parseTablePattern(text) ?? { text, name: /x/ }]).map((table) => table.name)
  expect(named('root')).toEqual(['leaf', 'root', 'branch'])
  expect(named('base')).toEqual(['base'])
})

import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { type Import, importsOf, reachable, readImports, sourceFiles } from '../../scripts/lib/imports.ts'

/** What each room may import besides itself and packages. */
const ALLOWED: Record<string, readonly string[]> = {
  actions: ['dump', 'restore', 'checks', 'reports', 'github', 'backup-set', 'postgres', 'streams', 'storage', 'base'],
  dump: ['backup-set', 'postgres', 'streams', 'storage', 'base'],
  restore: ['backup-set', 'postgres', 'streams', 'storage', 'base'],
  checks: ['backup-set', 'postgres', 'streams', 'storage', 'base'],
  'backup-set': ['streams', 'storage', 'base'],
  postgres: ['base'],
  streams: ['base'],
  storage: ['base'],
  reports: ['base'],
  github: ['base'],
  base: [],
}

/** Packages that are the business of few rooms. */
const PACKAGES: Record<string, readonly string[]> = {
  '@actions/cache': ['src/postgres/package-cache.ts'],
  '@actions/core': ['src/github/', 'src/actions/'],
  '@actions/github': ['src/github/'],
  '@aws-sdk/': ['src/storage/'],
  pg: ['src/postgres/', 'src/dump/', 'src/restore/', 'src/checks/'],
  'age-encryption': ['src/streams/'],
  'tar-stream': ['src/streams/'],
}

/** The rules that these imports break, one line each. */
function violations(imports: readonly Import[]): string[] {
  return imports.flatMap(({ from, to }) => {
    const [, room = ''] = from.split('/')
    if (to.startsWith('src/')) {
      const [, other = ''] = to.split('/')
      return other === room || ALLOWED[room]?.includes(other)
        ? []
        : [`${room} must not import ${other}: ${from} → ${to}`]
    }
    if (/^(test|scripts|bench|examples)\//.test(to)) return [`src stands on its own: ${from} → ${to}`]
    return Object.entries(PACKAGES)
      .filter(([name]) => to === name || to.startsWith(name.endsWith('/') ? name : `${name}/`))
      .filter(([, places]) => !places.some((place) => from.startsWith(place)))
      .map(([name, places]) => `${name} belongs to ${places.join(', ')}: ${from}`)
  })
}

/** A room that imports itself by way of another, or undefined. */
function roomInCycle(imports: readonly Import[]): string | undefined {
  const edges = imports
    .filter(({ to }) => to.startsWith('src/'))
    .map(({ from, to }) => ({ from: from.split('/')[1] ?? '', to: to.split('/')[1] ?? '', typeOnly: false }))
    .filter(({ from, to }) => from !== to)
  return edges.find(({ from }) => reachable(from, edges).has(from))?.from
}

const files = sourceFiles('src')
const imports = readImports(files)

test('imports go one way', () => {
  expect(violations(imports)).toEqual([])
  expect(roomInCycle(imports)).toBeUndefined()
})

test('the verify action never reaches the package cache', () => {
  expect(files).toContain('src/actions/verify.ts')
  expect([...reachable('src/actions/verify.ts', imports)]).not.toContain('@actions/cache')
})

test('every import that the compiler sees is seen here', async () => {
  const { default: ts } = await import('typescript')
  for (const file of files) {
    const text = readFileSync(file, 'utf8')
    const compiler = ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName)
    const ours = importsOf('x', text).map(({ to }) => to)
    expect({ file, imports: compiler.length }).toEqual({ file, imports: ours.length })
  }
})

test('the checks above can fail', () => {
  const bad = [
    ...importsOf(
      'src/postgres/a.ts',
      "import { put } from '../storage/s3.ts'\nimport type { A } from '../streams/a.ts'\n",
    ),
    ...importsOf('src/storage/b.ts', "import {\n  a,\n} from '../postgres/c.ts'\nconst pg = await import('pg')\n"),
    ...importsOf('src/checks/d.ts', "export * from '../reports/e.ts'\nimport '../../test/support/f.ts'\n"),
    ...importsOf('src/postgres/tools.ts', "  const { restoreCache } = await import('@actions/cache')\n"),
  ]
  expect(violations(bad)).toEqual([
    'postgres must not import storage: src/postgres/a.ts → src/storage/s3.ts',
    'postgres must not import streams: src/postgres/a.ts → src/streams/a.ts',
    'storage must not import postgres: src/storage/b.ts → src/postgres/c.ts',
    'pg belongs to src/postgres/, src/dump/, src/restore/, src/checks/: src/storage/b.ts',
    'checks must not import reports: src/checks/d.ts → src/reports/e.ts',
    'src stands on its own: src/checks/d.ts → test/support/f.ts',
    '@actions/cache belongs to src/postgres/package-cache.ts: src/postgres/tools.ts',
  ])
  expect(roomInCycle(bad)).toBe('postgres')
  const chain = [
    ...importsOf('src/actions/verify.ts', "import { a } from '../checks/a.ts'"),
    ...importsOf('src/checks/a.ts', "const b = () => import('../postgres/package-cache.ts')"),
    ...importsOf('src/postgres/package-cache.ts', "import * as cache from '@actions/cache'"),
  ]
  expect([...reachable('src/actions/verify.ts', chain)]).toContain('@actions/cache')
})

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { describeAction, escapeCell, inputTable, replaceGenerated } from '../../scripts/lib/action-docs.ts'
import { ACTIONS } from '../../scripts/lib/actions.ts'
import { ROOT } from '../../scripts/lib/run.ts'

/** The project's own text files: what git knows or would add. */
function projectFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: ROOT })
  return listed
    .toString()
    .split('\0')
    .filter((file) => file !== '' && !file.endsWith('.wasm') && existsSync(join(ROOT, file)))
}

test('the lockfile names no registry and fixes every package', () => {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'))
  const packages = Object.entries<Record<string, unknown>>(lock.packages).filter(([path]) => path !== '')
  expect(packages.filter(([, entry]) => 'resolved' in entry).map(([path]) => path)).toEqual([])
  // Of platforms that the tests never see, the name and the version are enough for `npm ci` to pass them over.
  const elsewhere = (entry: Record<string, unknown>) => entry.optional === true && 'os' in entry
  const loose = packages.filter(([, entry]) => !('integrity' in entry) && !entry.inBundle && !elsewhere(entry))
  expect(loose.map(([path]) => path)).toEqual([])
})

test('continuous integration runs the README’s own test command', () => {
  const [, command] = /^```sh\n(npm .* npm test)\n```/m.exec(readFileSync(join(ROOT, 'README.md'), 'utf8')) ?? []
  const lines = readFileSync(join(ROOT, '.ci/run'), 'utf8').split('\n')
  expect(lines).toContain(`${command} && npm run check`)
})

test('dependencies are exact versions', () => {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(
    readFileSync(join(ROOT, 'package.json'), 'utf8'),
  )
  const versions = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
  expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(String(version)))).toEqual([])
})

test('no file knows the machine that it was written or built on', () => {
  // A container's home can be / or /tmp, which any file may name.
  const homes = [homedir()].filter((home) => !['/', '/tmp', '/home/runner', '/nonexistent'].includes(home))
  const places = [ROOT, ...homes.map((home) => `${home}/`)].map((place) => place.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  const pattern = new RegExp(`(?<![\\w.-])(?:${places.join('|')}|/(?:home|Users)/(?!runner/|user/)[a-z]+/)`)
  const guilty = projectFiles().filter((file) => pattern.test(readFileSync(join(ROOT, file), 'utf8')))
  expect(guilty).toEqual([])
})

test.each(ACTIONS)('$folder runs on Node 24 and what it runs is there', ({ folder }) => {
  const { runs } = parse(readFileSync(join(ROOT, folder, 'action.yml'), 'utf8'))
  expect(runs.using).toBe('node24')
  // The runner ignores a key that it does not know, so a misspelt `post-if` would go unnoticed.
  expect(Object.keys(runs).filter((key) => !['using', 'main', 'post', 'post-if'].includes(key))).toEqual([])
  const entries = [runs.main, runs.post].filter((entry) => entry !== undefined)
  expect(entries.filter((entry) => !existsSync(join(ROOT, folder, entry)))).toEqual([])
  expect(readFileSync(join(ROOT, folder, 'dist/package.json'), 'utf8')).toContain('"module"')
})

test.each(ACTIONS)('$folder describes every input and output', ({ folder }) => {
  const { inputs, outputs } = describeAction(folder)
  const entries = [...Object.entries(inputs), ...Object.entries(outputs)]
  expect(entries.length).toBeGreaterThan(0)
  expect(entries.filter(([, { description }]) => !description).map(([name]) => name)).toEqual([])
  expect(entries.filter(([name]) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)).map(([name]) => name)).toEqual([])
})

test('a table cell can hold any text', () => {
  expect(escapeCell('a | b <c> & `d|<e>`\n f\n\ng\n')).toBe('a \\| b &lt;c&gt; &amp; `d\\|<e>` f<br>g')
  const table = inputTable({
    name: '',
    description: '',
    inputs: { a: { description: 'x', required: true }, b: { description: 'y', default: '' }, c: { default: '30h' } },
    outputs: {},
  })
  expect(table.split('\n').slice(2)).toEqual(['| `a` | x | **required** |', '| `b` | y | – |', '| `c` |  | `30h` |'])
})

test('generated parts need their markers', () => {
  const text = 'a\n<!-- generated: t -->\nold\n<!-- end of generated: t -->\nz\n'
  const expected = 'a\n<!-- generated: t -->\n\nnew\n\n<!-- end of generated: t -->\nz\n'
  expect(replaceGenerated(text, 't', 'new')).toBe(expected)
  expect(replaceGenerated(expected, 't', 'new')).toBe(expected)
  expect(() => replaceGenerated('no markers', 't', 'new')).toThrow('exactly one pair')
  expect(() => replaceGenerated(text + text, 't', 'new')).toThrow('exactly one pair')
})

test('the lockfile holds the packages of every platform: without one of them `npm ci` refuses it', () => {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'))
  const packages: Record<string, { optionalDependencies?: Record<string, string> }> = lock.packages
  const paths = Object.keys(packages)
  const wanted = Object.values(packages).flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}))
  expect(wanted.filter((name) => !paths.some((path) => path.endsWith(`node_modules/${name}`)))).toEqual([])
})

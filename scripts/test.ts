/**
 * Runs the tests.
 *
 *   npm test                       all of them, with PostgreSQL and S3 servers of their own
 *   npm run test:unit              those that need no server
 *   npm test -- test/streams …     those whose path holds one of these words; flags go to jest
 *   npm test -- --install          installs what is missing (root and CI=true do so, too)
 */
import { spawn, spawnSync } from 'node:child_process'
import { constants } from 'node:os'
import { reachable, readImports, sourceFiles } from './lib/imports.ts'
import { ROOT } from './lib/run.ts'

const S3 = 'test/support/s3-service.ts'

interface TestFile {
  file: string
  /** What it imports from test/support, where servers are started: a unit test imports nothing from there. */
  support: string[]
}

/** The test files whose path holds one of the words; all of them if there is no word. */
function testFiles(words: readonly string[]): TestFile[] {
  const modules = [...sourceFiles('test'), ...sourceFiles('scripts')]
  const imports = readImports(modules)
  return modules
    .filter((file) => file.endsWith('.test.ts'))
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .map((file) => ({
      file,
      support: [...reachable(file, imports)].filter((name) => name.startsWith('test/support/')),
    }))
}

/** Runs jest on these files; resolves with its exit code. */
function runJest(tests: readonly TestFile[], flags: readonly string[]): Promise<number> {
  const needsS3 = tests.some(({ support }) => support.includes(S3))
  const jest = spawn(
    process.execPath,
    [
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      'node_modules/jest/bin/jest.js',
      // One S3 service for all files of the run.
      ...(needsS3
        ? ['--globalSetup=./test/support/global-setup.ts', '--globalTeardown=./test/support/global-teardown.ts']
        : []),
      ...flags,
      '--runTestsByPath',
      ...tests.map(({ file }) => file),
    ],
    { cwd: ROOT, stdio: 'inherit' },
  )
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => jest.kill(signal))
  return new Promise((resolve, reject) => {
    jest.once('error', reject)
    jest.once('close', (code, signal) => resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]))
  })
}

/** Sees to it that servers and programs are there; ends this process if they are not, after saying what to do. */
function prepare(install: boolean): void {
  const args = ['--for', 'test', ...(install ? ['--install'] : [])]
  const { status } = spawnSync('scripts/prepare.sh', args, { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

const OWN_FLAGS = ['--unit', '--install']
const args = process.argv.slice(2)
const words = args.filter((arg) => !arg.startsWith('-'))
const unit = args.includes('--unit')
const tests = testFiles(words).filter(({ support }) => !unit || support.length === 0)
if (tests.length === 0) throw new Error(`no test matches ${words.join(' ')}`)

if (tests.some(({ support }) => support.length > 0)) prepare(args.includes('--install'))
const flags = args.filter((arg) => arg.startsWith('-') && !OWN_FLAGS.includes(arg))
process.exitCode = await runJest(tests, flags)

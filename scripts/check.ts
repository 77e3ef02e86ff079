/** Everything that can be said about a change without running it; `npm run check`. Says how to mend what is wrong. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildActions } from './build.ts'
import { ACTIONS } from './lib/actions.ts'
import { mapLimited, ROOT, runNode } from './lib/run.ts'

interface Check {
  title: string
  remedy: string
  /** What is wrong; nothing if all is well. */
  run(): Promise<string>
}

const CHECKS: Check[] = [
  {
    title: 'dist/ equals a fresh build',
    remedy: 'Run: npm run build, and commit what it wrote.',
    run: compareBundles,
  },
  {
    title: 'types',
    remedy: 'Mend the lines named above.',
    run: () => outputOfFailure('node_modules/typescript/bin/tsc', ['--project', '.', '--pretty', 'false']),
  },
  {
    title: 'format and lint',
    remedy: 'Run: npm run format, then mend what it leaves.',
    run: () => outputOfFailure('node_modules/@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.']),
  },
  {
    title: 'kernel.wasm equals a fresh build',
    remedy: 'Run: node scripts/build-wasm.mjs, then npm run build.',
    run: () => outputOfFailure('scripts/build-wasm.mjs', ['--check']),
  },
  {
    title: 'the READMEs of the actions equal action.yml',
    remedy: 'Run: npm run docs',
    run: () => outputOfFailure('scripts/docs.ts', ['--check']),
  },
  {
    title: 'house rules and workflows',
    remedy: 'Run: npm run test:unit -- test/house test/workflows',
    run: () => outputOfFailure('scripts/test.ts', ['--unit', 'test/house', 'test/workflows']),
  },
]

async function outputOfFailure(file: string, args: string[]): Promise<string> {
  const { code, output } = await runNode(file, args)
  return code === 0 ? '' : output || `exit code ${code}`
}

async function compareBundles(): Promise<string> {
  const scratch = await mkdtemp(join(tmpdir(), 'lifeboat-check-'))
  try {
    await buildActions(scratch)
    const differences = await mapLimited(ACTIONS, 1, ({ folder }) => compareFolders(scratch, join(folder, 'dist')))
    return differences.flat().join('\n')
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** The files of a folder that are not the same, byte for byte, in `fresh` and in the repository. */
async function compareFolders(fresh: string, folder: string): Promise<string[]> {
  const read = async (root: string) => {
    const names = await readdir(join(root, folder), { recursive: true, withFileTypes: true }).catch(() => [])
    const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
    return new Map(
      await Promise.all(
        files.map(async (file): Promise<[string, Buffer]> => [file.slice(root.length + 1), await readFile(file)]),
      ),
    )
  }
  const [built, committed] = [await read(fresh), await read(ROOT)]
  const names = [...new Set([...built.keys(), ...committed.keys()])].sort()
  return names.flatMap((name) => {
    const [ours, theirs] = [committed.get(name), built.get(name)]
    if (ours === undefined) return [`missing: ${name}`]
    if (theirs === undefined) return [`no longer built: ${name}`]
    return ours.equals(theirs) ? [] : [`differs: ${name}`]
  })
}

const failed = await mapLimited(CHECKS, availableParallelism(), async ({ title, remedy, run }) => {
  const began = performance.now()
  const problem = await run().catch((error: unknown) => String(error))
  const seconds = ((performance.now() - began) / 1_000).toFixed(1)
  const mark = problem === '' ? 'ok     ' : 'FAILED '
  const details = problem === '' ? '' : `\n${problem.trimEnd().replace(/^/gm, '  ')}\n  ${remedy}\n`
  console.log(`${mark} ${title} (${seconds} s)${details}`)
  return problem !== ''
})
process.exitCode = failed.includes(true) ? 1 : 0

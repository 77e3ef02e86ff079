/**
 * Builds src/streams/kernel.wasm from src/streams/kernel.as.ts, byte for byte the same on every machine.
 * `--check` builds beside it and fails if the committed file differs.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const committed = 'src/streams/kernel.wasm'
const compiler = join(dirname(createRequire(import.meta.url).resolve('assemblyscript/package.json')), 'bin/asc.js')

/** Relative source path and no debug information: the file must not know where it was built. */
function build(target) {
  const options = ['--optimizeLevel', '3', '--shrinkLevel', '0', '--enable', 'simd', '--runtime', 'stub', '--noAssert']
  const { status, error } = spawnSync(
    process.execPath,
    [compiler, 'src/streams/kernel.as.ts', '-o', target, ...options],
    {
      cwd: root,
      stdio: 'inherit',
    },
  )
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

if (process.argv.includes('--check')) {
  const scratch = mkdtempSync(join(tmpdir(), 'lifeboat-wasm-'))
  try {
    const fresh = join(scratch, 'kernel.wasm')
    build(fresh)
    if (!readFileSync(fresh).equals(readFileSync(join(root, committed)))) {
      console.error(`${committed} is not what its source builds. Run: node scripts/build-wasm.mjs`)
      process.exitCode = 1
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
} else build(committed)

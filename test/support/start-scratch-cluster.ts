/** Starts a scratch cluster, says where it is, and waits to be killed: `node start-scratch-cluster.ts MAJOR PARENT`. */
import { join } from 'node:path'
import { memoryLog } from '../../src/base/ports.ts'
import { startScratchCluster } from '../../src/postgres/scratch-cluster.ts'
import { findTools } from '../../src/postgres/tools.ts'
import { binDirectory } from './postgres.ts'

const [major, parent = ''] = process.argv.slice(2)
const env = { PATH: '/usr/bin:/bin', LIFEBOAT_POSTGRES_DIRS: join(binDirectory(Number(major)), '..', '..') }
const tools = await findTools({ major: Number(major), need: 'server', env, log: memoryLog(), install: false })
const { pid, directory } = await startScratchCluster({ tools, parent, log: memoryLog(), env: process.env })
console.log(JSON.stringify({ pid, directory }))
setInterval(() => {}, 60_000)

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'

const MODULE = new URL('../../src/base/garbage.ts', import.meta.url)

test('the Node of the actions knows the setting', async () => {
  const program = `import { collectGarbageLessOften } from '${MODULE}'; collectGarbageLessOften(); console.log('went on')`
  const args = ['--input-type=module', '--eval', program]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 })
  // V8 complains there of a flag that is not, or no longer, one of its own.
  expect({ stdout, stderr }).toEqual({ stdout: 'went on\n', stderr: '' })
})

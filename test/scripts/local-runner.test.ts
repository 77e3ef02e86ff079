import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { runAction, startJob } from '../../scripts/lib/local-runner.ts'

const ACTION = `
name: toy
inputs:
  database-url: { description: one, required: true }
  two words: { description: two, default: ' kept as it is ' }
  token: { description: three, default: '\${{ github.token }}' }
  number: { description: four, default: 5 }
outputs:
  answer: { description: an answer }
runs:
  using: node24
  main: main.js
  post: post.js
`

let root: string
let temp: string

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'toy-action-'))
  temp = path.join(root, 'job')
})
afterEach(() => rm(root, { recursive: true, force: true }))

/** Writes an action whose main and post are the given module texts, and returns its folder. */
async function toyAction(main: string, post = '', manifest = ACTION): Promise<string> {
  const folder = await mkdtemp(path.join(root, 'action-'))
  await mkdir(folder, { recursive: true })
  const prelude =
    "import { appendFileSync, writeFileSync } from 'node:fs'\nimport { spawn } from 'node:child_process'\n"
  await writeFile(path.join(folder, 'package.json'), '{"type":"module"}')
  await writeFile(path.join(folder, 'action.yml'), manifest)
  await writeFile(path.join(folder, 'main.js'), prelude + main)
  await writeFile(path.join(folder, 'post.js'), prelude + post)
  return folder
}

test('inputs arrive under the names and with the defaults of action.yml', async () => {
  const action = await toyAction('console.log(JSON.stringify(process.env))')
  const inputs = { 'database-url': 'postgresql://x' }
  const result = await runAction({ action, temp, inputs, github: { token: 'ghs_secret' }, env: { SEEN: 'yes' } })
  const env = JSON.parse(result.stdout)
  expect(env).toMatchObject({
    'INPUT_DATABASE-URL': 'postgresql://x',
    INPUT_TWO_WORDS: ' kept as it is ',
    INPUT_TOKEN: 'ghs_secret',
    INPUT_NUMBER: '5',
    GITHUB_ACTIONS: 'true',
    RUNNER_TEMP: path.join(temp, 'temp'),
    SEEN: 'yes',
  })
  expect(env.NODE_OPTIONS).toBeUndefined()
  expect(result.log.join('\n')).not.toContain('ghs_secret')
  expect(result).toMatchObject({ conclusion: 'success', exitCode: 0, orphans: [] })
})

test('an input that the action does not declare is refused; a missing required one is not', async () => {
  const action = await toyAction('console.log([process.env["INPUT_DATABASE-URL"]].join())')
  await expect(runAction({ action, temp, inputs: { databse: 'x' } })).rejects.toThrow(
    /unexpected input.*databse.*two words/,
  )
  expect((await runAction({ action, temp })).log).toEqual([''])
})

test('outputs, state, environment, paths and the summary come back; the post step sees state and inputs', async () => {
  const action = await toyAction(
    `const add = (name, text) => appendFileSync(process.env[name], text)
     add('GITHUB_OUTPUT', 'answer<<E\\ntwo\\nlines=x\\nE\\nplain=a<<b\\n')
     add('GITHUB_STATE', 'directory=/tmp/x\\n')
     add('GITHUB_ENV', 'LATER=1\\nNODE_OPTIONS=--bad\\n')
     add('GITHUB_PATH', '/first\\n/second\\n')
     add('GITHUB_STEP_SUMMARY', '# it is hunter2\\n')
     console.log('::add-mask::hunter2')`,
    'console.log(process.env.STATE_directory, process.env.INPUT_NUMBER, process.env.LATER, process.env.PATH)',
  )
  const result = await runAction({ action, temp })
  expect(result.outputs).toEqual({ answer: 'two\nlines=x', plain: 'a<<b' })
  expect(result.state).toEqual({ directory: '/tmp/x' })
  expect(result.env).toEqual({ LATER: '1' })
  expect(result.summary).toBe('# it is ***\n')
  expect(result.files.GITHUB_STEP_SUMMARY).toContain('hunter2')
  expect(result.annotations).toEqual([{ level: 'error', message: expect.stringContaining('NODE_OPTIONS') }])
  expect(result.post?.stdout).toMatch(/^\/tmp\/x 5 1 \/second:\/first:/)
})

test.each([
  ['no equals sign', 'answer\n', /Invalid format 'answer'/],
  ['no end of the block', 'answer<<E\ntwo\n', /delimiter not found/],
  ['no name', '=x\n', /must not be empty/],
])('a malformed file command fails the step: %s', async (_, text, message) => {
  const action = await toyAction(`appendFileSync(process.env.GITHUB_OUTPUT, ${JSON.stringify(text)})`)
  const result = await runAction({ action, temp })
  expect(result).toMatchObject({ conclusion: 'failure', exitCode: 0, outputs: {} })
  expect(result.annotations.map((annotation) => annotation.message).join('\n')).toMatch(message)
})

test('a summary above 1 MiB is dropped whole, with an error, and the step stays green', async () => {
  const action = await toyAction(`writeFileSync(process.env.GITHUB_STEP_SUMMARY, 'x'.repeat(1_048_577))`)
  const result = await runAction({ action, temp })
  expect(result).toMatchObject({ conclusion: 'success', summary: '' })
  expect(result.annotations).toEqual([{ level: 'error', message: expect.stringContaining('upload aborted') }])
})

test('commands are obeyed on stdout and stderr, and only ten annotations a level are kept', async () => {
  const action = await toyAction(
    `console.error('::error title=Wrong%2C here::line%0Atwo')
     for (let n = 0; n < 12; n += 1) console.log('::warning::w' + n)
     console.log('::stop-commands::tok'); console.log('::error::no'); console.log('::tok::')
     console.log('::unknown::kept'); console.log('text ::error::kept too'); console.log('##[add-mask]pa ss')
     console.log('pa ss, pa%20ss, ' + Buffer.from('pa ss').toString('base64'))
     console.log('::set-output name=answer::injected'); process.stdout.write('no line end')`,
  )
  const result = await runAction({ action, temp })
  expect(result.annotations[0]).toEqual({ level: 'error', message: 'line\ntwo', title: 'Wrong, here' })
  expect(result.annotations.filter(({ level }) => level === 'warning')).toHaveLength(10)
  expect(result.outputs).toEqual({ answer: 'injected' })
  expect(result.log.slice(-7)).toEqual([
    ...['::stop-commands::tok', '::error::no', '::tok::', '::unknown::kept', 'text ::error::kept too'],
    ...['***, ***, ***=', 'no line end'],
  ])
})

test('a cancelled step gets SIGINT and ends by itself; the post step runs all the same', async () => {
  const action = await toyAction(
    `process.on('SIGINT', () => { console.log('stopping'); process.exit(1) })
     console.log('ready'); setInterval(() => {}, 1000)`,
    'console.log("cleaned")',
  )
  const result = await runAction({ action, temp, interrupt: { when: /ready/, with: 'cancel' } })
  expect(result).toMatchObject({ conclusion: 'cancelled', exitCode: 1, log: ['ready', 'stopping'] })
  expect(result.post?.log).toEqual(['cleaned'])
})

test('a killed step is reported by its signal, what it left running is found and killed', async () => {
  const action = await toyAction(
    `const child = spawn('sleep', ['300'], { detached: true, stdio: 'ignore' }); child.unref()
     console.log('left', child.pid); setInterval(() => {}, 1000)`,
    '',
    ACTION.replace('post: post.js', 'post: post.js\n  post-if: success()'),
  )
  const result = await runAction({ action, temp, interrupt: { when: /left/, with: 'SIGKILL' } })
  const pid = Number(result.log[0]?.split(' ')[1])
  expect(result).toMatchObject({ conclusion: 'failure', exitCode: null, signal: 'SIGKILL' })
  expect(result.post).toBeUndefined()
  expect(result.orphans).toEqual([{ pid, command: 'sleep 300' }])
  expect(await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).toBe('')
})

test('a step over its time is stopped, even one that ignores SIGINT', async () => {
  const action = await toyAction(
    `process.on('SIGINT', () => console.log('no')); console.log('deaf'); setInterval(() => {}, 1000)`,
  )
  let result = await runAction({ action, temp, timeoutSeconds: 0.5 })
  // Stopped before it could ignore anything: it gets more time.
  for (let seconds = 1; !result.log.includes('deaf'); seconds *= 2)
    result = await runAction({ action, temp, timeoutSeconds: seconds })
  expect(result).toMatchObject({ conclusion: 'failure', timedOut: true, exitCode: null, signal: 'SIGTERM' })
})

test('steps of one job share environment, temp and masks; post steps run last first', async () => {
  const first = await toyAction(
    `appendFileSync(process.env.GITHUB_ENV, 'URL=x\\n'); console.log('::add-mask::hunter2')`,
    'console.log("post of first")',
  )
  const second = await toyAction('console.log(process.env.URL, "hunter2")', 'console.log("post of second")')
  const job = await startJob({ temp })
  await job.run({ action: first })
  expect((await job.run({ action: second })).log).toEqual(['x ***'])
  expect(job.environment()).toMatchObject({ URL: 'x' })
  const { posts, orphans } = await job.finish()
  expect(posts.map((post) => post.log)).toEqual([['post of second'], ['post of first']])
  expect(orphans).toEqual([])
})

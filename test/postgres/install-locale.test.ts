import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { memoryLog } from '../../src/base/ports.ts'
import type { RunCommand } from '../../src/postgres/commands.ts'
import { installLocale } from '../../src/postgres/install-locale.ts'

const SUPPORTED = 'de_DE.UTF-8 UTF-8\nde_DE ISO-8859-1\nde_DE@euro ISO-8859-15\nen_US.UTF-8 UTF-8\neo UTF-8\n'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'lifeboat-locale-'))
  await mkdir(join(root, 'etc'))
  await writeFile(join(root, 'etc/os-release'), 'ID=ubuntu\nID_LIKE=debian\n')
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function provide(): Promise<void> {
  await mkdir(join(root, 'usr/share/i18n'), { recursive: true })
  await writeFile(join(root, 'usr/share/i18n/SUPPORTED'), SUPPORTED)
}

/** What comes of it on a machine with that user, and the commands that were run as root. */
async function make(name: string, user: 'root' | 'sudo' | 'nobody' = 'root', exitCode = 0) {
  const commands: string[] = []
  const run: RunCommand = async (command, args) => {
    const line = [command, ...args].join(' ')
    const said = (stdout: string, code = 0) => ({ exitCode: code, stdout, stderr: '' })
    if (line === 'id -u') return said(user === 'root' ? '0\n' : '1000\n')
    if (line === 'sudo -n true') return said('', user === 'sudo' ? 0 : 1)
    if (line.startsWith('apt-cache')) return said('locales:\n  Candidate: 2.39-0ubuntu8\n')
    commands.push(line.replace(/ env .* LC_ALL=C(?= )/, ''))
    if (line.includes('apt-get install')) await provide()
    return said('', line.includes('localedef') ? exitCode : 0)
  }
  return { problem: await installLocale(name, { env: {}, log: memoryLog(), run, root }), commands }
}

test.each([
  ['en_US.UTF-8', 'en_US', 'UTF-8'],
  ['en_US.utf8', 'en_US', 'UTF-8'],
  ['de_DE', 'de_DE', 'ISO-8859-1'],
  ['de_DE.iso88591', 'de_DE', 'ISO-8859-1'],
  ['de_DE@euro', 'de_DE@euro', 'ISO-8859-15'],
  ['eo', 'eo', 'UTF-8'],
])('%s is made of %s and %s', async (name, source, charmap) => {
  await provide()
  const { problem, commands } = await make(name)
  expect(problem).toBeUndefined()
  expect(commands).toEqual([expect.stringMatching(/localedef --no-archive --quiet -i /)])
  expect(commands[0]).toContain(`-i ${source} -f ${charmap} ${name}`)
})

test('the sources of locales are installed where they are missing', async () => {
  const { problem, commands } = await make('en_US.UTF-8', 'sudo')
  expect(problem).toBeUndefined()
  expect(commands).toEqual([
    expect.stringMatching(/^sudo -n apt-get install .* locales$/),
    expect.stringMatching(/^sudo -n localedef .* en_US\.UTF-8$/),
  ])
})

test('why not: nobody may, nobody knows it, it is no name, it failed', async () => {
  await provide()
  expect(await make('en_US.UTF-8', 'nobody')).toEqual({ problem: expect.stringContaining('needs root'), commands: [] })
  expect(await make('tlh_QO.UTF-8')).toEqual({ problem: 'the C library knows no such locale', commands: [] })
  for (const name of ['../../etc', 'en_US.UTF-8; reboot', '-i', 'Deutsch_Deutschland.1252', '']) {
    expect(await make(name)).toEqual({ problem: 'its name is none of the C library’s', commands: [] })
  }
  expect((await make('eo', 'root', 1)).problem).toBeUndefined()
  expect((await make('eo', 'root', 4)).problem).toBe('localedef ended with exit code 4')
})

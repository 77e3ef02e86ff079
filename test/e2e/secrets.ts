import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { zstdDecompress } from 'node:zlib'
import type { ActionResult, StepResult } from '../../scripts/lib/local-runner.ts'
import type { Storage } from '../../src/storage/storage.ts'

const decompress = promisify(zstdDecompress)

/** Where something was shown that should not be. `secret` is what was shown, in the form in which it was. */
export interface Leak {
  place: string
  secret: string
  excerpt: string
}

/** Inputs and variables whose values are secret. */
const SECRET_INPUTS = ['database-url', 'target-url', 'identity', 'signing-key', 'github-token', 'heartbeat-url']
const SECRET_VARIABLES = ['AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'PGPASSWORD']
/** Shorter texts stand in a log by chance. */
const SHORTEST = 6

/** Everything secret in what a step was given: whole values, lines of keys, and a URL's password in all its forms. */
export function secretsOf(inputs: Readonly<Record<string, string>>, env: Readonly<Record<string, string>>): string[] {
  const values = [...SECRET_INPUTS.map((name) => inputs[name]), ...SECRET_VARIABLES.map((name) => env[name])]
  return values.flatMap((value) => {
    if (value === undefined) return []
    const lines = value.split('\n').map((line) => line.trim())
    const secretLines = lines.filter((line) => line !== '' && !/^(-----|#)/.test(line))
    const password = /^[a-z]+:\/\/[^:@/]*:(.*)@/s.exec(value)?.[1]
    return password === undefined ? secretLines : [...secretLines, password, decoded(password)]
  })
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Where else a run may have written something that others can read. */
export interface Elsewhere {
  storage?: Storage
  /** What it asked of GitHub, and told it. */
  github?: { requests: readonly { path: string; body: string }[] }
}

/**
 * Looks for secrets in everything that a run let out: log, raw output (but for the lines that mask), summary, outputs
 * (but for a kept cluster's `database-url`), state, environment, annotations, the report, every object of the storage
 * that a reader without keys can read, but for the rows, and what GitHub was told. `secrets` are passwords, keys and pieces of row content; they are looked for as
 * they are and in the encodings in which they could slip through. What the run itself masked counts too.
 */
export async function findLeaks(
  run: ActionResult,
  secrets: readonly string[],
  { storage, github }: Elsewhere = {},
): Promise<Leak[]> {
  const masked = stepsOf(run).flatMap((step) =>
    step.commands.filter(({ name }) => name === 'add-mask').map(({ data }) => data),
  )
  const forms = formsOf([...secrets, ...masked])
  const told = (github?.requests ?? []).map(({ path, body }): [string, string] => [`GitHub: ${path}`, body + path])
  const texts = [...(await textsOf(run)), ...(storage === undefined ? [] : await plainObjects(storage)), ...told]
  return texts.flatMap(([place, text]) =>
    forms.flatMap((secret) => {
      const at = text.indexOf(secret)
      if (at < 0) return []
      return [{ place, secret, excerpt: text.slice(Math.max(0, at - 120), at + secret.length + 40) }]
    }),
  )
}

/** Fails with every place in which `findLeaks` finds something. */
export async function scanForSecrets(
  run: ActionResult,
  secrets: readonly string[],
  elsewhere: Elsewhere = {},
): Promise<void> {
  const leaks = await findLeaks(run, secrets, elsewhere)
  if (leaks.length === 0) return
  throw new Error(leaks.map(({ place, secret, excerpt }) => `${place} shows ${secret}\n  …${excerpt}…`).join('\n'))
}

function formsOf(secrets: readonly string[]): string[] {
  const long = secrets.map((secret) => secret.trim()).filter((secret) => secret.length >= SHORTEST)
  const forms = long.flatMap((secret) => [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;'),
    Buffer.from(secret).toString('base64').replaceAll('=', ''),
    Buffer.from(secret).toString('hex'),
  ])
  return [...new Set(forms)]
}

function stepsOf(run: ActionResult): StepResult[] {
  return run.post === undefined ? [run] : [run, run.post]
}

async function textsOf(run: ActionResult): Promise<[place: string, text: string][]> {
  const texts: [string, string][] = []
  for (const step of stepsOf(run)) {
    const name = step === run ? 'main' : 'post'
    const { 'database-url': _, ...outputs } = step.outputs
    texts.push(
      [`${name}: log`, step.log.join('\n')],
      [`${name}: stdout`, withoutMasks(step.stdout)],
      [`${name}: stderr`, step.stderr],
      [`${name}: summary`, step.files.GITHUB_STEP_SUMMARY],
      [`${name}: outputs`, Object.values(outputs).join('\n')],
      [`${name}: state`, step.files.GITHUB_STATE],
      [`${name}: environment`, step.files.GITHUB_ENV + step.files.GITHUB_PATH],
      [`${name}: annotations`, JSON.stringify(step.annotations)],
    )
    const { report } = step.outputs
    if (report) texts.push([`${name}: report`, await readFile(report, 'utf8')])
  }
  return texts
}

function withoutMasks(stdout: string): string {
  return stdout
    .split('\n')
    .filter((line) => !line.startsWith('::add-mask::'))
    .join('\n')
}

/** Parts that tell of the database without holding its rows; nor the archive, in which a user mapping has its password. */
const TELLING = /\/(?:contents\.json|roles\.sql|prepare\.dat)\.zst$/

/** What in a storage a reader without keys can read, but for rows, and the names of everything. */
async function plainObjects(storage: Storage): Promise<[place: string, text: string][]> {
  const texts: [string, string][] = []
  const keys: string[] = []
  for await (const { key } of storage.list('')) {
    keys.push(key)
    if (/\.(zst|age|sig)$/.test(key) && !TELLING.test(key)) continue
    const bytes = await storage.read(key)
    // A part that another test has damaged is looked at as it is.
    const plain = TELLING.test(key) ? await decompress(bytes).catch(() => bytes) : bytes
    texts.push([`storage: ${key}`, plain.toString('latin1')])
  }
  return [...texts, ['storage: names', keys.join('\n')]]
}

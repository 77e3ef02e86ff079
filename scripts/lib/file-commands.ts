import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { CommandReader, Masks } from './workflow-commands.ts'

/** Bytes of a step summary above which the runner uploads none of it. */
export const SUMMARY_LIMIT = 1024 * 1024

export const FILE_COMMANDS = [
  'GITHUB_OUTPUT',
  'GITHUB_STATE',
  'GITHUB_ENV',
  'GITHUB_PATH',
  'GITHUB_STEP_SUMMARY',
] as const
export type FileCommand = (typeof FILE_COMMANDS)[number]

/** What a step handed to the runner by its command files. */
export interface Written {
  outputs: Record<string, string>
  state: Record<string, string>
  env: Record<string, string>
  path: string[]
  /** Masked; empty where the runner would have dropped it. */
  summary: string
  /** Whether a file could not be parsed: that alone fails the step. */
  unreadable: boolean
}

/** Makes a step's command files, empty, and returns the variables that name them. */
export async function createCommandFiles(directory: string): Promise<Record<FileCommand, string>> {
  const folder = await mkdtemp(path.join(directory, 'step-'))
  const entries = FILE_COMMANDS.map((name) => [name, path.join(folder, name.toLowerCase())] as const)
  await Promise.all(entries.map(([, file]) => writeFile(file, '')))
  return Object.fromEntries(entries) as Record<FileCommand, string>
}

/** The contents of a step's command files once it has ended; a file that the step removed counts as empty. */
export async function readCommandFiles(files: Record<FileCommand, string>): Promise<Record<FileCommand, string>> {
  const entries = FILE_COMMANDS.map(
    async (name) => [name, await readFile(files[name], 'utf8').catch(() => '')] as const,
  )
  return Object.fromEntries(await Promise.all(entries)) as Record<FileCommand, string>
}

/** Takes the files as the runner does: what it refuses becomes an error annotation of the step. */
export function takeCommandFiles(files: Record<FileCommand, string>, reader: CommandReader, masks: Masks): Written {
  let unreadable = false
  const pairsOf = (name: FileCommand): Map<string, string> => {
    try {
      return parseKeyValueFile(files[name])
    } catch (error) {
      unreadable = true
      reader.annotate('error', `Unable to process file command '${fileCommandName(name)}' successfully.`)
      reader.annotate('error', (error as Error).message)
      return new Map()
    }
  }
  const env = pairsOf('GITHUB_ENV')
  if (env.delete('NODE_OPTIONS')) {
    reader.annotate('error', "Can't store NODE_OPTIONS output parameter using '$GITHUB_ENV' command.")
  }
  return {
    outputs: Object.fromEntries([...reader.outputs, ...pairsOf('GITHUB_OUTPUT')]),
    state: Object.fromEntries([...reader.state, ...pairsOf('GITHUB_STATE')]),
    env: Object.fromEntries(env),
    path: files.GITHUB_PATH.split(/\r?\n/).filter((line) => line !== ''),
    summary: takeSummary(files.GITHUB_STEP_SUMMARY, reader, masks),
    unreadable,
  }
}

function fileCommandName(name: FileCommand): string {
  return name.replace('GITHUB_', '').toLowerCase()
}

function takeSummary(content: string, reader: CommandReader, masks: Masks): string {
  const bytes = Buffer.byteLength(content)
  if (bytes <= SUMMARY_LIMIT)
    return content
      .split('\n')
      .map((line) => masks.apply(line))
      .join('\n')
  const kilobytes = (size: number) => Math.floor(size / 1_024)
  reader.annotate(
    'error',
    `$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of ${kilobytes(SUMMARY_LIMIT)}k, got ${kilobytes(bytes)}k.`,
  )
  return ''
}

/**
 * The key-value pairs of a `GITHUB_OUTPUT`, `GITHUB_STATE` or `GITHUB_ENV` file: `key=value` lines and
 * `key<<DELIMITER` blocks, whichever sign comes first in the line. Throws on anything else.
 */
export function parseKeyValueFile(content: string): Map<string, string> {
  const pairs = new Map<string, string>()
  const lines = content.split(/\r?\n/)
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? ''
    if (line === '') continue
    const { key, value, delimiter } = parsePair(line)
    if (delimiter === undefined) {
      pairs.set(key, value)
      continue
    }
    const end = lines.indexOf(delimiter, index + 1)
    if (end < 0) throw new Error(`Invalid value. Matching delimiter not found '${delimiter}'`)
    pairs.set(key, lines.slice(index + 1, end).join('\n'))
    index = end
  }
  return pairs
}

function parsePair(line: string): { key: string; value: string; delimiter?: string } {
  const equals = line.indexOf('=')
  const heredoc = line.indexOf('<<')
  const isHeredoc = heredoc >= 0 && (equals < 0 || heredoc < equals)
  const at = isHeredoc ? heredoc : equals
  if (at < 0) throw new Error(`Invalid format '${line}'`)
  if (at === 0) throw new Error(`Invalid format '${line}'. Name must not be empty`)
  const key = line.slice(0, at)
  if (!isHeredoc) return { key, value: line.slice(at + 1) }
  const delimiter = line.slice(at + 2)
  if (delimiter === '') throw new Error(`Invalid format '${line}'. Delimiter must not be empty`)
  return { key, value: '', delimiter }
}

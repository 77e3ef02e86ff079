import type { Dirent, Stats } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../base/errors.ts'
import { compareKeys } from './location.ts'
import type { StoredObject } from './storage.ts'

const TEMPORARY = /^\..*\.tmp-[0-9a-f]{16}$/

/** Whether a file's name is one that a write in progress uses. */
export function isTemporary(name: string): boolean {
  return TEMPORARY.test(name)
}

/**
 * Stored files whose key begins with `prefix` and follows `after`, in byte order of keys. A folder sorts as its name
 * and `/`, so `a.b` comes before `a/b`. Only one folder's names per level are held in memory.
 */
export async function* walkFiles(root: string, prefix: string, after = ''): AsyncGenerator<StoredObject> {
  for await (const { key, facts } of walk(root, '', prefix, after)) {
    if (!isTemporary(key.slice(key.lastIndexOf('/') + 1))) yield { key, bytes: facts.size, modified: facts.mtime }
  }
}

/** Temporary files, of writes in progress or cut off, in the folders that `prefix` reaches. */
export async function* temporaryFiles(root: string, prefix: string): AsyncGenerator<{ path: string; modified: Date }> {
  // The prefix may end in the middle of a name, which a temporary file's name does not begin with.
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  const rest = prefix.slice(folder.length)
  for await (const { key, facts } of walk(root, '', folder, '')) {
    const inFolder = key.slice(folder.length)
    const name = key.slice(key.lastIndexOf('/') + 1)
    if (!isTemporary(name)) continue
    if (inFolder.startsWith(rest) || inFolder.startsWith(`.${rest}`))
      yield { path: join(root, key), modified: facts.mtime }
  }
}

/** The folders one level below `prefix` that hold at least one stored file, as S3 would answer. */
export async function walkFolders(root: string, prefix: string): Promise<string[]> {
  const parent = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  const folders: string[] = []
  for (const { sortName, entry } of await readSorted(join(root, parent))) {
    if (!entry.isDirectory() || !`${parent}${entry.name}`.startsWith(prefix)) continue
    const first = await walkFiles(root, `${parent}${sortName}`).next()
    if (!first.done) folders.push(entry.name)
  }
  return folders
}

interface FoundFile {
  key: string
  facts: Stats
}

async function* walk(root: string, folder: string, prefix: string, after: string): AsyncGenerator<FoundFile> {
  for (const { sortName, entry } of await readSorted(join(root, folder))) {
    const key = `${folder}${sortName}`
    if (entry.isDirectory()) {
      const within = key.startsWith(prefix) || prefix.startsWith(key)
      const passed = compareKeys(key, after) < 0 && !after.startsWith(key)
      if (within && !passed) yield* walk(root, key, prefix, after)
    } else if (key.startsWith(prefix) && (after === '' || compareKeys(key, after) > 0)) {
      const facts = await factsOf(join(root, key))
      if (facts?.isFile()) yield { key, facts }
    }
  }
}

async function readSorted(directory: string): Promise<{ sortName: string; entry: Dirent }[]> {
  let entries: Dirent[]
  try {
    entries = await readdir(directory, { withFileTypes: true })
  } catch (error) {
    // Not there yet, or deleted by another job while we walk: holds nothing.
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
  return entries
    .map((entry) => ({ sortName: entry.isDirectory() ? `${entry.name}/` : entry.name, entry }))
    .sort((a, b) => compareKeys(a.sortName, b.sortName))
}

async function factsOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { ROOT } from './run.ts'

export interface Import {
  /** The file that imports, and what it imports, both relative to the repository; or a package's or `node:` name. */
  from: string
  to: string
  /** Whether only types are imported: nothing of it is left when the program runs. */
  typeOnly: boolean
}

// Good for code that the formatter has been over: a statement's `from '…'` stands on its own line or ends one.
const STATEMENT = /^(?:import|export)\s+(type\s+)?(?:[\w$*\s{},]*?\sfrom\s+)?'([^']+)'/gm
const CALL = /\bimport\(\s*'([^']+)'\s*\)/g

/** Every import, re-export and `import('…')` in the text of the file named `from`. */
export function importsOf(from: string, text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
  const statements = [...code.matchAll(STATEMENT)].map(([, type, to]) => ({ to, typeOnly: type !== undefined }))
  const calls = [...code.matchAll(CALL)].map(([, to]) => ({ to, typeOnly: false }))
  return [...statements, ...calls].map(({ to = '', typeOnly }) => ({
    from,
    to: to.startsWith('.') ? join(from, '..', to) : to,
    typeOnly,
  }))
}

/** The TypeScript files below a folder of the repository, relative to the repository, sorted. */
export function sourceFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.as.ts'))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .sort()
}

/** All imports of these files. */
export function readImports(files: readonly string[]): Import[] {
  return files.flatMap((file) => importsOf(file, readFileSync(join(ROOT, file), 'utf8')))
}

/** What the file reaches when it runs: all that it imports, directly or not, packages included. */
export function reachable(file: string, imports: readonly Import[]): Set<string> {
  const seen = new Set<string>()
  const visit = (name: string) => {
    for (const { to } of imports.filter(({ from, typeOnly }) => from === name && !typeOnly)) {
      if (seen.has(to)) continue
      seen.add(to)
      visit(to)
    }
  }
  visit(file)
  return seen
}

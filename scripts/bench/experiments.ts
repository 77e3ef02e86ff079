import { DUMP_EXPERIMENTS } from './dump-lines.ts'
import { LIMIT_EXPERIMENTS } from './limit-lines.ts'
import { READ_EXPERIMENTS } from './read-lines.ts'
import type { Experiment } from './types.ts'

/** All of them, in the order in which they run: those that share a database follow one another. */
export const EXPERIMENTS: readonly Experiment[] = inOrder([
  ...DUMP_EXPERIMENTS,
  ...READ_EXPERIMENTS,
  ...LIMIT_EXPERIMENTS,
])

function inOrder(experiments: readonly Experiment[]): Experiment[] {
  const databases = [...new Set(experiments.flatMap((experiment) => experiment.databases[0] ?? []))]
  const place = ({ databases: [first] }: Experiment) =>
    first === undefined ? databases.length : databases.indexOf(first)
  return experiments.toSorted((a, b) => place(a) - place(b))
}

/**
 * Those that a word names: by the id of the experiment or of one of its lines, or else by a piece of one. All of them if
 * there is no word.
 */
export function chooseExperiments(experiments: readonly Experiment[], words: readonly string[]): Experiment[] {
  if (words.length === 0) return [...experiments]
  const chosen = new Set(words.flatMap((word) => findNamed(experiments, word)))
  return experiments.filter((experiment) => chosen.has(experiment))
}

function findNamed(experiments: readonly Experiment[], word: string): Experiment[] {
  const names = ({ id, lines }: Experiment) => [id, ...lines]
  const exact = experiments.filter((experiment) => names(experiment).includes(word))
  const found = exact.length > 0 ? exact : experiments.filter((each) => names(each).some((name) => name.includes(word)))
  if (found.length === 0) throw new TypeError(`no line has ${word} in its name; --list names them all`)
  return found
}

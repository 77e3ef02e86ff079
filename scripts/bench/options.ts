import path from 'node:path'
import { parseArgs } from 'node:util'
import { ROOT } from '../lib/run.ts'

/** What is git-ignored, and holds all that a run writes. */
export const FOLDER = path.join(ROOT, '.bench')

export interface BenchOptions {
  /** 1: the sizes that the targets are set for. */
  scale: number
  /** Counted rounds; a warm-up round comes before them. */
  rounds: number
  /** Counted rounds of what takes long. */
  slowRounds: number
  major: number
  /** Words that name lines or groups of lines. None: all run. */
  only: string[]
  json: string
  writeDocs: boolean
  list: boolean
  /** Where Node puts profiles of our actions; the figures of such a run are not to be quoted. */
  profile?: string
  /** The folder that holds `action-dump` and the others. */
  actions: string
}

export const USAGE = `usage: npm run bench -- [--only WORD[,WORD…]] [option…]

  --scale N        size of the databases; 1 is what the targets are set for (default 0.3: under 20 minutes)
  --rounds N       counted rounds, after one that does not count (default 5; what takes long has at most 3)
  --only WORDS     only lines with that name, or else with one of these words in it (and their group)
  --major N        PostgreSQL's major (default 17)
  --json FILE      where the figures go (default .bench/bench.json)
  --write-docs     writes the table into docs/performance.md; of a whole run only
  --actions DIR    the folder that holds action-dump, action-verify, action-restore-test (default: this repository)
  --profile DIR    profiles the actions into this folder and names the functions that take longest; slows them down
  --list           names the lines and ends`

/** Reads the command line. Throws a TypeError that says what is wrong with it. */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      scale: { type: 'string', default: '0.3' },
      rounds: { type: 'string', default: '5' },
      only: { type: 'string', multiple: true, default: [] },
      major: { type: 'string', default: '17' },
      json: { type: 'string', default: path.join(FOLDER, 'bench.json') },
      'write-docs': { type: 'boolean', default: false },
      actions: { type: 'string', default: ROOT },
      list: { type: 'boolean', default: false },
      profile: { type: 'string' },
    },
  })
  const rounds = readNumber('--rounds', values.rounds, { least: 1, whole: true })
  const only = [...values.only, ...positionals].flatMap((words) => words.split(',')).filter((word) => word !== '')
  if (values['write-docs'] && (only.length > 0 || values.profile !== undefined)) {
    throw new TypeError('--write-docs writes the whole table: it cannot be used with --only or --profile')
  }
  return {
    scale: readNumber('--scale', values.scale, { least: 0.001, whole: false }),
    rounds,
    slowRounds: Math.min(rounds, 3),
    major: readNumber('--major', values.major, { least: 13, whole: true }),
    only,
    json: path.resolve(values.json),
    writeDocs: values['write-docs'],
    list: values.list,
    actions: path.resolve(values.actions),
    ...(values.profile !== undefined && { profile: path.resolve(values.profile) }),
  }
}

function readNumber(name: string, text: string, { least, whole }: { least: number; whole: boolean }): number {
  const value = Number(text)
  const valid = Number.isFinite(value) && value >= least && (!whole || Number.isInteger(value))
  if (!valid) throw new TypeError(`${name} takes a ${whole ? 'whole ' : ''}number from ${least} on, not ${text}`)
  return value
}

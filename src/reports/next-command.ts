import { fileURLToPath } from 'node:url'
import type { Ledger } from './alert-ledger.ts'
import type { Diagnosis } from './diagnoses.ts'

/** What the words in capitals of a command stand for, as far as it is known. */
export interface CommandFacts extends Pick<Ledger, 'storage' | 'endpoint' | 'workflows'> {
  database?: string
  /** The page of the run in question. */
  run?: string
}

const WORDS = /\b(?:RUN|DATABASE|BUCKET|PREFIX|DIRECTORY|ENDPOINT|DUMP-WORKFLOW\.yml|RESTORE-TEST-WORKFLOW\.yml)\b/g

/**
 * The sentence with the command to go on with, fit to be run as it stands: what is known is in the place of the words in
 * capitals. A word that is left says what to put there. Undefined where nothing can be asked: a directory is no bucket.
 */
export function nextCommand({ next, onDirectory }: Diagnosis, facts: CommandFacts): string | undefined {
  const isDirectory = facts.storage?.startsWith('file:') ?? false
  const sentence = (isDirectory ? onDirectory : undefined) ?? next
  if (sentence === undefined || (isDirectory && /\baws\b/.test(sentence))) return undefined
  const known = meanings(facts)
  return fitted(sentence, facts).replaceAll(WORDS, (word) => {
    const meaning = known[word]
    return meaning === undefined ? word : quoted(meaning)
  })
}

function meanings({ database, run, storage = '', endpoint, workflows }: CommandFacts): Record<string, string> {
  const [, bucket, prefix] = /^s3:\/\/([^/]+)(?:\/(.+))?$/.exec(storage) ?? []
  const all = {
    RUN: /\/runs\/(\d+)/.exec(run ?? '')?.[1],
    DATABASE: database,
    BUCKET: bucket,
    PREFIX: prefix,
    DIRECTORY: directoryOf(storage),
    ENDPOINT: endpoint,
    'DUMP-WORKFLOW.yml': workflows?.dump,
    'RESTORE-TEST-WORKFLOW.yml': workflows?.['restore-test'],
  }
  const known = Object.entries(all).filter((entry): entry is [string, string] => isUsable(entry[1]))
  return Object.fromEntries(known)
}

/** The words left out that have nothing to stand for, and those added that this place needs. */
function fitted(sentence: string, { storage, endpoint }: CommandFacts): string {
  const isWholeBucket = /^s3:\/\/[^/]+$/.test(storage ?? '')
  const place = isWholeBucket ? sentence.replaceAll(/ --prefix PREFIX\/|\/PREFIX\b/g, '') : sentence
  // Of AWS's services it is S3 alone that others offer.
  return endpoint === undefined ? place : place.replaceAll(/\baws (?=s3)/g, 'aws --endpoint-url ENDPOINT ')
}

/** Not what was cut or redacted, would be taken for an option, or would end the code span. */
function isUsable(text: string | undefined): boolean {
  return text !== undefined && text !== '' && !/^-|\p{Cc}|`|\*\*\*|…$/u.test(text)
}

function directoryOf(storage: string): string | undefined {
  try {
    return storage.startsWith('file:') ? fileURLToPath(storage) : undefined
  } catch {
    return undefined
  }
}

function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

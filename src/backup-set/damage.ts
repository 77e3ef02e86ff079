import { LifeboatError } from '../base/errors.ts'

/** What is wrong with the set itself, as opposed to what kept a check from looking at it. */
const DAMAGE = new Set([
  'bad-signature',
  'changed-head',
  'changed-manifest',
  'cut-data-file',
  'cut-row',
  'damaged-bundle',
  'damaged-compression',
  'damaged-document',
  'damaged-encryption',
  'damaged-part',
  'damaged-rows',
  'damaged-toc',
  'foreign-document',
  'missing-manifest',
  'missing-part',
  'no-object',
  'unreadable-archive',
  'unsigned-set',
])

/** Whether an error tells of a damaged set; any other kept the check from being carried out. */
export function isDamage(error: unknown): error is LifeboatError {
  return error instanceof LifeboatError && DAMAGE.has(error.code)
}

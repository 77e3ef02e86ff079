import { codeOf, LifeboatError, messageOf } from '../base/errors.ts'

const KNOWN: Record<string, [code: string, what: string, remedy: string]> = {
  ENOSPC: ['storage-full', 'no space is left', 'Free space there, or point `storage` at a larger disk.'],
  EDQUOT: ['storage-full', "the user's disk quota is used up", 'Raise the quota, or point `storage` elsewhere.'],
  EFBIG: ['storage-full', 'the file is too large for that file system', 'Point `storage` at another file system.'],
  EACCES: [
    'storage-access-denied',
    'permission denied',
    'Give the user who runs this job access, or change `storage`.',
  ],
  EPERM: ['storage-access-denied', 'not permitted', 'Give the user who runs this job access, or change `storage`.'],
  EROFS: ['storage-access-denied', 'the file system is read-only', 'Mount it writable, or change `storage`.'],
  ENOTDIR: ['bad-storage-directory', 'a part of the path is a file', 'Point `storage` at a directory of its own.'],
  EEXIST: ['bad-storage-directory', 'a part of the path is a file', 'Point `storage` at a directory of its own.'],
  EISDIR: [
    'bad-storage-directory',
    'a directory is where a file should be',
    'Point `storage` at a directory of its own.',
  ],
  ENAMETOOLONG: ['bad-storage-key', 'the name is too long', 'Use a shorter `database`, `label` or `storage` path.'],
  ELOOP: ['bad-storage-directory', 'its symbolic links form a loop', 'Point `storage` at a directory of its own.'],
}

export function noObject(key: string, url: string): LifeboatError {
  return new LifeboatError(
    'no-object',
    `${key} does not exist in ${url}.`,
    'Check `storage` and `database`; if they are right, this backup set has lost a part: choose another with `backup`.',
  )
}

/**
 * A file system's error as a LifeboatError that names the storage and the object. What is one already, or is the
 * reason of an abort, stays as it is.
 */
export function explainFileError(error: unknown, context: { key: string; url: string; signal?: AbortSignal }): unknown {
  const { key, url, signal } = context
  if (signal?.aborted) return signal.reason
  if (error instanceof LifeboatError) return error
  const errno = codeOf(error)
  const place = `${url}${key === '' ? '' : `: ${key}`}`
  if (errno === 'ENOENT') return noObject(key, url)
  const known = KNOWN[errno ?? '']
  if (known) return new LifeboatError(known[0], `${place}: ${known[1]} (${errno}).`, known[2], { cause: error })
  const remedy = 'Check the disk that `storage` points at (`dmesg`, `df`), then run the job again.'
  return new LifeboatError('storage-error', `${place}: ${messageOf(error)}`, remedy, { cause: error })
}

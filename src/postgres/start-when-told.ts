import type { ChildProcess } from 'node:child_process'

/**
 * For `/bin/sh -c`: becomes the program in its arguments (same process, standard input empty) when it is told to. Between
 * the start of a process and that of the one that watches over it this process may be killed; then nobody tells it, and
 * it ends.
 */
export const START_WHEN_TOLD = 'read -r word || exit 1; exec "$@" < /dev/null'

/** Tells it; its standard input must be a pipe. */
export function tellToStart(child: ChildProcess): void {
  // It may have been ended meanwhile.
  child.stdin?.on('error', () => undefined)
  child.stdin?.end('start\n')
}

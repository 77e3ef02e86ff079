import { setFlagsFromString } from 'node:v8'

/**
 * Lets the heap, and the buffers that count as part of it, grow to six times what was alive after a full collection
 * before there is the next one; V8 by itself takes about twice. Gigabytes pass here in short-lived buffers beside a small
 * heap, which makes V8 collect ten times a second: measured on the dump of `npm run bench`, that is
 * 6 % of all its processor time, and less than one with this, for some 40 MiB of memory.
 *
 * V8 reads the setting whenever it has collected, so that it may be given to a running process. One that does not know it
 * goes on without, and complains on stderr: a test sees that Node still knows it.
 */
export function collectGarbageLessOften(): void {
  setFlagsFromString('--heap-growing-percent=500')
}
